//! The daemon's end: the child, requests to it, and its end.

use super::end::describe;
use super::frame;
use super::message::{Reply, Request};
use crate::guest::fault;
use etmem_engine::Refusal;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;
use tracing::{debug, error, warn};

/// How long a child that reads nothing can delay a request.
const WRITE_LIMIT: Duration = Duration::from_secs(1);

/// How much longer than its limit a request waits, for the way to the child and for a busy machine.
const SLACK: Duration = Duration::from_millis(500);

/// How long a child has to end after its stream was closed.
const GRACE: Duration = Duration::from_secs(2);

/// A child that runs, or ran.
#[derive(Debug)]
pub(crate) struct Link {
    /// Names the engine, in the log and in answers.
    label: String,
    stream: Mutex<UnixStream>,
    pub(crate) pid: u32,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    waiting: HashMap<u64, Sender<Reply>>,
    /// Its engine was closed, so its end is expected.
    let_go: bool,
    /// How it ended.
    end: Option<String>,
}

impl Link {
    /// Runs `command` with its end of the socket pair as standard input.
    pub(crate) fn start(label: &str, mut command: Command) -> io::Result<Arc<Self>> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_write_timeout(Some(WRITE_LIMIT))?;
        let mut reading = ours.try_clone()?;
        // A process group of its own: signals of a terminal reach the daemon, which then ends the child.
        let child = command.stdin(OwnedFd::from(theirs)).process_group(0).spawn()?;
        drop(command);
        let link = Arc::new(Self {
            label: label.to_owned(),
            stream: Mutex::new(ours),
            pid: child.id(),
            state: Mutex::default(),
            ended: Condvar::new(),
        });
        let listener = Arc::clone(&link);
        thread::Builder::new().name("etmemd-plugin".to_owned()).spawn(move || {
            loop {
                match frame::read::<Reply>(&mut reading) {
                    Ok(Some(reply)) => listener.deliver(reply),
                    Ok(None) => break,
                    Err(error) => {
                        debug!("{}: its process {}: {error}", listener.label, listener.pid);
                        break;
                    }
                }
            }
            listener.bury(child);
        })?;
        Ok(link)
    }

    fn deliver(&self, reply: Reply) {
        let waiting = self.state.lock().waiting.remove(&reply.number);
        match waiting.map(|waiting| waiting.send(reply)) {
            Some(Ok(())) => {}
            Some(Err(_)) | None => debug!("{}: an answer came after its limit", self.label),
        }
    }

    /// The stream has ended: ends the child and records how it ended.
    fn bury(&self, mut child: Child) {
        // A child that has ended already keeps its exit status.
        let status = child.kill().and_then(|()| child.wait());
        let end = status.map_or_else(|error| format!("is gone ({error})"), describe);
        let mut state = self.state.lock();
        if state.let_go {
            debug!("{}: its process {} {end}", self.label, self.pid);
        } else {
            error!(
                "{}: its process {} {end}; its tasks stand still: stop the project and start it to run them again",
                self.label, self.pid
            );
        }
        state.end = Some(end);
        state.waiting.clear();
        self.ended.notify_all();
    }

    /// How it ended, if it has.
    pub(crate) fn end(&self) -> Option<String> {
        self.state.lock().end.clone()
    }

    /// How it ended, as a reason, if it has ended.
    pub(crate) fn trouble(&self) -> Option<String> {
        let end = self.end()?;
        Some(format!("{}: its process {} {end}", self.label, self.pid))
    }

    /// Sends a request that is not answered. A child that has ended does not need it.
    pub(crate) fn tell(&self, request: &Request) {
        debug_assert!(!request.is_answered());
        if let Err(reason) = self.send(request, 0) {
            debug!("{reason}");
        }
    }

    /// Sends `request` and waits for its answer for `limit` and a little more.
    pub(crate) fn ask(&self, request: &Request, limit: Duration) -> Result<Option<String>, Refusal> {
        debug_assert!(request.is_answered());
        let (answer, answered) = mpsc::channel();
        let number = {
            let mut state = self.state.lock();
            state.last += 1;
            let number = state.last;
            if state.end.is_none() {
                state.waiting.insert(number, answer);
            }
            number
        };
        let sent = self.send(request, number);
        match sent.map(|()| answered.recv_timeout(limit.saturating_add(SLACK))) {
            Ok(Ok(reply)) => reply.into_result(),
            Ok(Err(RecvTimeoutError::Disconnected)) => Err(fault(self.reason_of_end())),
            Ok(Err(RecvTimeoutError::Timeout)) => {
                self.state.lock().waiting.remove(&number);
                Err(fault(format!("{}: its process {} does not answer", self.label, self.pid)))
            }
            Err(reason) => {
                self.state.lock().waiting.remove(&number);
                // A broken socket is often the first sign of an end.
                self.wait_for_end(SLACK);
                Err(fault(self.trouble().map_or(reason, |_| self.reason_of_end())))
            }
        }
    }

    fn reason_of_end(&self) -> String {
        self.trouble().unwrap_or_else(|| format!("{}: its process is gone", self.label))
    }

    /// The same as `ask`; if the process has ended, `advice` follows the reason.
    pub(crate) fn ask_or(
        &self,
        request: &Request,
        limit: Duration,
        advice: &str,
    ) -> Result<Option<String>, Refusal> {
        self.ask(request, limit).map_err(|refusal| match self.end() {
            Some(_) => Refusal { reason: format!("{}; {advice}", refusal.reason), ..refusal },
            None => refusal,
        })
    }

    fn send(&self, request: &Request, number: u64) -> Result<(), String> {
        let mut stream = self.stream.lock();
        frame::write(&mut *stream, &(number, request)).map_err(|error| {
            // After a message in part, the child could not find the next one.
            let _ = stream.shutdown(Shutdown::Both);
            format!("{}: cannot send to its process {}: {error}", self.label, self.pid)
        })
    }

    /// Whether it has ended within `limit`.
    fn wait_for_end(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        self.ended.wait_while_for(&mut state, |state| state.end.is_none(), limit);
        state.end.is_some()
    }

    /// Lets the child close its engine and end, and kills it if it does not end in time. Does not wait.
    pub(crate) fn let_go(self: Arc<Self>) {
        self.state.lock().let_go = true;
        let shut = |how| {
            // It fails only if it is shut already.
            let _ = self.stream.lock().shutdown(how);
        };
        shut(Shutdown::Write);
        let link = Arc::clone(&self);
        let spawned = thread::Builder::new().name("etmemd-plugin".to_owned()).spawn(move || {
            if !link.wait_for_end(GRACE) {
                warn!("{}: its process {} does not end; it is killed", link.label, link.pid);
                let _ = link.stream.lock().shutdown(Shutdown::Both);
            }
        });
        if spawned.is_err() {
            shut(Shutdown::Both);
        }
    }
}
