//! Cslide: hot pages live on fast NUMA nodes and cold ones on slow nodes.
//!
//! `settings` is what a task asks for; `shared_cycle` says which tasks take part in a cycle and which one leads it; `step` is a cycle, the
//! page to read first, `watch` looks at the processes, `exchange` moves their pages, `figures` is what engine commands report.

mod exchange;
mod figures;
mod keys;
mod report;
mod settings;
mod shared_cycle;
mod step;
mod watch;

pub(crate) use report::BOUND;
pub use report::{PairReport, Placed};
pub use settings::{EngineSettings, Kind as MemoryKind, Settings};
pub use step::CslideRunner;

use crate::contract::{CommandError, Engine, EngineError, TaskRunner};
use crate::kind::Kind;
use crate::scan_locks::ScanLocks;
use etmem_config::section::project::PAGE;
use etmem_config::{Keys, KindKeys, ProjectSection, TaskSection};
use etmem_core::kernel::nodes::NumaNodes;
use etmem_core::name::Name;
use shared_cycle::SharedCycle;
use std::sync::Arc;

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: NAME,
        engine: Keys::of(keys::ENGINE),
        task: Keys::of(keys::TASK),
        scan: &PAGE,
        own_name: None,
        machine: None,
        target: None,
    },
    about: "Hot pages live on fast NUMA nodes and cold ones on slow nodes.",
    figures: report::FIGURES,
    commands: COMMANDS,
    make: Some(|section, turns| Ok(Box::new(Cslide::new(EngineSettings::new(section)?, turns)))),
};

/// Its name in files.
const NAME: &str = "cslide";

const OF_TASK: &str = "showtaskpages";
const OF_HOST: &str = "showhostpages";
const COMMANDS: &[&str] = &[OF_TASK, OF_HOST];

/// The engine `cslide` of a project.
#[derive(Debug)]
pub struct Cslide {
    settings: Arc<EngineSettings>,
    shared_cycle: Arc<SharedCycle>,
}

impl Cslide {
    /// A cslide with these `settings`, whose scans share `scan_locks`.
    #[must_use]
    pub fn new(settings: EngineSettings, scan_locks: ScanLocks) -> Self {
        Self { settings: Arc::new(settings), shared_cycle: Arc::new(SharedCycle::new(scan_locks)) }
    }
}

impl Engine for Cslide {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        let settings = Settings::new(project, &self.settings, task)?;
        Ok(Box::new(CslideRunner::new(settings, Arc::clone(&self.settings), Arc::clone(&self.shared_cycle))))
    }

    fn check(&self, nodes: &dyn NumaNodes) -> Result<(), EngineError> {
        settings::check(&self.settings, nodes)
    }

    fn command(&self, task: Option<&Name>, command: &str) -> Result<String, CommandError> {
        let not_yet = |whose: &str| format!("{whose}no scan is complete yet\n");
        match (command, task) {
            (OF_HOST, _) => Ok(self.shared_cycle.figures().of_host().unwrap_or_else(|| not_yet(""))),
            (OF_TASK, Some(task)) => {
                let text = self.shared_cycle.figures().of_task(task.as_str());
                Ok(text.unwrap_or_else(|| not_yet(&format!("task {task}: "))))
            }
            (OF_TASK, None) => Err(CommandError::NeedsTask(OF_TASK)),
            (unknown, _) => Err(CommandError::Unknown {
                engine: NAME,
                command: unknown.to_owned(),
                known: COMMANDS.join(", "),
            }),
        }
    }
}
