//! What a project does with the heat of its tasks' processes.
//!
//! An [`Engine`] belongs to a project and makes the [`Work`] of its tasks; a daemon's worker calls
//! [`Work::step`], waits [`Work::period`], and calls again. A step is one whole cycle, finds its processes anew,
//! and may be cut short at any wait. Engines see the machine only through `etmem_core::kernel`.
//!
//! To read first: [`slide`], the way of the data from a process to swap.

mod catalogue;
mod engine;
mod report;
pub mod slide;
mod turns;

pub use catalogue::engine;
pub use engine::{CommandError, Engine, EngineError, FaultClass, Work};
pub use report::{Effort, Feedback, ProcessReport, ProcessResult, Scanned, StepReport};
pub use turns::{Turn, Turns};
