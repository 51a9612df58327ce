//! What an author writes.

use crate::group::Group;
use crate::stop::Stop;
use crate::task::Task;
use std::fmt::{self, Write};

/// Why a policy does not do what it is asked: for the log, and for the client where it asked for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// For this reason: which key and value, which rule, and what to do.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// A policy. One value of it belongs to one engine of a project; each task runs on a thread of its own, so tasks of one
/// engine see it at the same time.
///
/// A panic in [`Self::new`], [`Self::settings`] or [`Self::command`] is a refusal, one in [`Self::run`] ends that task;
/// each is logged. (With `panic = "abort"` in the plugin's profile it is the end of the daemon instead.)
pub trait Policy: Sized + Send + Sync + 'static {
    /// What a task is set to.
    type Settings: Send + Sync + 'static;

    /// Made when an engine is added, by its group of the file.
    ///
    /// # Errors
    /// Then the engine is not added.
    fn new(engine: &Group<'_>) -> Result<Self, Refusal>;

    /// Reads what a task is set to when it is added, by its group of the file.
    ///
    /// # Errors
    /// Then the task is not added.
    fn settings(&self, task: &Group<'_>) -> Result<Self::Settings, Refusal>;

    /// Works on a task until `stop` says so, on a thread of its own, from each start of its project. It may block; but
    /// once `stop` says so it has to return soon, or the task cannot be started again until it has.
    fn run(&self, task: &Task<Self::Settings>, stop: &Stop);

    /// Answers `etmem engine -c COMMAND`, with text for the client. The daemon waits for it, so it must not block.
    ///
    /// # Errors
    /// The client gets the reason.
    fn command(
        &self,
        task: Option<&Task<Self::Settings>>,
        command: &str,
        answer: &mut dyn Write,
    ) -> Result<(), Refusal> {
        let _ = (task, answer);
        Err(Refusal::new(format!("no command {command:?}: this policy has none")))
    }
}
