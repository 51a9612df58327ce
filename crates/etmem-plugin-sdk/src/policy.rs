//! What the author of a policy writes.

use crate::group::Group;
use crate::refusal::Refusal;
use crate::stop::Stop;
use crate::task::Task;
use std::fmt::Write;

/// A policy. Each engine of a project has one value of it. Each task runs on a thread of its own, so the tasks of an engine
/// use the value at the same time.
///
/// A panic in [`Self::new`], [`Self::settings`] or [`Self::command`] is a refusal; a panic in [`Self::run`] ends that task.
/// Each is logged. With `panic = "abort"` in the profile of the plugin, a panic ends the daemon instead.
pub trait Policy: Sized + Send + Sync + 'static {
    /// The settings of a task.
    type Settings: Send + Sync + 'static;

    /// Makes the policy of an engine that is added, from its group of the file.
    ///
    /// # Errors
    /// The engine is not added.
    fn new(engine: &Group<'_>) -> Result<Self, Refusal>;

    /// Reads the settings of a task that is added, from its group of the file.
    ///
    /// # Errors
    /// The task is not added.
    fn settings(&self, task: &Group<'_>) -> Result<Self::Settings, Refusal>;

    /// Works on a task, on a thread of its own, from each start of its project until `stop` is asked. It is allowed to block.
    /// Once `stop` is asked it must return soon: the task cannot start again before it has.
    fn run(&self, task: &Task<Self::Settings>, stop: &Stop);

    /// Answers `etmem engine COMMAND` with text for the client. The daemon waits for the answer, so it must not block.
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
        Err(Refusal::new(format!("no command {command:?}: this policy has no commands")))
    }
}
