//! Running in the background (`-m`), as systemd's `Type=forking` wants it.
//!
//! ```text
//!  etmemd -m ── starts itself again ─> etmemd -m, in the background
//!      │                                   listens, holds the pid file
//!      │ <────────── "listening" ───────── writes it to standard output, then closes that
//!  exits with 0                            serves
//!
//!      │ <──── the end of that output ──── could not start: the reason is on standard error, which both share
//!  exits with 1
//! ```
//!
//! The program is run again instead of forked, so that nothing of the first process (threads, locks, descriptors)
//! must be safe across a fork, and no line of this needs `unsafe`.

use crate::exit::failed;
use crate::log::Place;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

/// Set in the environment of the process in the background.
const MARK: &str = "ETMEMD_IN_BACKGROUND";

/// What it writes when it listens.
const LISTENING: &str = "listening";

/// Most bytes to read of that.
const LONGEST: u64 = 64;

/// Whether this process is the one in the background.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Starts this program again, in the background, and waits until it listens or ends; the exit status for this process.
pub(crate) fn start() -> ExitCode {
    let end = spawn().and_then(wait);
    end.unwrap_or_else(|error| failed(format_args!("cannot start in the background: {error}")))
}

fn spawn() -> io::Result<Child> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "etmemd".into());
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0(name).args(arguments).env(MARK, "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
}

fn wait(mut child: Child) -> io::Result<ExitCode> {
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output.take(LONGEST)).read_line(&mut said)?;
    }
    if said.trim_end() == LISTENING {
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait()?;
    // If it exited with a status, it has printed the reason.
    if status.code().is_none() {
        eprintln!("etmemd: not started: the process in the background ended by {status} before it listened");
    }
    Ok(ExitCode::FAILURE)
}

/// Leaves the session and the folder that this process was started in.
///
/// # Errors
/// What setsid(2) or chdir(2) answers.
pub(crate) fn leave_session() -> io::Result<()> {
    nix::unistd::setsid()?;
    std::env::set_current_dir("/")
}

/// Tells the waiting process that this one listens, and closes standard output; standard error also, unless the log
/// goes there.
///
/// # Errors
/// When no process waits any more, or there is no /dev/null.
pub(crate) fn tell_listening(place: Place) -> io::Result<()> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    let mut output = io::stdout().lock();
    writeln!(output, "{LISTENING}")?;
    output.flush()?;
    nix::unistd::dup2_stdout(&nowhere)?;
    if place != Place::StandardError {
        nix::unistd::dup2_stderr(&nowhere)?;
    }
    Ok(())
}
