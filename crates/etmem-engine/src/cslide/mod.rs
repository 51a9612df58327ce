//! Cslide: hot pages live on fast NUMA nodes and cold ones on slow nodes.
//!
//! `settings` is what a task asks for; `shared_cycle` says which tasks take part in a cycle and which one leads it; `step` is a cycle, the
//! page to read first, `watch` looks at the processes, `exchange` moves their pages, `figures` is what engine commands report.

mod exchange;
mod figures;
mod report;
mod settings;
mod shared_cycle;
mod step;
mod watch;

pub use report::{PairReport, Placed};
pub use settings::{Kind, Settings};
pub use step::CslideRunner;

use crate::engine::{CommandError, Engine, EngineError, TaskRunner};
use crate::scan_locks::ScanLocks;
use etmem_config::{CslideEngine, ProjectSection, TaskSection};
use etmem_core::kernel::nodes::NumaNodes;
use etmem_core::name::Name;
use shared_cycle::SharedCycle;
use std::sync::Arc;

/// The engine `cslide` of a project.
#[derive(Debug)]
pub struct Cslide {
    section: Arc<CslideEngine>,
    shared_cycle: Arc<SharedCycle>,
}

impl Cslide {
    /// A cslide with the keys of `section`, whose scans share `scan_locks`.
    #[must_use]
    pub fn new(section: CslideEngine, scan_locks: ScanLocks) -> Self {
        Self { section: Arc::new(section), shared_cycle: Arc::new(SharedCycle::new(scan_locks)) }
    }
}

impl Engine for Cslide {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        let settings = Settings::new(project, &self.section, task)?;
        Ok(Box::new(CslideRunner::new(settings, Arc::clone(&self.section), Arc::clone(&self.shared_cycle))))
    }

    fn check(&self, nodes: &dyn NumaNodes) -> Result<(), EngineError> {
        settings::check(&self.section, nodes)
    }

    fn command(&self, task: Option<&Name>, command: &str) -> Result<String, CommandError> {
        let not_yet = |whose: &str| format!("{whose}no scan is complete yet\n");
        match (command, task) {
            ("showhostpages", _) => Ok(self.shared_cycle.figures().of_host().unwrap_or_else(|| not_yet(""))),
            ("showtaskpages", Some(task)) => {
                let text = self.shared_cycle.figures().of_task(task.as_str());
                Ok(text.unwrap_or_else(|| not_yet(&format!("task {task}: "))))
            }
            ("showtaskpages", None) => Err(CommandError::NeedsTask("showtaskpages")),
            (unknown, _) => Err(CommandError::Unknown {
                engine: "cslide",
                command: unknown.to_owned(),
                known: "showtaskpages, showhostpages",
            }),
        }
    }
}
