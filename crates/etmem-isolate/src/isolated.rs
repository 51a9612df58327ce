//! An engine whose other half is in a child process.

use crate::link::Link;
use crate::message::Request;
use etmem_config::{EngineSection, FaultClass, ProjectSection, TaskSection};
use etmem_core::kernel::process::ProcessId;
use etmem_core::name::Name;
use etmem_engine::{Hosted, Question, Refusal};
use std::fmt;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::info;

/// How long an engine command may take: longer than the engine takes to say that it takes too long, and less than the ten
/// seconds for which clients of etmem 1.x wait.
const COMMAND_PATIENCE: Duration = Duration::from_secs(9);

/// What to do about a process that ended while something was added to it or started in it: nothing of that is there.
const MEND: &str =
    "nothing of this request is done: mend the plugin, or the keys it was given, and try again";

/// What to do about one whose tasks ran.
const RUN_AGAIN: &str = "stop the project and start it to run it again";

/// Gives the command that runs a process in which [`serve`](crate::serve) answers, on its standard input.
pub type Program = Box<dyn Fn() -> io::Result<Command> + Send + Sync>;

/// An engine in a process of its own.
pub struct Isolated {
    label: String,
    project: ProjectSection,
    engine: EngineSection,
    program: Program,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    link: Arc<Link>,
    /// What it was told of, in the order in which it was.
    tasks: Vec<Told>,
}

#[derive(Debug)]
struct Told {
    section: TaskSection,
    /// Started, and not stopped since.
    started: bool,
}

impl fmt::Debug for Isolated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Isolated")
            .field("label", &self.label)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Isolated {
    /// Runs `program` and has it make the engine of `section`. Waits for at most `limit`.
    ///
    /// # Errors
    /// It cannot be run, or cannot make the engine.
    pub fn start(
        project: &ProjectSection,
        section: &EngineSection,
        program: Program,
        limit: Duration,
    ) -> Result<Self, Refusal> {
        let label = format!("project {} engine {}", project.name, section.name);
        let link = open(&label, project, section, &program, limit)?;
        let state = State { link, tasks: Vec::new() };
        Ok(Self {
            label,
            project: project.clone(),
            engine: section.clone(),
            program,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the process has ended and none of its tasks is said to run, runs a new one with the same tasks.
    fn revive(&self, state: &mut State, limit: Duration) -> Result<(), Refusal> {
        if state.link.end().is_none() || state.tasks.iter().any(|task| task.started) {
            return Ok(());
        }
        let link = open(&self.label, &self.project, &self.engine, &self.program, limit)?;
        for task in &state.tasks {
            let request = Request::Add { task: task.section.clone(), limit };
            if let Err(refusal) = link.ask_or(&request, limit, MEND) {
                link.let_go();
                return Err(refusal);
            }
        }
        state.link = link;
        Ok(())
    }
}

fn open(
    label: &str,
    project: &ProjectSection,
    engine: &EngineSection,
    program: &Program,
    limit: Duration,
) -> Result<Arc<Link>, Refusal> {
    let started = program().and_then(|command| Link::start(label, command));
    let link = started.map_err(|error| Refusal {
        reason: format!("{label}: isolate=yes: its process cannot be started: {error}"),
        class: FaultClass::Internal,
    })?;
    let request = Request::Open { project: project.clone(), engine: engine.clone(), limit };
    match link.ask_or(&request, limit, MEND) {
        Ok(_) => {
            info!("{label}: in process {}", link.pid);
            Ok(link)
        }
        Err(refusal) => {
            link.let_go();
            Err(refusal)
        }
    }
}

impl Hosted for Isolated {
    fn add_task(&self, task: &TaskSection, limit: Duration) -> Result<(), Refusal> {
        let mut state = self.state();
        self.revive(&mut state, limit)?;
        let request = Request::Add { task: task.clone(), limit };
        if let Err(refusal) = state.link.ask_or(&request, limit, MEND) {
            // It may still be done, by a process that answers too late.
            state.link.tell(&Request::Remove { task: task.name.clone() });
            return Err(refusal);
        }
        state.tasks.push(Told { section: task.clone(), started: false });
        Ok(())
    }

    fn start_task(&self, task: &Name, processes: &[ProcessId], limit: Duration) -> Result<(), Refusal> {
        let mut state = self.state();
        self.revive(&mut state, limit)?;
        let request = Request::Start { task: task.clone(), processes: processes.to_vec(), limit };
        if let Err(refusal) = state.link.ask_or(&request, limit, MEND) {
            state.link.tell(&Request::Stop { task: task.clone() });
            return Err(refusal);
        }
        let told = state.tasks.iter_mut().find(|told| told.section.name == *task);
        told.into_iter().for_each(|told| told.started = true);
        Ok(())
    }

    fn stop_task(&self, task: &Name) {
        let mut state = self.state();
        let told = state.tasks.iter_mut().find(|told| told.section.name == *task);
        told.into_iter().for_each(|told| told.started = false);
        state.link.tell(&Request::Stop { task: task.clone() });
    }

    fn remove_task(&self, task: &Name) {
        let mut state = self.state();
        state.tasks.retain(|told| told.section.name != *task);
        state.link.tell(&Request::Remove { task: task.clone() });
    }

    fn project_runs(&self, runs: bool) {
        self.state().link.tell(&Request::Runs { runs });
    }

    fn close(&self) {
        self.state().link.tell(&Request::Close);
    }

    fn settle(&self, limit: Duration) -> Option<String> {
        let link = Arc::clone(&self.state().link);
        match link.ask(&Request::Settle { limit }, limit) {
            Ok(late) => late,
            // Nothing is left to be done in a process that is gone.
            Err(_) if link.end().is_some() => None,
            Err(refusal) => Some(refusal.reason),
        }
    }

    fn question(&self, task: Option<&Name>, command: &str) -> Question {
        let link = Arc::clone(&self.state().link);
        let request = Request::Ask { task: task.cloned(), command: command.to_owned() };
        Box::new(move || link.ask_or(&request, COMMAND_PATIENCE, RUN_AGAIN).map(Option::unwrap_or_default))
    }

    fn trouble(&self) -> Option<String> {
        self.state().link.trouble()
    }
}

impl Drop for Isolated {
    fn drop(&mut self) {
        Arc::clone(&self.state().link).let_go();
    }
}
