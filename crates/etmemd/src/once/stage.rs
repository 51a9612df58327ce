//! What a command works on: the machine, its clock, and a line that shows how far it is.

use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_linux::pacer::SystemPacer;
use nix::sys::signal::{SigSet, Signal};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write, stderr};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A clock that stops when the user asks to end (Ctrl-C, SIGTERM, SIGHUP). Asked twice, the program ends at once.
///
/// Called before any other thread starts.
///
/// # Errors
/// Signals cannot be received.
pub(super) fn clock() -> io::Result<Arc<SystemPacer>> {
    let pacer = Arc::new(SystemPacer::new());
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let stopped = Arc::clone(&pacer);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.wait().is_ok() {
            stopped.stop();
        }
        if let Ok(signal) = signals.wait() {
            process::exit(128 + signal as i32);
        }
    })?;
    Ok(pacer)
}

/// A line on the terminal that says how far the work is. There is none if standard error is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
}

/// To the beginning of the line, and all of it cleared.
const CLEAR: &str = "\r\x1b[K";

impl Progress {
    pub(super) fn new() -> Self {
        Self { is_terminal: stderr().is_terminal() }
    }

    /// Shows `line` in the place of the one before.
    pub(super) fn show(&self, line: &dyn Display) {
        if self.is_terminal {
            // Where the terminal is gone, there is no one to see it.
            let _ = write!(stderr(), "{CLEAR}{line}");
        }
    }

    /// Waits for `duration`, and shows once a second how much of it is left.
    pub(super) fn wait(
        &self,
        duration: Duration,
        pacer: &dyn Pacer,
        line: impl Fn(Duration) -> String,
    ) -> Pace {
        let end = pacer.now() + duration;
        loop {
            let left = end.saturating_sub(pacer.now());
            if left.is_zero() {
                return pacer.pace();
            }
            self.show(&line(left));
            let step = if self.is_terminal { left.min(Duration::from_secs(1)) } else { left };
            if pacer.pause(step) == Pace::Stop {
                return Pace::Stop;
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show(&"");
    }
}
