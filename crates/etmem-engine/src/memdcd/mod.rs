//! Memdcd: an external program, the decider, receives how often each page was touched, and decides.
//!
//! `keys` has the keys of a task, `step` is a cycle of all its processes, `message` the bytes that the decider receives,
//! `report` what is said of it.
//! Nothing is moved here: what leaves, the decider or the program itself moves.

mod keys;
mod message;
mod report;
mod step;

use crate::contract::{CommandError, Engine, EngineError, TaskRunner};
use crate::kind::Kind;
use crate::scan_locks::ScanLocks;
use etmem_config::section::project::PAGE;
use etmem_config::{Keys, KindKeys, ProjectSection, TaskSection};
use etmem_core::kernel::wishes::{Mover, Wishes};
use etmem_core::name::Name;
use etmem_core::scan::Schedule;
use step::{MemdcdRunner, Settings};

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: NAME,
        engine: Keys::NONE,
        task: Keys::of(keys::TASK),
        scan: &PAGE,
        own_name: None,
        machine: None,
        target: None,
    },
    about: "An external program decides by how often each page was accessed.",
    figures: report::FIGURES,
    commands: &[],
    make: Some(|_, turns| Ok(Box::new(Memdcd(turns)))),
};

/// Its name in files.
const NAME: &str = "memdcd";

/// The engine `memdcd` of a project.
#[derive(Debug)]
struct Memdcd(ScanLocks);

impl Engine for Memdcd {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        let Some(scan) = &project.page else {
            return Err(EngineError::ScanType { engine: NAME, needed: PAGE.name });
        };
        let vm_flags = task.get(&keys::VM_FLAGS)?;
        let tracker = task.get(&keys::TRACKER)?;
        let settings = Settings {
            task: task.name.to_string(),
            target: task.target.clone(),
            schedule: Schedule { loops: scan.loops, interval: scan.interval },
            sleep: scan.sleep,
            socket: task.get(&keys::SOCK)?,
            vm_flags,
            wishes: Wishes { tracker, mover: Mover::Elsewhere, ..Wishes::default() },
        };
        Ok(Box::new(MemdcdRunner { settings, scan_locks: self.0.another() }))
    }

    fn command(&self, _: Option<&Name>, _: &str) -> Result<String, CommandError> {
        Err(CommandError::None(NAME))
    }
}
