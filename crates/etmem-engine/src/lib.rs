//! What a project does with the heat of its tasks' processes.
//!
//! Each kind of engine is a folder with its keys, its step, its figures and reasons, and a row of the catalogue ([`KINDS`]).
//! An [`Engine`] belongs to a project and makes the [`TaskRunner`] of its tasks; a daemon's worker calls
//! [`TaskRunner::step`], waits [`TaskRunner::period`], and calls again. A step is one whole cycle, looks for its
//! processes again, and may be cut short at any wait. An engine whose policy comes from outside is [`Hosted`]: the daemon
//! tells it what happens to its tasks, and it works on its own. Engines see the machine only through `etmem_core::kernel`.
//!
//! To read first: [`slide`], the way of the data from a process to swap; then [`cslide`], between NUMA nodes.

// First, as its macro is for the folders of the engines.
#[macro_use]
pub mod figures;
pub mod forecast;

mod catalogue;
mod contract;
pub mod feedback;
// The catalogue's macro declares the folders of the kinds, where `cargo fmt` does not find them. It finds them here, though
// the compiler leaves this out. `cargo xtask generate` writes the file.
#[cfg(any())]
mod folders;
mod hosted;
mod kind;
mod memories;
mod node_pairs;
pub mod reason;
mod report;
mod scan_locks;
mod so_far;
mod status;
mod tracker;

pub use catalogue::folders::damon::RegionScan;
pub use catalogue::folders::psi::PsiScan;
pub use catalogue::folders::thirdparty::{HostedEngine, HostedTask, hosted};
pub use catalogue::folders::*;
pub use catalogue::{KINDS, engine, keys};
pub use contract::{CommandError, Engine, EngineError, FaultClass, Sections, TaskRunner};
pub use figures::{Figures, Seconds};
pub use hosted::{Hosted, Question, Refusal};
pub use kind::{Kind, Make};
pub use node_pairs::NodePair;
pub use reason::{Reason, ReasonName};
pub use report::{
    DeviceReport, Event, Feedback, GroupReport, GroupResult, Level, Line, ProcessReport, ProcessResult,
    StepReport,
};
pub use scan_locks::{ScanLock, ScanLocks};
pub use so_far::{SharedSoFar, SoFar};
pub use status::{Cycle, TaskStatus};
