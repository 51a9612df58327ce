//! Asks the daemon for all that is shown: its metrics, and then the tasks of each project that these name.

use super::answer::{Task, tasks};
use super::machine::{Machine, machine};
use crate::connection::{ANSWER_LIMIT, ask};
use crate::failure::Failure;
use crate::metrics;
use etmem_core::name::Name;
use etmem_wire::{MetricsForm, Request, SocketName, Status, TaskForm};

/// All that is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) machine: Machine,
    pub(super) tasks: Vec<Task>,
}

/// What the daemon at `socket` says now.
pub(super) fn answer(socket: &SocketName) -> Result<Answer, Failure> {
    let unknown = || Failure::Unknown { command: "top", socket: socket.clone() };
    let answered = metrics::answer(socket, &Request::Metrics(MetricsForm::OpenMetrics));
    let (status, text) = match answered {
        // It is about this command.
        Err(Failure::Unknown { .. }) => return Err(unknown()),
        other => other?,
    };
    if status == Status::Failure {
        return Err(unknown());
    }
    let machine = machine(&String::from_utf8_lossy(&text));
    let mut all = Vec::new();
    for project in &machine.projects {
        let Ok(project) = Name::new(project) else { continue };
        let request = Request::TaskShow { project, task: None, form: TaskForm::Json };
        let mut text = Vec::new();
        // A project that was deleted meanwhile is refused.
        if ask(socket, &request, ANSWER_LIMIT, &mut text)? == Status::Success {
            all.extend(tasks(&String::from_utf8_lossy(&text)).map_err(|_| unknown())?);
        }
    }
    Ok(Answer { machine, tasks: all })
}
