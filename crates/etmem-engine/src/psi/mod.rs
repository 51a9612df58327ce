//! Psi: control groups give back what they do not need, as long as nothing waits.
//!
//! `settings` is what a task asks for; `step` is a round of all its groups, `round` that of one, the page to read first; `looks` asks the
//! kernel what is in use, `believed` is what of that counts, `room` is how much may leave, `rate` which share of it, `balance` which memory first; `report` is what is said of it.

mod balance;
mod believed;
mod keys;
mod looks;
mod rate;
mod report;
mod room;
mod round;
mod settings;
mod step;
#[cfg(test)]
mod tests;

pub use keys::PsiScan;

use crate::contract::{CommandError, Engine, EngineError, TaskRunner};
use crate::kind::Kind;
use etmem_config::{Keys, KindKeys, ProjectSection, TaskSection};
use etmem_core::name::Name;
use settings::Settings;
use step::PsiRunner;

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: NAME,
        engine: Keys::NONE,
        task: Keys::of(keys::TASK),
        scan: &keys::SCAN,
        own_name: None,
        machine: None,
        target: Some(keys::target),
    },
    about: "Control groups give back memory that they do not need, while their programs do not wait and little is refaulted.",
    figures: report::FIGURES,
    commands: &[],
    make: Some(|_, _| Ok(Box::new(Psi))),
};

/// Its name in files.
const NAME: &str = "psi";

/// The engine `psi` of a project.
#[derive(Debug)]
struct Psi;

impl Engine for Psi {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        Ok(Box::new(PsiRunner::new(Settings::new(project, task)?)))
    }

    fn is_dry_run(&self, task: &TaskSection) -> bool {
        task.get(&keys::DRY_RUN).unwrap_or_default()
    }

    fn command(&self, _: Option<&Name>, _: &str) -> Result<String, CommandError> {
        Err(CommandError::None(NAME))
    }
}
