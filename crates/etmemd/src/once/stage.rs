//! What a command works on: the machine, its clock, and a line that shows how far it is.

use crate::cleanup_records;
use crate::scan_claims::CommandClaims;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessId, ProcessTable, Target};
use etmem_core::kernel::wishes::{Tracker, Wishes};
use etmem_engine::{Reason, ReasonName};
use etmem_linux::choice::Interfaces;
use etmem_linux::pacer::SystemPacer;
use etmem_linux::reader::MachineReaders;
use etmem_linux::root::Roots;
use nix::sys::signal::{SigSet, Signal};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::{self, ExitCode};
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

/// What a command works with.
pub(super) struct Once {
    pub(super) kernel: Kernel,
    pub(super) pacer: Arc<SystemPacer>,
    pub(super) readers: MachineReaders,
    pub(super) folder: PathBuf,
}

pub(super) fn refused(text: impl ToString) -> Reason {
    Reason::new(ReasonName::KernelRefused, text.to_string())
}

impl Once {
    /// What a command works with on `target`.
    ///
    /// # Errors
    /// Why it cannot work.
    pub(super) fn new(roots: &Roots, target: &Target) -> Result<Self, Reason> {
        if !nix::unistd::geteuid().is_root() {
            return Err(refused("it reads and moves the memory of other programs: run it as root"));
        }
        let pacer = clock().map_err(|error| refused(format!("signals cannot be received: {error}")))?;
        let interfaces = Interfaces::new(roots.clone());
        let guest = !interfaces.guests(target).is_empty();
        // What DAMON sets in the kernel has to be recorded, and it does not tell pages apart.
        let trackers = [Tracker::Etmem, Tracker::Bpf, Tracker::Idle];
        let mut chosen = Err("there is no way to see which pages are in use".to_owned());
        for tracker in trackers {
            match interfaces.kernel(&Wishes { tracker, guest, ..Wishes::default() }) {
                Ok(found) => {
                    chosen = Ok(found.kernel);
                    break;
                }
                Err(why_not) => chosen = Err(why_not.to_string()),
            }
        }
        let kernel = chosen.map_err(|why_not| refused(format!("{why_not}; see etmem doctor")))?;
        let readers = MachineReaders(roots.proc.clone());
        Ok(Self { kernel, pacer, readers, folder: cleanup_records::folder() })
    }

    pub(super) fn name(&self, process: ProcessId) -> String {
        self.kernel.processes.name(process).unwrap_or_default()
    }

    pub(super) fn claims(&self) -> Result<CommandClaims, Reason> {
        CommandClaims::open(&self.folder)
            .map_err(|error| refused(format!("{}: {error}", self.folder.display())))
    }
}

/// The processes of `target`.
pub(super) fn find(table: &dyn ProcessTable, target: &Target) -> Result<Vec<ProcessId>, Reason> {
    if let Target::Pid(pid) = target {
        table.check(*pid).map_err(|error| Reason::new(ReasonName::NoProcess, error.to_string()))?;
    }
    let found = table.find(target).map_err(|error| Reason::from(&error))?;
    if found.is_empty() {
        let alike = table.alike(target);
        let also = if alike.is_empty() { String::new() } else { format!("; {}", alike.join("; ")) };
        return Err(Reason::new(ReasonName::NoProcess, format!("there is no {target}{also}")));
    }
    Ok(found)
}

/// Prints `text`; the status to exit with, which is `status` if it could be printed.
pub(super) fn print(text: &str, status: u8) -> ExitCode {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that closes its end, such as head(1), has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("etmemd: cannot print what was done: {error}");
            ExitCode::from(3)
        }
        Ok(()) | Err(_) => ExitCode::from(status),
    }
}
