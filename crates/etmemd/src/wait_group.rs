//! Waiting, for a limited time, until all threads of a group have ended.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Held by a thread of the group until it ends. Nothing is ever sent: that the last one is dropped is the message.
pub(crate) type Member = Sender<Infallible>;

/// A group of threads.
#[derive(Debug)]
pub(crate) struct WaitGroup {
    member: Member,
    ended: Receiver<Infallible>,
}

impl Default for WaitGroup {
    fn default() -> Self {
        let (member, ended) = channel();
        Self { member, ended }
    }
}

impl WaitGroup {
    /// For one more thread.
    pub(crate) fn member(&self) -> Member {
        self.member.clone()
    }

    /// Waits for at most `limit`; whether all threads have ended.
    pub(crate) fn wait(self, limit: Duration) -> bool {
        drop(self.member);
        matches!(self.ended.recv_timeout(limit), Err(RecvTimeoutError::Disconnected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_last_thread_or_with_the_limit() {
        assert!(WaitGroup::default().wait(Duration::ZERO), "an empty group has ended");
        let group = WaitGroup::default();
        let (first, second) = (group.member(), group.member());
        drop(first);
        let thread = std::thread::spawn(move || drop(second));
        assert!(group.wait(Duration::from_secs(60)));
        thread.join().unwrap();
        let group = WaitGroup::default();
        let _member = group.member();
        assert!(!group.wait(Duration::from_millis(1)));
    }
}
