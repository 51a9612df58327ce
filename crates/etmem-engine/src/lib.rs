//! What a project does with the heat of its tasks' processes.
//!
//! Each kind of engine is a folder with its keys, its step, its figures and reasons, and a row of the catalogue ([`KINDS`]).
//! An [`Engine`] belongs to a project and makes the [`TaskRunner`] of its tasks; a daemon's worker calls
//! [`TaskRunner::step`], waits [`TaskRunner::period`], and calls again. A step is one whole cycle, finds its processes anew,
//! and may be cut short at any wait. An engine whose policy comes from outside is [`Hosted`]: it is told of a task's
//! whole life instead, and works by itself. Engines see the machine only through `etmem_core::kernel`.
//!
//! To read first: [`slide`], the way of the data from a process to swap; then [`cslide`], between NUMA nodes.

mod catalogue;
mod contract;
pub mod cslide;
mod damon;
pub mod figures;
mod hosted;
mod memdcd;
mod psi;
pub mod reason;
pub mod reference;
mod report;
mod scan_locks;
pub mod slide;
mod status;
mod thirdparty;
mod tracker;

pub use catalogue::{
    KINDS, Kind, Make, engine, keys, load, load_names, load_older, parse, parse_names, parse_older,
};
pub use contract::{CommandError, Engine, EngineError, FaultClass, TaskRunner};
pub use damon::RegionScan;
pub use figures::{Figures, Seconds};
pub use hosted::{Hosted, Question, Refusal};
pub use psi::PsiScan;
pub use reason::{Reason, ReasonName};
pub use report::{Event, Feedback, Level, Line, ProcessReport, ProcessResult, StepReport};
pub use scan_locks::{ScanLock, ScanLocks};
pub use status::{Cycle, TaskStatus};
pub use thirdparty::{HostedEngine, HostedTask, hosted};
