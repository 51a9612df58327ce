//! Damon: the kernel watches the processes of all tasks, and acts by a scheme on the regions that fit.
//!
//! `keys` has the keys of project and engine, `settings` what they mean. All tasks of an engine share one `monitor`: `step` is
//! a cycle of one of them, which finds its processes, `report` is what is said of it. Nothing here moves pages.

mod change;
mod keys;
mod monitor;
mod report;
mod settings;
mod step;

pub use keys::RegionScan;

use crate::contract::{CommandError, Engine, EngineError, TaskRunner};
use crate::kind::Kind;
use etmem_config::{Keys, KindKeys, ProjectSection, TaskSection};
use etmem_core::name::Name;
use monitor::SharedMonitor;
use settings::EngineSettings;
use std::sync::Arc;
use step::DamonRunner;

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: NAME,
        engine: Keys { rows: keys::ENGINE, agree: keys::bounds_in_order },
        task: Keys::NONE,
        scan: &keys::SCAN,
        own_name: None,
        target: None,
    },
    about: "The kernel watches regions of memory and acts on them, by DAMON's schemes.",
    figures: report::FIGURES,
    commands: COMMANDS,
    make: Some(|section, _| {
        Ok(Box::new(Damon { settings: EngineSettings::new(section)?, monitor: Arc::default() }))
    }),
};

/// Its name in files.
const NAME: &str = "damon";

const REGIONS: &str = "showregions";
const COMMANDS: &[&str] = &[REGIONS];

/// The engine `damon` of a project.
#[derive(Debug)]
struct Damon {
    settings: EngineSettings,
    monitor: Arc<SharedMonitor>,
}

impl Engine for Damon {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        if project.scan_type != keys::SCAN.name {
            return Err(EngineError::ScanType { engine: NAME, needed: keys::SCAN.name });
        }
        let settings = self.settings.with(&RegionScan::new(project)?);
        let runner = DamonRunner::new(&task.name, task.target.clone(), settings, Arc::clone(&self.monitor));
        Ok(Box::new(runner))
    }

    fn command(&self, _: Option<&Name>, command: &str) -> Result<String, CommandError> {
        if command != REGIONS {
            let known = COMMANDS.join(", ");
            return Err(CommandError::Unknown { engine: NAME, command: command.to_owned(), known });
        }
        Ok(self.monitor.regions().unwrap_or_else(|| {
            "no regions yet: the engine lists them with action=stat, while a task of it runs\n".to_owned()
        }))
    }
}
