//! Signals that a command waits for itself, as a file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Signals that do nothing but come here.
pub(crate) struct Signals(SigSet, SignalFd);

impl Signals {
    /// Receives `signals`. Call it before there are more threads, which get the mask of this one; the standard library gives its
    /// children an empty one.
    pub(crate) fn receive(signals: &[Signal]) -> io::Result<Self> {
        let set: SigSet = signals.iter().copied().collect();
        set.thread_block()?;
        Ok(Self(set, SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// The next of those that came.
    pub(crate) fn next(&self) -> io::Result<Option<Signal>> {
        let number = self.1.read_signal()?.and_then(|signal| i32::try_from(signal.ssi_signo).ok());
        Ok(number.map(Signal::try_from).transpose()?)
    }

    /// Ends as `signal` does with programs that do not know it.
    pub(crate) fn act_on(&self, signal: Signal) -> io::Result<()> {
        raise(signal)?;
        Ok(self.0.thread_unblock()?)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.1.as_fd()
    }
}
