//! The thread of a task that runs.

use crate::stop::Stop;
use crate::sys::library;
use crate::sys::log::log;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a stop waits: a client waits for it.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_millis(700);

/// A thread that works until it is asked to stop.
#[derive(Debug)]
pub(crate) struct Run {
    stop: Arc<Stop>,
    /// Closed when the work is done; nothing is ever sent.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Run {
    /// Runs `work` on a thread of its own; `label` names it in the log.
    pub(crate) fn start(label: String, work: impl FnOnce(&Stop) + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let asked = Arc::clone(&stop);
        let (end, ended) = mpsc::channel();
        let thread = thread::Builder::new().name("etmem-policy".to_owned()).spawn(move || {
            // The work is moved in, so what it owns is dropped before the end is reported.
            if catch_unwind(AssertUnwindSafe(move || work(&asked))).is_err() {
                log(&format!(
                    "{label}: the policy panicked; the task does nothing until it is started again"
                ));
            }
            drop::<mpsc::Sender<()>>(end);
        })?;
        Ok(Self { stop, ended, thread })
    }

    /// Whether the work is done.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Asks the work to stop and waits for at most `deadline`. Returns the run if the work still goes on; its code is kept
    /// loaded then.
    pub(crate) fn stop(self, deadline: Duration) -> Option<Self> {
        self.stop.ask();
        match self.ended.recv_timeout(deadline) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                // A panic was logged. After this the thread runs no code of the plugin.
                let _ = self.thread.join();
                None
            }
            Err(RecvTimeoutError::Timeout) if library::keep_loaded() => Some(self),
            Err(RecvTimeoutError::Timeout) => {
                // The code cannot be kept loaded, so the wait has to be longer.
                let _ = self.thread.join();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn run_ends_when_asked() {
        let run = Run::start("t".into(), |stop| assert!(stop.wait(LONG))).unwrap();
        assert!(run.stop(LONG).is_none());
    }

    #[test]
    fn panic_ends_a_run() {
        let run = Run::start("t".into(), |_| panic!("as planned")).unwrap();
        assert!(run.stop(LONG).is_none());
    }

    #[test]
    fn work_that_ignores_the_request_goes_on() {
        let (go, wait) = mpsc::channel::<()>();
        let run = Run::start("t".into(), move |_| assert!(wait.recv().is_err())).unwrap();
        let run = run.stop(Duration::ZERO).unwrap();
        assert!(!run.has_ended());
        drop(go);
        assert!(run.stop(LONG).is_none());
    }
}
