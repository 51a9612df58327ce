//! `task show`, once or every second.
//!
//! Watching outlives the daemon: its end is reported once, and the answers of a new daemon are shown once it listens.

use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use etmem_wire::{Request, SocketName, Status, TaskForm};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::connection::{ANSWER_LIMIT, ask};
use crate::failure::Failure;

/// From an answer to the next request.
const PERIOD: Duration = Duration::from_secs(1);

/// Moves the cursor to the top of the terminal and clears the screen.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// How the answer of a daemon begins that takes the request for `project show`: of the original, or of an older version.
const PROJECT_SHOW: [&[u8]; 2] = [b"project: ", b"no project exists"];

/// A request to show tasks.
#[derive(Debug)]
pub(crate) struct TaskShow {
    pub(crate) request: Request,
    pub(crate) form: TaskForm,
    pub(crate) watch: bool,
}

impl TaskShow {
    /// Asks the daemon at `socket`, and prints its answers.
    pub(crate) fn run(&self, socket: &SocketName, out: &mut dyn Write) -> Result<Status, Failure> {
        let mut shown = 0_u64;
        let mut missing = false;
        loop {
            match self.answer(socket) {
                Ok((status, answer)) => {
                    match self.show(&answer, shown, out) {
                        // The reader has closed the pipe.
                        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Status::Success),
                        printed => printed.map_err(Failure::Output)?,
                    }
                    if !self.watch || status == Status::Failure {
                        return Ok(status);
                    }
                    shown += 1;
                    missing = false;
                }
                Err(failure) if shown > 0 && is_absence(&failure) => {
                    if !missing {
                        // If standard error cannot be written, watching goes on.
                        let _ =
                            writeln!(stderr(), "etmem: {failure}; asking again each second, Ctrl-C ends it");
                    }
                    missing = true;
                }
                Err(failure) => return Err(failure),
            }
            if is_closed(PERIOD).map_err(Failure::Output)? {
                return Ok(Status::Success);
            }
        }
    }

    fn answer(&self, socket: &SocketName) -> Result<(Status, Vec<u8>), Failure> {
        let mut answer = Vec::new();
        let status = ask(socket, &self.request, ANSWER_LIMIT, &mut answer)?;
        if status == Status::Success && PROJECT_SHOW.iter().any(|begin| answer.starts_with(begin)) {
            return Err(Failure::Unknown { command: "task show", socket: socket.clone() });
        }
        Ok((status, answer))
    }

    /// Prints an answer, after `before` others.
    fn show(&self, answer: &[u8], before: u64, out: &mut dyn Write) -> io::Result<()> {
        if self.form == TaskForm::Text && self.watch {
            if stdout().is_terminal() {
                out.write_all(CLEAR)?;
            } else if before > 0 {
                out.write_all(b"\n")?;
            }
        }
        out.write_all(answer)?;
        out.flush()
    }
}

/// Whether the daemon is absent, which may change.
pub(crate) fn is_absence(failure: &Failure) -> bool {
    use Failure::{Busy, Connect, HalfAnAnswer, Lost, NoAnswer, Silent};
    matches!(failure, Connect { .. } | Busy { .. } | Lost { .. } | Silent { .. } | NoAnswer | HalfAnAnswer)
}

/// Lets `period` pass, or returns true as soon as the reader of standard output is gone.
pub(crate) fn is_closed(period: Duration) -> io::Result<bool> {
    let out = stdout();
    let mut watched = [PollFd::new(out.as_fd(), PollFlags::empty())];
    match poll(&mut watched, PollTimeout::try_from(period).unwrap_or(PollTimeout::MAX)) {
        Ok(events) => Ok(events > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
