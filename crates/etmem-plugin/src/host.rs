//! The engine of a plugin: one thread calls its functions, one after the other, and no wait for them is without a limit.
//!
//! ```text
//! registry ── a request, with a limit for the wait ──▶ queue ──▶ the thread ──▶ Guest (the plugin)
//!          ◀── done, refused, or "has not returned" ─────────────────┘
//! ```
//!
//! A plugin that does not return is left alone. The request that waited is refused with a reason, and each later one at once,
//! until the plugin returns. A request whose wait is over is not begun, or is undone if it succeeds late: so the plugin has
//! what the registry has, once it returned. Stopping and removing are never undone, only late.

#[cfg(test)]
mod tests;

use crate::answer::{self, Written};
use crate::current_call::CurrentCall;
use crate::guest::{EngineTerms, Guest, TaskTerms, fault};
use etmem_config::TaskSection;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::ProcessId;
use etmem_core::name::Name;
use etmem_engine::{Hosted, Question, Refusal};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;
use tracing::{error, info};

/// How long a client waits for the answer to an engine command. Clients of etmem 1.x give up after ten seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);

/// As large as the stack of the main thread, on which etmem 1.x called plugins.
const STACK_BYTES: usize = 8 << 20;

/// The kernel's limit for a thread's name.
const THREAD_NAME: &str = "etmemd-plugin";

type Job = Box<dyn FnOnce(&mut dyn Guest) + Send>;

enum Message {
    Job(Job),
    Close,
}

/// An engine whose policy is a plugin.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    name: String,
    library: String,
    messages: Sender<Message>,
    call: Arc<CurrentCall>,
    clock: Arc<dyn Pacer>,
}

/// Whether an outcome is waited for, or was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
    Delivered,
}

type Ticket = Arc<Mutex<Wanted>>;

/// Delivers the outcome, or gives it back if the wait is over.
fn deliver<T>(ticket: &Ticket, answers: &Sender<T>, outcome: T) -> Option<T> {
    let mut wanted = ticket.lock();
    if *wanted != Wanted::Yes {
        return Some(outcome);
    }
    *wanted = Wanted::Delivered;
    answers.send(outcome).err().map(|unsent| unsent.0)
}

fn is_unwanted(ticket: &Ticket) -> bool {
    *ticket.lock() == Wanted::No
}

impl Host {
    /// Starts the thread and makes the guest there by `open`. Waits for at most `limit`.
    pub(crate) fn open<G: Guest + 'static>(
        terms: EngineTerms,
        clock: Arc<dyn Pacer>,
        limit: Duration,
        open: impl FnOnce(&EngineTerms, &Arc<CurrentCall>) -> Result<G, Refusal> + Send + 'static,
    ) -> Result<Self, Refusal> {
        let (messages, queue) = mpsc::channel();
        let call = Arc::<CurrentCall>::default();
        let (name, library) = (terms.name.clone(), terms.library.display().to_string());
        let host = Self { name, library, messages, call: Arc::clone(&call), clock };
        let ticket: Ticket = Arc::new(Mutex::new(Wanted::Yes));
        let (answers, answer) = mpsc::channel();
        let its_ticket = Arc::clone(&ticket);
        let serve = move || {
            let opened = call.busy(|| {
                let (outcome, guest) = match open(&terms, &call) {
                    Ok(guest) => (Ok(()), Some(guest)),
                    Err(refusal) => (Err(refusal), None),
                };
                // If the wait is over, the guest is dropped at once.
                let is_delivered = deliver(&its_ticket, &answers, outcome).is_none();
                guest.filter(|_| is_delivered)
            });
            if let Some(guest) = opened {
                serve(Box::new(guest), &queue, &call);
            }
        };
        let spawned =
            thread::Builder::new().name(THREAD_NAME.to_owned()).stack_size(STACK_BYTES).spawn(serve);
        spawned.map_err(|error| host.named(fault(format!("cannot start a thread: {error}"))))?;
        host.await_outcome(&ticket, &answer, limit)?;
        info!("engine {}: loaded {}", host.name, host.library);
        Ok(host)
    }

    /// Queues `run` and waits for at most `limit`. If it succeeds later than that, `undo` follows.
    fn perform<T: Send + 'static>(
        &self,
        limit: Duration,
        run: impl FnOnce(&mut dyn Guest) -> Result<T, Refusal> + Send + 'static,
        undo: impl FnOnce(&mut dyn Guest, T) + Send + 'static,
    ) -> Result<T, Refusal> {
        self.check_returned()?;
        let ticket: Ticket = Arc::new(Mutex::new(Wanted::Yes));
        let (answers, answer) = mpsc::channel();
        let its_ticket = Arc::clone(&ticket);
        self.send(move |guest| {
            if is_unwanted(&its_ticket) {
                return;
            }
            let outcome = run(guest);
            if let Some(Ok(done)) = deliver(&its_ticket, &answers, outcome) {
                undo(guest, done);
            }
        });
        self.await_outcome(&ticket, &answer, limit)
    }

    /// The outcome, or after `limit` a refusal.
    fn await_outcome<T>(
        &self,
        ticket: &Ticket,
        answer: &Receiver<Result<T, Refusal>>,
        limit: Duration,
    ) -> Result<T, Refusal> {
        let outcome = match answer.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => {
                let mut wanted = ticket.lock();
                if *wanted == Wanted::Yes {
                    *wanted = Wanted::No;
                    self.call.give_up();
                    let stuck = self.stuck();
                    error!("{stuck}");
                    return Err(stuck);
                }
                drop(wanted);
                answer.recv().map_err(|_| RecvTimeoutError::Disconnected)
            }
            outcome => outcome,
        };
        match outcome {
            Ok(outcome) => outcome.map_err(|refusal| self.named(refusal)),
            Err(_) => Err(self.gone()),
        }
    }

    /// Queues `run` and does not wait.
    fn send(&self, run: impl FnOnce(&mut dyn Guest) + Send + 'static) {
        // Without the thread, the engine is closed.
        let _ = self.messages.send(Message::Job(Box::new(run)));
    }

    /// Refuses if the plugin has not returned from an earlier call in time.
    fn check_returned(&self) -> Result<(), Refusal> {
        if self.call.is_given_up() { Err(self.stuck()) } else { Ok(()) }
    }

    fn named(&self, refusal: Refusal) -> Refusal {
        Refusal { reason: format!("engine {}: {}", self.name, refusal.reason), ..refusal }
    }

    fn gone(&self) -> Refusal {
        self.named(fault("is removed; add it again"))
    }

    fn stuck(&self) -> Refusal {
        self.named(fault(format!(
            "{} has not returned from {}; until it does, requests to it are refused (if it never does, restart etmemd)",
            self.library,
            self.call.function()
        )))
    }

    fn late(&self) -> String {
        let late = fault(format!(
            "{} has not returned from {}; the request is carried out once it does",
            self.library,
            self.call.function()
        ));
        self.named(late).reason
    }

    /// Passes `command` to the plugin and reads what it writes.
    fn ask(&self, task: Option<String>, command: String) -> Result<String, Refusal> {
        self.check_returned()?;
        let end = self.clock.now() + ANSWER_LIMIT;
        let (reader, writer) = answer::pipe().map_err(|refusal| self.named(refusal))?;
        let ticket: Ticket = Arc::new(Mutex::new(Wanted::Yes));
        let (answers, answer) = mpsc::channel();
        let its_ticket = Arc::clone(&ticket);
        self.send(move |guest| {
            let answer::Writer { text, done } = writer;
            if is_unwanted(&its_ticket) {
                return;
            }
            let outcome = guest.answer(task.as_deref(), &command, text.into());
            let _ = deliver(&its_ticket, &answers, outcome);
            drop(done);
        });
        let written = reader.read(&*self.clock, end);
        let limit = end.saturating_sub(self.clock.now());
        let outcome = self.await_outcome(&ticket, &answer, limit);
        match (written, outcome) {
            (Written::Late, Ok(())) => Err(self.named(fault("answered too late; ask again"))),
            (Written::TooLong, _) => Err(self.named(answer::too_long())),
            (Written::Late, Err(refusal)) => Err(refusal),
            (Written::Whole(bytes), outcome) => {
                let text = answer::text(bytes).map_err(|refusal| self.named(refusal))?;
                outcome.map(|()| text.clone()).map_err(|refusal| with_text(refusal, &text))
            }
        }
    }
}

/// A refusal, with the text that the plugin wrote.
fn with_text(refusal: Refusal, text: &str) -> Refusal {
    let text = text.trim_end();
    if text.is_empty() {
        return refusal;
    }
    Refusal { reason: format!("{}; it wrote: {text}", refusal.reason), ..refusal }
}

/// Does the jobs of the queue, until the engine is closed or dropped.
fn serve(mut guest: Box<dyn Guest>, queue: &Receiver<Message>, call: &CurrentCall) {
    while let Ok(Message::Job(job)) = queue.recv() {
        call.busy(|| job(&mut *guest));
    }
    call.busy(|| drop(guest));
}

impl Hosted for Host {
    fn add_task(&self, task: &TaskSection, limit: Duration) -> Result<(), Refusal> {
        let terms = TaskTerms::new(task)?;
        let name = terms.name.clone();
        self.perform(limit, move |guest| guest.add_task(&terms), move |guest, ()| guest.remove_task(&name))
    }

    fn start_task(&self, task: &Name, processes: &[ProcessId], limit: Duration) -> Result<(), Refusal> {
        let (name, its_name) = (task.to_string(), task.to_string());
        let processes: Vec<u32> = processes.iter().map(|process| process.pid.get()).collect();
        self.perform(
            limit,
            move |guest| guest.start_task(&name, &processes),
            move |guest, ()| guest.stop_task(&its_name),
        )
    }

    fn stop_task(&self, task: &Name) {
        let name = task.to_string();
        self.send(move |guest| guest.stop_task(&name));
    }

    fn remove_task(&self, task: &Name) {
        let name = task.to_string();
        self.send(move |guest| guest.remove_task(&name));
    }

    fn project_runs(&self, runs: bool) {
        self.send(move |guest| guest.project_runs(runs));
    }

    fn close(&self) {
        let _ = self.messages.send(Message::Close);
    }

    fn settle(&self, limit: Duration) -> Option<String> {
        if self.call.is_given_up() {
            return Some(self.late());
        }
        let (done, is_done) = mpsc::channel::<()>();
        self.send(move |_| drop(done));
        match is_done.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => Some(self.late()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn question(&self, task: Option<&Name>, command: &str) -> Question {
        let (host, task, command) = (self.clone(), task.map(Name::to_string), command.to_owned());
        Box::new(move || host.ask(task, command))
    }
}
