//! The daemon's end: the child, requests to it, and its end.

use crate::end::describe;
use crate::frame;
use crate::message::{Reply, Request};
use etmem_config::FaultClass;
use etmem_engine::Refusal;
use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::{debug, error, warn};

/// How long a child that reads nothing may hold up who writes to it.
const WRITE_PATIENCE: Duration = Duration::from_secs(1);

/// What a child gets beyond what it was told to take, for the way and for a machine that is busy.
const SLACK: Duration = Duration::from_millis(500);

/// How long a child gets to end once it was let go of.
const GRACE: Duration = Duration::from_secs(2);

/// A child that runs, or ran.
#[derive(Debug)]
pub(crate) struct Link {
    /// Whose it is, for the log and for answers.
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
    /// It may end now.
    let_go: bool,
    /// How it ended.
    end: Option<String>,
}

impl Link {
    /// Runs `command` with its end of the socket pair as standard input.
    pub(crate) fn start(label: &str, mut command: Command) -> io::Result<Arc<Self>> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_write_timeout(Some(WRITE_PATIENCE))?;
        let mut reading = ours.try_clone()?;
        // A group of its own: what a terminal sends the daemon, the child learns from the daemon.
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
            while let Ok(Some(fields)) = frame::read(&mut reading) {
                match Reply::decode(fields) {
                    Ok(reply) => listener.deliver(reply),
                    Err(error) => {
                        warn!("{}: its process {}: {error}", listener.label, listener.pid);
                        break;
                    }
                }
            }
            listener.bury(child);
        })?;
        Ok(link)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, reply: Reply) {
        let waiting = self.state().waiting.remove(&reply.number);
        match waiting.map(|waiting| waiting.send(reply)) {
            Some(Ok(())) => {}
            Some(Err(_)) | None => debug!("{}: an answer that nobody waits for", self.label),
        }
    }

    /// Nothing more comes from it: sees that it ends, and how.
    fn bury(&self, mut child: Child) {
        // One that has ended already keeps the status that it ended with.
        let status = child.kill().and_then(|()| child.wait());
        let end = status.map_or_else(|error| format!("is gone ({error})"), describe);
        let mut state = self.state();
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
        self.state().end.clone()
    }

    /// What became of it, as a reason, if it has ended.
    pub(crate) fn trouble(&self) -> Option<String> {
        let end = self.end()?;
        Some(format!("{}: its process {} {end}", self.label, self.pid))
    }

    /// Sends what is not answered; one that has ended does not need it.
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
            let mut state = self.state();
            state.last += 1;
            let number = state.last;
            if state.end.is_none() {
                state.waiting.insert(number, answer);
            }
            number
        };
        let sent = self.send(request, number);
        let refused = |reason| Refusal { reason, class: FaultClass::Internal };
        match sent.map(|()| answered.recv_timeout(limit.saturating_add(SLACK))) {
            Ok(Ok(reply)) => reply.result,
            Ok(Err(RecvTimeoutError::Disconnected)) => Err(refused(self.reason_of_end())),
            Ok(Err(RecvTimeoutError::Timeout)) => {
                self.state().waiting.remove(&number);
                Err(refused(format!("{}: its process {} does not answer", self.label, self.pid)))
            }
            Err(reason) => {
                self.state().waiting.remove(&number);
                // A socket that breaks is often the first that is seen of an end.
                self.wait_for_end(SLACK);
                Err(refused(self.trouble().map_or(reason, |_| self.reason_of_end())))
            }
        }
    }

    fn reason_of_end(&self) -> String {
        self.trouble().unwrap_or_else(|| format!("{}: its process is gone", self.label))
    }

    /// The same as `ask`; where the process has ended, `advice` follows the reason.
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
        let fields = request.encode(number).map_err(|error| format!("{}: {error}", self.label))?;
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        frame::write(&mut *stream, &fields).map_err(|error| {
            // What was written in part cannot be told from what follows it.
            let _ = stream.shutdown(Shutdown::Both);
            format!("{}: its process {} cannot be told anything: {error}", self.label, self.pid)
        })
    }

    /// Whether it has ended within `limit`.
    fn wait_for_end(&self, limit: Duration) -> bool {
        let state = self.state();
        let waited = self.ended.wait_timeout_while(state, limit, |state| state.end.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.end.is_some()
    }

    /// Lets it close its engine and end; ends it where it does not. Does not wait.
    pub(crate) fn let_go(self: Arc<Self>) {
        self.state().let_go = true;
        let shut = |how| {
            // Fails only where it is shut already.
            let _ = self.stream.lock().unwrap_or_else(PoisonError::into_inner).shutdown(how);
        };
        shut(Shutdown::Write);
        let link = Arc::clone(&self);
        let spawned = thread::Builder::new().name("etmemd-plugin".to_owned()).spawn(move || {
            if !link.wait_for_end(GRACE) {
                warn!("{}: its process {} does not end; it is killed", link.label, link.pid);
                let _ = link.stream.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both);
            }
        });
        if spawned.is_err() {
            shut(Shutdown::Both);
        }
    }
}
