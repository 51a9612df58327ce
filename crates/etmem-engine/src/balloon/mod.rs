//! Balloon: guests of QEMU give memory back while their host lacks it.
//!
//! `keys` has the keys of an engine and a task, `settings` what they mean, `step` is a round of a task, which has one guest. `host` says
//! whether memory is missing and which of the engine's guests gives it, `guest` what a guest can give and whether it lacks memory itself,
//! `report` what is said of it.

mod guest;
mod host;
mod keys;
mod report;
mod settings;
mod step;

use crate::contract::{CommandError, Engine, EngineError, TaskRunner};
use crate::kind::Kind;
use crate::scan_locks::ScanLocks;
use etmem_config::section::project::WITHOUT_SCAN;
use etmem_config::{Keys, KindKeys, ProjectSection, TaskSection};
use etmem_core::name::Name;
use host::Offers;
use settings::HostSettings;
use std::sync::Arc;
use step::BalloonRunner;

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: NAME,
        engine: Keys::of(keys::ENGINE),
        task: Keys::of(keys::TASK),
        scan: &WITHOUT_SCAN,
        own_name: None,
        machine: None,
        target: None,
    },
    about: "Guests of QEMU give memory back by a balloon while their host lacks it.",
    figures: report::FIGURES,
    commands: &[],
    make: Some(|section, locks| {
        Ok(Box::new(BalloonEngine { host: HostSettings::new(section)?, locks, offers: Arc::default() }))
    }),
};

/// Its name in files.
const NAME: &str = "balloon";

/// The engine `balloon` of a project.
#[derive(Debug)]
struct BalloonEngine {
    host: HostSettings,
    locks: ScanLocks,
    offers: Arc<Offers>,
}

impl Engine for BalloonEngine {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        let settings = self.host.with(project, task)?;
        let (locks, offers) = (self.locks.another(), Arc::clone(&self.offers));
        let name = task.name.to_string();
        Ok(Box::new(BalloonRunner::new(name, task.target.clone(), settings, locks, offers)))
    }

    fn command(&self, _: Option<&Name>, _: &str) -> Result<String, CommandError> {
        Err(CommandError::None(NAME))
    }
}
