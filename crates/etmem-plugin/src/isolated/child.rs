//! The child's end: makes the engine, and carries out the requests of the daemon with it.

use super::frame;
use super::message::{Numbered, Reply, Request};
use crate::guest::fault;
use etmem_config::{EngineSection, ProjectSection};
use etmem_core::kernel::process::{Pid, ProcessId};
use etmem_core::name::Name;
use etmem_engine::{Hosted, Question, Refusal};
use parking_lot::Mutex;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tracing::warn;

/// How long an engine has to close after the stream has ended.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Answers the daemon at the other end of `stream` until the daemon closes it or ends; `make` makes the engine. Call it in a
/// process of its own that ends after it.
///
/// # Errors
/// The stream fails, or a message cannot be read.
pub fn serve(
    mut stream: UnixStream,
    make: impl FnOnce(&ProjectSection, &EngineSection, Duration) -> Result<Arc<dyn Hosted>, Refusal>,
) -> io::Result<()> {
    let answers = Arc::new(Mutex::new(stream.try_clone()?));
    let Some((number, first)) = frame::read::<Numbered>(&mut stream)? else { return Ok(()) };
    let Request::Open { project, engine, limit } = first else {
        return Err(io::Error::other("the first message is not the one that makes the engine"));
    };
    let engine = match make(&project.into_project()?, &engine.into_engine()?, limit) {
        Ok(engine) => engine,
        Err(refusal) => {
            reply(&answers, number, Err(refusal))?;
            // The daemon closes the stream. If this process ended before, the daemon would report a fault.
            while frame::read::<Numbered>(&mut stream)?.is_some() {}
            return Ok(());
        }
    };
    reply(&answers, number, Ok(None))?;
    let ended = pass_on(&mut stream, &answers, &*engine);
    engine.close();
    if let Some(late) = engine.settle(CLOSE_LIMIT) {
        warn!("{late}");
    }
    ended
}

fn reply(
    answers: &Mutex<UnixStream>,
    number: u64,
    result: Result<Option<String>, Refusal>,
) -> io::Result<()> {
    let mut stream = answers.lock();
    frame::write(&mut *stream, &Reply::new(number, result))
}

/// Carries out requests until the stream ends.
fn pass_on(stream: &mut UnixStream, answers: &Arc<Mutex<UnixStream>>, engine: &dyn Hosted) -> io::Result<()> {
    while let Some((number, request)) = frame::read::<Numbered>(stream)? {
        match request {
            Request::Open { .. } => return Err(io::Error::other("there is an engine already")),
            Request::Add { task, limit } => {
                reply(answers, number, engine.add_task(&task.into_task()?, limit).map(|()| None))?;
            }
            Request::Start { task, processes, limit } => {
                let processes = processes.into_iter().filter_map(process).collect::<Vec<_>>();
                let started = engine.start_task(&name(&task)?, &processes, limit);
                reply(answers, number, started.map(|()| None))?;
            }
            Request::Stop { task } => engine.stop_task(&name(&task)?),
            Request::Remove { task } => engine.remove_task(&name(&task)?),
            Request::Runs { runs } => engine.project_runs(runs),
            Request::Close => engine.close(),
            Request::Settle { limit } => reply(answers, number, Ok(engine.settle(limit)))?,
            Request::Ask { task, command } => {
                let task = task.as_deref().map(name).transpose()?;
                answer(Arc::clone(answers), number, engine.question(task.as_ref(), &command))?;
            }
        }
    }
    Ok(())
}

fn process((pid, start_time): (u32, u64)) -> Option<ProcessId> {
    Some(ProcessId { pid: Pid::new(pid)?, start_time })
}

fn name(text: &str) -> io::Result<Name> {
    Name::new(text).map_err(io::Error::other)
}

/// Answers a question on a thread of its own, so that other requests do not wait for it.
fn answer(answers: Arc<Mutex<UnixStream>>, number: u64, question: Question) -> io::Result<()> {
    let refused = Arc::clone(&answers);
    let spawned = thread::Builder::new().spawn(move || {
        if let Err(error) = reply(&answers, number, question().map(Some)) {
            warn!("an answer cannot be sent to the daemon: {error}");
        }
    });
    match spawned {
        Ok(_) => Ok(()),
        Err(error) => reply(&refused, number, Err(fault(format!("cannot start a thread: {error}")))),
    }
}
