//! The child's end: makes the engine that it is told to make, and tells it what it is told.

use crate::frame;
use crate::message::{Reply, Request};
use etmem_config::{EngineSection, FaultClass, ProjectSection};
use etmem_engine::{Hosted, Question, Refusal};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::warn;

/// How long an engine gets to close when the daemon is gone or has let go.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Answers the daemon at the other end of `stream` until it lets go or ends; `make` makes the engine. To be called in a
/// process of its own, which is to end after that.
///
/// # Errors
/// The stream breaks, or brings what cannot be read.
pub fn serve(
    mut stream: UnixStream,
    make: impl FnOnce(&ProjectSection, &EngineSection, Duration) -> Result<Arc<dyn Hosted>, Refusal>,
) -> io::Result<()> {
    let answers = Arc::new(Mutex::new(stream.try_clone()?));
    let Some(fields) = frame::read(&mut stream)? else { return Ok(()) };
    let (number, first) = Request::decode(fields).map_err(io::Error::other)?;
    let Request::Open { project, engine, limit } = first else {
        return Err(io::Error::other("the first message is not the one that makes the engine"));
    };
    let engine = match make(&project, &engine, limit) {
        Ok(engine) => engine,
        Err(refusal) => {
            reply(&answers, number, Err(refusal))?;
            // The end is the daemon's to make: one that it does not expect counts as a fault.
            while frame::read(&mut stream)?.is_some() {}
            return Ok(());
        }
    };
    reply(&answers, number, Ok(None))?;
    let ended = pass_on(&mut stream, &answers, &*engine);
    engine.close();
    if let Some(late) = engine.settle(CLOSE_PATIENCE) {
        warn!("{late}");
    }
    ended
}

fn reply(
    answers: &Mutex<UnixStream>,
    number: u64,
    result: Result<Option<String>, Refusal>,
) -> io::Result<()> {
    let mut stream = answers.lock().unwrap_or_else(PoisonError::into_inner);
    frame::write(&mut *stream, &Reply { number, result }.encode())
}

/// Until the stream ends.
fn pass_on(stream: &mut UnixStream, answers: &Arc<Mutex<UnixStream>>, engine: &dyn Hosted) -> io::Result<()> {
    while let Some(fields) = frame::read(stream)? {
        let (number, request) = Request::decode(fields).map_err(io::Error::other)?;
        match request {
            Request::Open { .. } => return Err(io::Error::other("there is an engine already")),
            Request::Add { task, limit } => {
                reply(answers, number, engine.add_task(&task, limit).map(|()| None))?;
            }
            Request::Start { task, processes, limit } => {
                reply(answers, number, engine.start_task(&task, &processes, limit).map(|()| None))?;
            }
            Request::Stop { task } => engine.stop_task(&task),
            Request::Remove { task } => engine.remove_task(&task),
            Request::Runs { runs } => engine.project_runs(runs),
            Request::Close => engine.close(),
            Request::Settle { limit } => reply(answers, number, Ok(engine.settle(limit)))?,
            Request::Ask { task, command } => {
                answer(Arc::clone(answers), number, engine.question(task.as_ref(), &command))?;
            }
        }
    }
    Ok(())
}

/// Answers a question where nothing else waits for it.
fn answer(answers: Arc<Mutex<UnixStream>>, number: u64, question: Question) -> io::Result<()> {
    let refused = Arc::clone(&answers);
    let spawned = thread::Builder::new().spawn(move || {
        if let Err(error) = reply(&answers, number, question().map(Some)) {
            warn!("an answer does not reach the daemon: {error}");
        }
    });
    match spawned {
        Ok(_) => Ok(()),
        Err(error) => {
            let reason = format!("cannot start a thread: {error}");
            reply(&refused, number, Err(Refusal { reason, class: FaultClass::Internal }))
        }
    }
}
