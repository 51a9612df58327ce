//! Waits for requests and runs the command at each, one at a time.
//!
//! ```text
//!             request                       request (kept in the socket)
//! listening ----------> command runs <------------------------------- .
//!     ^                      |                                         |
//!     '----------------------'  its end: what came meanwhile runs it once more
//! ```
//!
//! It ends on SIGTERM, SIGINT and SIGHUP, and when its parent ends; the command that runs is ended first. When the other side ends, as
//! at a stop of the task, it waits until the path is there again.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

use super::watch::{Came, Place, Watch};
use crate::signals::Signals;

/// What the command finds in its environment if it was said how much is wanted.
const WANTED: &str = "ETMEM_WANTED_BYTES";

/// How long until a path that is not there is tried again, in milliseconds.
const TRY_AGAIN: u16 = 5000;

/// That of the command's end, and those that ask to end.
const SIGNALS: [Signal; 4] = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// How long a command has to end after SIGTERM, in milliseconds.
const GRACE: u16 = 2000;

/// Listens at `place` and runs `command` at each request, until a signal ends it.
///
/// # Errors
/// Signals cannot be received.
pub(crate) fn run(place: &Place, command: &[OsString]) -> io::Result<()> {
    let parent = getppid();
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    let signals = Signals::receive(&SIGNALS)?;
    // It ended before the kernel knew that this is to be its end as well.
    if getppid() != parent {
        return Ok(());
    }
    let mut runner = Runner { place, command, signals, watch: None, child: None, said: None };
    while runner.turn()? {}
    runner.end()
}

struct Runner<'a> {
    place: &'a Place,
    command: &'a [OsString],
    signals: Signals,
    watch: Option<Watch>,
    child: Option<Child>,
    /// Why it does not listen, as was said.
    said: Option<String>,
}

impl Runner<'_> {
    /// Waits once and does what is due; whether to go on.
    fn turn(&mut self) -> io::Result<bool> {
        if self.watch.is_none() {
            self.listen();
        }
        let (ended, events) = self.wait()?;
        if ended {
            return Ok(false);
        }
        if let Some(status) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
            self.child = None;
            report(&self.command[0], status);
        }
        if self.child.is_none()
            && let Some(watch) = &mut self.watch
            && !events.is_empty()
        {
            match watch.take(events) {
                Came::Nothing => {}
                Came::End => self.watch = None,
                Came::Request(wanted) => self.start(wanted),
            }
        }
        Ok(true)
    }

    /// Opens the place, or says once why it cannot be opened.
    fn listen(&mut self) {
        match self.place.open() {
            Ok(watch) => (self.watch, self.said) = (Some(watch), None),
            Err(error) => {
                let why = error.to_string();
                if self.said.as_ref() != Some(&why) {
                    eprintln!("etmem: {}: {why}; trying again", self.place.path.display());
                    self.said = Some(why);
                }
            }
        }
    }

    /// Whether one of the signals that came asks to end.
    fn asked_to_end(&self) -> io::Result<bool> {
        let mut end = false;
        while let Some(signal) = self.signals.next()? {
            end |= signal != Signal::SIGCHLD;
        }
        Ok(end)
    }

    /// Waits for a signal, and for a request while no command runs: whether a signal asks to end, and the events of the watch.
    fn wait(&self) -> io::Result<(bool, PollFlags)> {
        let mut files = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let listened = self.watch.as_ref().filter(|_| self.child.is_none());
        files.extend(listened.map(Watch::events).map(|(file, events)| PollFd::new(file, events)));
        let limit = if self.watch.is_none() { PollTimeout::from(TRY_AGAIN) } else { PollTimeout::NONE };
        match poll(&mut files, limit) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = files.get(1).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        Ok((self.asked_to_end()?, events))
    }

    fn start(&mut self, wanted: Option<u64>) {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).env_remove(WANTED);
        if let Some(bytes) = wanted {
            command.env(WANTED, bytes.to_string());
        }
        match command.spawn() {
            Ok(child) => self.child = Some(child),
            Err(error) => eprintln!("etmem: cannot run {}: {error}", self.command[0].display()),
        }
    }

    /// Ends the command that runs.
    fn end(mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        // Not waited for yet, so the number is still its own.
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        while child.try_wait()?.is_none() {
            let mut files = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            if poll(&mut files, PollTimeout::from(GRACE))? == 0 {
                child.kill()?;
                child.wait()?;
                break;
            }
            self.asked_to_end()?;
        }
        Ok(())
    }
}

/// Says how the command ended, if not well.
fn report(program: &OsString, status: ExitStatus) {
    if !status.success() {
        eprintln!("etmem: {} ended with {status}", program.display());
    }
}
