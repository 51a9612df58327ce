//! Engines that follow their tasks' whole life: those whose policy comes from outside.
//!
//! A built-in engine gives the daemon a task's work, and the daemon asks for the next step. A hosted one works on its own,
//! with threads that are not ours: the daemon reports that a task comes, starts, stops and goes, and each report calls code
//! that may do anything. So the caller that waits says how long, and whatever the code does after that is taken back: a
//! start that was given up is followed by a stop, an addition by a removal.
//!
//! ```text
//! made ── add_task ── start_task ── stop_task ── remove_task ── close
//!                └───────── as often as wanted ─┘
//! ```

use etmem_config::{FaultClass, TaskSection};
use etmem_core::kernel::process::ProcessId;
use etmem_core::name::Name;
use std::fmt;
use std::time::Duration;

/// Why a hosted engine did not do what was asked: a line for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// Which engine, what stands in the way, and what to do.
    pub reason: String,
    /// Which of the original's two answers it is.
    pub class: FaultClass,
}

/// An engine command that waits for its answer. It is to be carried out where no other request has to wait, and ends in
/// time whatever the engine does.
pub type Question = Box<dyn FnOnce() -> Result<String, Refusal> + Send>;

/// An engine of a project that follows its tasks' whole life. Dropped, it closes.
pub trait Hosted: fmt::Debug + Send + Sync {
    /// A task is added. Waits for at most `limit`.
    ///
    /// # Errors
    /// Why the engine does not take it; then it does not have it.
    fn add_task(&self, task: &TaskSection, limit: Duration) -> Result<(), Refusal>;

    /// A task is to start, on `processes`, which are those that it names now. Waits for at most `limit`.
    ///
    /// # Errors
    /// Why it does not start; then it does not run.
    fn start_task(&self, task: &Name, processes: &[ProcessId], limit: Duration) -> Result<(), Refusal>;

    /// Asks a task to stop, and does not wait.
    fn stop_task(&self, task: &Name);

    /// Takes a task away, and does not wait.
    fn remove_task(&self, task: &Name);

    /// The project was started, or stopped: all its tasks received that already.
    fn project_runs(&self, runs: bool);

    /// The engine is removed: takes away what it still has, and does not wait.
    fn close(&self);

    /// Waits until all that was asked is done, for at most `limit`; then says what is not, in a line.
    fn settle(&self, limit: Duration) -> Option<String>;

    /// Hands over an engine command, for one task or for none.
    fn question(&self, task: Option<&Name>, command: &str) -> Question;

    /// What keeps all its tasks from working although they were started, in a line.
    fn trouble(&self) -> Option<String> {
        None
    }
}
