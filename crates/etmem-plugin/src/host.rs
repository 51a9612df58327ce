//! The engine of a plugin: a thread on which its functions are called, one after the other, and a bound to how long
//! anybody waits for them.
//!
//! ```text
//! registry ── what is told, with a time to wait ──▶ queue ──▶ the thread ──▶ Guest (the plugin)
//!          ◀── done, refused, or "has not returned" ──────────────┘
//! ```
//!
//! A plugin that does not return is left alone: whoever waited gets a reason, and everybody after that at once, until
//! it does return. What nobody waits for any more is not begun, or taken back when it succeeds after all: so what the
//! registry holds is what the plugin has, once it returned. Stopping and removing are never taken back, only late.

#[cfg(test)]
mod tests;

use crate::answer::{self, Written};
use crate::guest::{EngineTerms, Guest, TaskTerms, Watch, fault};
use etmem_config::TaskSection;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::ProcessId;
use etmem_core::name::Name;
use etmem_engine::{Hosted, Question, Refusal};
use std::fmt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::{error, info};

/// How long a client waits for the answer to an engine command. Those of etmem 1.x give up after ten seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);

/// What etmem 1.x called plugins on, its main thread, had.
const STACK_BYTES: usize = 8 << 20;

/// The kernel's limit for a thread's name.
const THREAD_NAME: &str = "etmemd-plugin";

type Job = Box<dyn FnOnce(&mut dyn Guest) + Send>;

enum Message {
    Job(Job),
    Close,
}

/// An engine whose policy is a plugin's.
#[derive(Clone)]
pub(crate) struct Host {
    name: String,
    library: String,
    messages: Sender<Message>,
    watch: Arc<Watch>,
    clock: Arc<dyn Pacer>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.name)
            .field("library", &self.library)
            .finish_non_exhaustive()
    }
}

/// Whether somebody waits for what is being done, or has its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
    Told,
}

type Ticket = Arc<Mutex<Wanted>>;

/// Tells the outcome to whoever waits; gives it back where nobody does.
fn tell<T>(ticket: &Ticket, teller: &Sender<T>, outcome: T) -> Option<T> {
    let mut wanted = ticket.lock().unwrap_or_else(PoisonError::into_inner);
    if *wanted != Wanted::Yes {
        return Some(outcome);
    }
    *wanted = Wanted::Told;
    teller.send(outcome).err().map(|unsent| unsent.0)
}

fn is_unwanted(ticket: &Ticket) -> bool {
    *ticket.lock().unwrap_or_else(PoisonError::into_inner) == Wanted::No
}

impl Host {
    /// Starts the thread and makes the guest there by `open`. Waits for at most `limit`.
    pub(crate) fn open<G: Guest + 'static>(
        terms: EngineTerms,
        clock: Arc<dyn Pacer>,
        limit: Duration,
        open: impl FnOnce(&EngineTerms, &Arc<Watch>) -> Result<G, Refusal> + Send + 'static,
    ) -> Result<Self, Refusal> {
        let (messages, queue) = mpsc::channel();
        let watch = Arc::<Watch>::default();
        let (name, library) = (terms.name.clone(), terms.library.display().to_string());
        let host = Self { name, library, messages, watch: Arc::clone(&watch), clock };
        let ticket: Ticket = Arc::new(Mutex::new(Wanted::Yes));
        let (teller, told) = mpsc::channel();
        let its_ticket = Arc::clone(&ticket);
        let serve = move || {
            let opened = watch.busy(|| {
                let (outcome, guest) = match open(&terms, &watch) {
                    Ok(guest) => (Ok(()), Some(guest)),
                    Err(refusal) => (Err(refusal), None),
                };
                // Where nobody waits any more, it goes at once.
                let is_heard = tell(&its_ticket, &teller, outcome).is_none();
                guest.filter(|_| is_heard)
            });
            if let Some(guest) = opened {
                serve(Box::new(guest), &queue, &watch);
            }
        };
        let spawned =
            thread::Builder::new().name(THREAD_NAME.to_owned()).stack_size(STACK_BYTES).spawn(serve);
        spawned.map_err(|error| host.named(fault(format!("cannot start a thread: {error}"))))?;
        host.await_outcome(&ticket, &told, limit)?;
        info!("engine {}: loaded {}", host.name, host.library);
        Ok(host)
    }

    /// Has `run` done, and waits for at most `limit`. Done after that, it is taken back by `undo`.
    fn call<T: Send + 'static>(
        &self,
        limit: Duration,
        run: impl FnOnce(&mut dyn Guest) -> Result<T, Refusal> + Send + 'static,
        undo: impl FnOnce(&mut dyn Guest, T) + Send + 'static,
    ) -> Result<T, Refusal> {
        self.check_patience()?;
        let ticket: Ticket = Arc::new(Mutex::new(Wanted::Yes));
        let (teller, told) = mpsc::channel();
        let its_ticket = Arc::clone(&ticket);
        self.send(move |guest| {
            if is_unwanted(&its_ticket) {
                return;
            }
            let outcome = run(guest);
            if let Some(Ok(done)) = tell(&its_ticket, &teller, outcome) {
                undo(guest, done);
            }
        });
        self.await_outcome(&ticket, &told, limit)
    }

    /// The outcome, or after `limit` that there is none.
    fn await_outcome<T>(
        &self,
        ticket: &Ticket,
        told: &Receiver<Result<T, Refusal>>,
        limit: Duration,
    ) -> Result<T, Refusal> {
        let outcome = match told.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => {
                let mut wanted = ticket.lock().unwrap_or_else(PoisonError::into_inner);
                if *wanted == Wanted::Yes {
                    *wanted = Wanted::No;
                    self.watch.give_up();
                    let stuck = self.stuck();
                    error!("{stuck}");
                    return Err(stuck);
                }
                drop(wanted);
                told.recv().map_err(|_| RecvTimeoutError::Disconnected)
            }
            outcome => outcome,
        };
        match outcome {
            Ok(outcome) => outcome.map_err(|refusal| self.named(refusal)),
            Err(_) => Err(self.gone()),
        }
    }

    /// Has `run` done, and does not wait.
    fn send(&self, run: impl FnOnce(&mut dyn Guest) + Send + 'static) {
        // Without a thread there is nothing to tell: the engine is closed.
        let _ = self.messages.send(Message::Job(Box::new(run)));
    }

    fn check_patience(&self) -> Result<(), Refusal> {
        if self.watch.is_given_up() { Err(self.stuck()) } else { Ok(()) }
    }

    fn named(&self, refusal: Refusal) -> Refusal {
        Refusal { reason: format!("engine {}: {}", self.name, refusal.reason), ..refusal }
    }

    fn gone(&self) -> Refusal {
        self.named(fault("is removed; add it again"))
    }

    fn stuck(&self) -> Refusal {
        self.named(fault(format!(
            "{} has not returned from {}; nothing else is asked of it until it does (if it never does, restart etmemd)",
            self.library,
            self.watch.function()
        )))
    }

    /// Hands `command` over and reads what is written.
    fn ask(&self, task: Option<String>, command: String) -> Result<String, Refusal> {
        self.check_patience()?;
        let end = self.clock.now() + ANSWER_LIMIT;
        let (reader, writer) = answer::pipe().map_err(|refusal| self.named(refusal))?;
        let ticket: Ticket = Arc::new(Mutex::new(Wanted::Yes));
        let (teller, told) = mpsc::channel();
        let its_ticket = Arc::clone(&ticket);
        self.send(move |guest| {
            let answer::Writer { text, done } = writer;
            if is_unwanted(&its_ticket) {
                return;
            }
            let outcome = guest.answer(task.as_deref(), &command, text.into());
            let _ = tell(&its_ticket, &teller, outcome);
            drop(done);
        });
        let written = reader.read(&*self.clock, end);
        let limit = end.saturating_sub(self.clock.now());
        let outcome = self.await_outcome(&ticket, &told, limit);
        match (written, outcome) {
            (Written::Late, Ok(())) => Err(self.named(fault("answered when its time was up; ask again"))),
            (Written::TooLong, _) => Err(self.named(answer::too_long())),
            (Written::Late, Err(refusal)) => Err(refusal),
            (Written::Whole(bytes), outcome) => {
                let text = answer::text(bytes).map_err(|refusal| self.named(refusal))?;
                outcome.map(|()| text.clone()).map_err(|refusal| with_text(refusal, &text))
            }
        }
    }
}

/// A refusal with what the plugin wrote beside it.
fn with_text(refusal: Refusal, text: &str) -> Refusal {
    let text = text.trim_end();
    if text.is_empty() {
        return refusal;
    }
    Refusal { reason: format!("{}; it wrote: {text}", refusal.reason), ..refusal }
}

/// Carries out what comes, until the engine is closed or nobody has it any more.
fn serve(mut guest: Box<dyn Guest>, queue: &Receiver<Message>, watch: &Watch) {
    while let Ok(Message::Job(job)) = queue.recv() {
        watch.busy(|| job(&mut *guest));
    }
    watch.busy(|| drop(guest));
}

impl Hosted for Host {
    fn add_task(&self, task: &TaskSection, limit: Duration) -> Result<(), Refusal> {
        let terms = TaskTerms::new(task)?;
        let name = terms.name.clone();
        self.call(limit, move |guest| guest.add_task(&terms), move |guest, ()| guest.remove_task(&name))
    }

    fn start_task(&self, task: &Name, processes: &[ProcessId], limit: Duration) -> Result<(), Refusal> {
        let (name, its_name) = (task.to_string(), task.to_string());
        let processes: Vec<u32> = processes.iter().map(|process| process.pid.get()).collect();
        self.call(
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
        if self.watch.is_given_up() {
            return Some(self.late());
        }
        let (teller, told) = mpsc::channel::<()>();
        self.send(move |_| drop(teller));
        match told.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => Some(self.late()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn question(&self, task: Option<&Name>, command: &str) -> Question {
        let (host, task, command) = (self.clone(), task.map(Name::to_string), command.to_owned());
        Box::new(move || host.ask(task, command))
    }
}

impl Host {
    fn late(&self) -> String {
        let late = fault(format!(
            "{} has not returned from {}; what was asked is done once it does",
            self.library,
            self.watch.function()
        ));
        self.named(late).reason
    }
}
