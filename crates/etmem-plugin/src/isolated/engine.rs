//! The daemon's end: an engine that runs in a child process.

use super::link::Link;
use super::message::Request;
use super::section::Written;
use crate::guest::fault;
use etmem_config::{EngineSection, ProjectSection, TaskSection};
use etmem_core::kernel::process::ProcessId;
use etmem_core::name::Name;
use etmem_engine::{Hosted, Question, Refusal};
use parking_lot::Mutex;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// How long an engine command may take: longer than the limit after which the engine itself refuses, and less than the ten
/// seconds that clients of etmem 1.x wait.
const COMMAND_LIMIT: Duration = Duration::from_secs(9);

/// What to do after a process ended while something was added or started in it.
const REPAIR: &str = "nothing of this request is done: repair the plugin or its keys, and try again";

/// What to do after a process ended whose tasks ran.
const RUN_AGAIN: &str = "stop the project and start it to run it again";

/// Makes the command that runs a process in which [`serve`](super::serve) answers on standard input.
pub type Program = Box<dyn Fn() -> io::Result<Command> + Send + Sync>;

/// An engine in a process of its own.
#[derive(derive_more::Debug)]
pub struct Isolated {
    label: String,
    project: ProjectSection,
    engine: EngineSection,
    #[debug(skip)]
    program: Program,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    link: Arc<Link>,
    /// The tasks of the process, in the order in which they were added.
    tasks: Vec<Added>,
}

#[derive(Debug)]
struct Added {
    section: TaskSection,
    /// Whether it was started and not stopped since.
    started: bool,
}

impl Isolated {
    /// Runs `program`, which makes the engine of `section`. Waits for at most `limit`.
    ///
    /// # Errors
    /// The program cannot be run, or cannot make the engine.
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

    /// If the process has ended and all its tasks are stopped, runs a new one with the same tasks.
    fn revive(&self, state: &mut State, limit: Duration) -> Result<(), Refusal> {
        if state.link.end().is_none() || state.tasks.iter().any(|task| task.started) {
            return Ok(());
        }
        let link = open(&self.label, &self.project, &self.engine, &self.program, limit)?;
        for task in &state.tasks {
            let request = Request::Add { task: Written::task(&task.section), limit };
            if let Err(refusal) = link.ask_or(&request, limit, REPAIR) {
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
    let failed = |error| fault(format!("{label}: isolate=yes: its process cannot be started: {error}"));
    let link = started.map_err(failed)?;
    let request =
        Request::Open { project: Written::project(project), engine: Written::engine(engine), limit };
    match link.ask_or(&request, limit, REPAIR) {
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
        let mut state = self.state.lock();
        self.revive(&mut state, limit)?;
        let request = Request::Add { task: Written::task(task), limit };
        if let Err(refusal) = state.link.ask_or(&request, limit, REPAIR) {
            // The process may still carry it out, after the limit.
            state.link.tell(&Request::Remove { task: task.name.to_string() });
            return Err(refusal);
        }
        state.tasks.push(Added { section: task.clone(), started: false });
        Ok(())
    }

    fn start_task(&self, task: &Name, processes: &[ProcessId], limit: Duration) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        self.revive(&mut state, limit)?;
        let request = Request::start(task, processes, limit);
        if let Err(refusal) = state.link.ask_or(&request, limit, REPAIR) {
            state.link.tell(&Request::Stop { task: task.to_string() });
            return Err(refusal);
        }
        let added = state.tasks.iter_mut().find(|added| added.section.name == *task);
        added.into_iter().for_each(|added| added.started = true);
        Ok(())
    }

    fn stop_task(&self, task: &Name) {
        let mut state = self.state.lock();
        let added = state.tasks.iter_mut().find(|added| added.section.name == *task);
        added.into_iter().for_each(|added| added.started = false);
        state.link.tell(&Request::Stop { task: task.to_string() });
    }

    fn remove_task(&self, task: &Name) {
        let mut state = self.state.lock();
        state.tasks.retain(|added| added.section.name != *task);
        state.link.tell(&Request::Remove { task: task.to_string() });
    }

    fn project_runs(&self, runs: bool) {
        self.state.lock().link.tell(&Request::Runs { runs });
    }

    fn close(&self) {
        self.state.lock().link.tell(&Request::Close);
    }

    fn settle(&self, limit: Duration) -> Option<String> {
        let link = Arc::clone(&self.state.lock().link);
        match link.ask(&Request::Settle { limit }, limit) {
            Ok(late) => late,
            // A process that has ended has nothing left to do.
            Err(_) if link.end().is_some() => None,
            Err(refusal) => Some(refusal.reason),
        }
    }

    fn question(&self, task: Option<&Name>, command: &str) -> Question {
        let link = Arc::clone(&self.state.lock().link);
        let request = Request::Ask { task: task.map(Name::to_string), command: command.to_owned() };
        Box::new(move || link.ask_or(&request, COMMAND_LIMIT, RUN_AGAIN).map(Option::unwrap_or_default))
    }

    fn trouble(&self) -> Option<String> {
        self.state.lock().link.trouble()
    }
}

impl Drop for Isolated {
    fn drop(&mut self) {
        Arc::clone(&self.state.lock().link).let_go();
    }
}
