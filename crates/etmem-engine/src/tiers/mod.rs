//! Tiers: the pages of compressed swap that no program has touched for the longest time go to the disk behind it.
//!
//! `settings` is what a task asks for; `step` is a cycle of all zram devices, `cycle` that of one, the page to read first; `budget` is how
//! much may be written in a day; `report` is what is said of it. It looks at no process: when a slot of zram was written or read last, zram
//! itself says.

mod budget;
mod cycle;
mod keys;
mod report;
mod settings;
mod step;
#[cfg(test)]
mod tests;

use crate::contract::{CommandError, Engine, EngineError, TaskRunner};
use crate::kind::Kind;
use etmem_config::section::project::PAGE;
use etmem_config::section::task::machine;
use etmem_config::{Keys, KindKeys, ProjectSection, TaskSection};
use etmem_core::name::Name;
use settings::Settings;
use step::TiersRunner;

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: NAME,
        engine: Keys::NONE,
        task: Keys { rows: keys::TASK, agree: keys::marks_in_order },
        scan: &PAGE,
        own_name: None,
        target: Some(machine),
    },
    about: "The longest untouched pages of compressed swap (zram) are written to the disk behind it, within a budget for its endurance.",
    figures: report::FIGURES,
    commands: &[],
    make: Some(|_, _| Ok(Box::new(Tiers))),
};

/// Its name in files.
const NAME: &str = "tiers";

/// The engine `tiers` of a project.
#[derive(Debug)]
struct Tiers;

impl Engine for Tiers {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        Ok(Box::new(TiersRunner::new(Settings::new(project, task)?)))
    }

    fn is_dry_run(&self, task: &TaskSection) -> bool {
        task.get(&keys::DRY_RUN).unwrap_or_default()
    }

    fn command(&self, _: Option<&Name>, _: &str) -> Result<String, CommandError> {
        Err(CommandError::None(NAME))
    }
}
