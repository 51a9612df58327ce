//! Engine commands.

use super::denied::Denied;
use super::entries::{Policy, Registry};
use etmem_core::name::Name;
use etmem_engine::Question;

/// The answer to an engine command.
pub(crate) enum CommandAnswer {
    /// It is there.
    Ready(String),
    /// It takes time, in which the registry carries out other requests.
    Later(Question),
}

impl Registry {
    /// Passes `command` to `engine`.
    pub(crate) fn command(
        &self,
        project: &Name,
        engine: &Name,
        command: &str,
        task: Option<&Name>,
    ) -> Result<CommandAnswer, Denied> {
        let entry = self.project(project, String::new)?;
        let engine = entry.engine(engine, String::new)?;
        if let Some(task) = task {
            entry.task(engine, task, String::new)?;
        }
        if !entry.started {
            return Err(Denied::NotRunning(project.clone()));
        }
        if engine.tasks.is_empty() {
            return Err(Denied::NoTask { project: project.clone(), engine: engine.section.name.clone() });
        }
        match &engine.policy {
            Policy::BuiltIn(engine) => {
                engine.command(task, command).map(CommandAnswer::Ready).map_err(Denied::Command)
            }
            Policy::Hosted(engine) => Ok(CommandAnswer::Later(engine.question(task, command))),
        }
    }
}
