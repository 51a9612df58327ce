//! The processes of a project, of which the daemon knows, and where their memory is, which etmemd looks up alone.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io::Write;

use etmem_core::name::Name;
use etmem_wire::{Request, SocketName, Status, TaskForm};
use serde::Deserialize;

use crate::connection::{ANSWER_LIMIT, ask};
use crate::etmemd;
use crate::failure::Failure;

/// Where the memory of the processes of a project is.
#[derive(Debug)]
pub(crate) struct WhereOfProject {
    pub(crate) project: Name,
    /// Of etmemd, without the processes.
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, Deserialize)]
struct Task {
    last_cycle: Option<Cycle>,
}

#[derive(Debug, Deserialize)]
struct Cycle {
    processes: Vec<Process>,
}

#[derive(Debug, Deserialize)]
struct Process {
    pid: u32,
}

impl WhereOfProject {
    /// Asks the daemon at `socket` for the processes, and becomes etmemd. Returns only if there is nothing to look for.
    pub(crate) fn run(&self, socket: &SocketName, out: &mut dyn Write) -> Result<Status, Failure> {
        let request = Request::TaskShow { project: self.project.clone(), task: None, form: TaskForm::Json };
        let mut answer = Vec::new();
        let status = ask(socket, &request, ANSWER_LIMIT, &mut answer)?;
        if status == Status::Failure {
            out.write_all(&answer).map_err(Failure::Output)?;
            return Ok(status);
        }
        let pids =
            pids(&answer).ok_or_else(|| Failure::Unknown { command: "where", socket: socket.clone() })?;
        if pids.is_empty() {
            writeln!(out, "no task of project {} has found a process yet; see etmem task show", self.project)
                .map_err(Failure::Output)?;
            return Ok(Status::Failure);
        }
        let mut arguments = self.arguments.clone();
        arguments.extend(pids.into_iter().map(|pid| format!("--pid={pid}").into()));
        let never: Infallible = etmemd::run(&arguments)?;
        match never {}
    }
}

/// The processes of the last cycles in an answer, a task on each line; `None` if that is no such answer.
fn pids(answer: &[u8]) -> Option<BTreeSet<u32>> {
    let text = std::str::from_utf8(answer).ok()?;
    let tasks: Result<Vec<Task>, _> =
        text.lines().filter(|line| !line.is_empty()).map(serde_json::from_str).collect();
    let cycles = tasks.ok()?.into_iter().filter_map(|task| task.last_cycle);
    Some(cycles.flat_map(|cycle| cycle.processes).map(|process| process.pid).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_of_a_project_are_those_of_its_last_cycles() {
        let answer = b"{\"task\":\"a\",\"last_cycle\":{\"processes\":[{\"pid\":7},{\"pid\":9}]}}\n\
                       {\"task\":\"b\",\"last_cycle\":null}\n{\"task\":\"c\"}\n\
                       {\"last_cycle\":{\"processes\":[{\"pid\":7}]}}\n";
        assert_eq!(pids(answer), Some(BTreeSet::from([7, 9])));
        assert_eq!(pids(b""), Some(BTreeSet::new()));
        assert_eq!(pids(b"project: x\n"), None);
    }
}
