//! The thread that owns the registry: it receives requests as messages, and carries out one after the other.
//!
//! ```text
//!   a task for each client --\
//!                             >-- Message --> this thread: dispatch(&mut Registry) --> a oneshot for each answer
//!   the watchdog's timer ----/
//! ```
//!
//! The first message starts it: until then a daemon without a folder of configuration files has one thread. While no message comes
//! it does not wake up. When the last [`RegistryHandle`] is dropped, it stops all tasks and ends.

use crate::config_folder::ConfigFolder;
use crate::dispatch::{Reply, dispatch};
use crate::registry::{LONGEST_REQUEST, Registry};
use crate::wait_group::{Member, WaitGroup};
use etmem_wire::Request;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::error;

/// How long tasks have to end when the daemon stops. After that their threads end with the process.
const SHUT_DOWN_LIMIT: Duration = Duration::from_millis(700);

/// What the thread is asked.
pub(crate) enum Message {
    /// To carry out a request.
    Request(Request, oneshot::Sender<Reply>),
    /// Whether it still carries out requests.
    Alive(oneshot::Sender<()>),
}

/// Starts the thread; nothing if the system has none left.
type Start = Box<dyn FnOnce() -> Option<Sender<Message>> + Send>;

/// Sends messages to the thread.
#[derive(Debug, Clone)]
pub(crate) struct RegistryHandle(Arc<LazyLock<Option<Sender<Message>>, Start>>);

impl RegistryHandle {
    fn new(start: Start) -> Self {
        Self(Arc::new(LazyLock::new(start)))
    }

    /// A handle, and where its messages arrive.
    #[cfg(test)]
    pub(crate) fn with_messages() -> (Self, Receiver<Message>) {
        let (sender, messages) = channel();
        (Self::new(Box::new(|| Some(sender))), messages)
    }

    /// Starts the thread now.
    pub(crate) fn begin(&self) {
        LazyLock::force(&self.0);
    }

    /// What comes of `request`; nothing if it failed by a fault of this program.
    pub(crate) async fn carry_out(&self, request: Request) -> Option<Reply> {
        self.ask(|answer| Message::Request(request, answer)).await
    }

    /// Waits until the requests before this one are carried out; false if none is any more.
    pub(crate) async fn is_alive(&self) -> bool {
        self.ask(Message::Alive).await.is_some()
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let messages = LazyLock::force(&self.0).as_ref()?;
        messages.send(message(answer)).ok()?;
        answered.await.ok()
    }
}

/// The thread.
#[derive(Debug)]
pub(crate) struct RegistryThread {
    pub(crate) handle: RegistryHandle,
    thread: WaitGroup,
}

impl RegistryThread {
    /// A thread for `registry`, which begins with the files of a folder where one is named.
    pub(crate) fn new(registry: Registry, folder: Option<PathBuf>) -> Self {
        let thread = WaitGroup::default();
        let member = thread.member();
        let start =
            || spawn(registry, folder, member).inspect_err(|error| error!("cannot start a thread: {error}"));
        let handle = RegistryHandle::new(Box::new(|| start().ok()));
        Self { handle, thread }
    }

    /// Waits until the request that is being carried out is done, and all tasks have ended. No other handle may be left.
    ///
    /// # Errors
    /// When that takes longer than any request may, which is a bug.
    pub(crate) fn end(self) -> Result<(), String> {
        drop(self.handle);
        let has_ended = self.thread.wait(LONGEST_REQUEST + SHUT_DOWN_LIMIT);
        has_ended.then_some(()).ok_or_else(|| "a request does not end".to_owned())
    }
}

fn spawn(mut registry: Registry, folder: Option<PathBuf>, member: Member) -> io::Result<Sender<Message>> {
    let (sender, messages) = channel();
    thread::Builder::new().name("etmemd-registry".to_owned()).spawn(move || {
        let mut folder = folder.map(ConfigFolder::new);
        if let Some(folder) = &mut folder {
            folder.load(&mut registry);
        }
        answer(&messages, |request| dispatch(&mut registry, &mut folder, request));
        registry.shut_down(SHUT_DOWN_LIMIT);
        drop(member);
    })?;
    Ok(sender)
}

/// Answers `messages` until all handles are dropped.
pub(crate) fn answer(messages: &Receiver<Message>, mut carry_out: impl FnMut(&Request) -> Reply) {
    for message in messages {
        match message {
            // The server has stopped before the request had its turn.
            Message::Request(_, answer) if answer.is_closed() => {}
            Message::Request(request, answer) => {
                // Requests change the registry as a whole or not at all, so one that panics leaves it sound.
                let reply = catch_unwind(AssertUnwindSafe(|| carry_out(&request)));
                // The server may have stopped meanwhile.
                let _ = reply.map(|reply| answer.send(reply));
            }
            Message::Alive(answer) => drop(answer.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_wire::Response;

    fn request() -> Request {
        Request::ProjectShow { name: None, verbose: false }
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test)
    }

    #[test]
    fn a_request_that_panics_fails_and_the_next_is_carried_out() {
        let (handle, messages) = RegistryHandle::with_messages();
        let mut requests = 0;
        let thread = thread::spawn(move || {
            answer(&messages, |_| {
                requests += 1;
                assert!(requests > 1, "the first request fails");
                Reply::Response(Response::success("done"))
            });
            requests
        });
        run(async {
            assert!(handle.carry_out(request()).await.is_none());
            assert!(handle.is_alive().await);
            assert!(matches!(handle.carry_out(request()).await, Some(Reply::Response(_))));
        });
        drop(handle);
        assert_eq!(thread.join().unwrap(), 2);
    }

    #[test]
    fn without_a_thread_requests_fail_and_the_daemon_is_not_alive() {
        let handle = RegistryHandle::new(Box::new(|| None));
        run(async {
            assert!(handle.carry_out(request()).await.is_none());
            assert!(!handle.is_alive().await);
        });
    }

    #[test]
    fn a_request_whose_server_has_stopped_is_not_carried_out() {
        let (sender, messages) = channel();
        let (waits, _) = oneshot::channel();
        sender.send(Message::Request(request(), waits)).unwrap();
        drop(sender);
        answer(&messages, |_| panic!("carried out"));
    }
}
