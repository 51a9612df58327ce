//! Child processes that never outlive who started them, and commands that never hang.
//!
//! Every signal goes to a child that was not waited for yet, so its pid cannot belong to anybody else.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::WallClock;
use crate::undo::Undo;

/// A running child; killed when this is dropped, on a panic and on Ctrl-C.
#[derive(Debug)]
pub struct Running {
    child: Arc<Mutex<Child>>,
    pid: u32,
    _undo: Undo,
}

impl Running {
    /// Starts `command`.
    ///
    /// # Errors
    /// It cannot be started; the message names the program.
    pub fn start(command: &mut Command) -> Result<(Self, Pipes)> {
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let pipes = Pipes { input: child.stdin.take(), output: child.stdout.take() };
        let pid = child.id();
        let child = Arc::new(Mutex::new(child));
        let held = Arc::clone(&child);
        let undo = Undo::with(move || {
            let mut child = lock(&held);
            // Both fail only when it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        });
        Ok((Self { child, pid, _undo: undo }, pipes))
    }

    /// Starts `command` and waits for its first line, which begins with `ready`; what follows that word.
    ///
    /// # Errors
    /// As [`Running::start`], or it says something else.
    pub fn start_ready(command: &mut Command) -> Result<(Self, String)> {
        let (running, pipes) = Self::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let mut line = String::new();
        BufReader::new(pipes.output.context("a pipe")?).read_line(&mut line)?;
        let rest = line.strip_suffix('\n').and_then(|line| line.strip_prefix("ready"));
        let rest = rest.with_context(|| format!("{command:?}: {line:?}"))?.trim_start().to_owned();
        Ok((running, rest))
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        Ok(lock(&self.child).try_wait()?)
    }

    /// Sends a signal, unless it has ended.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = lock(&self.child);
        if child.try_wait()?.is_none() {
            kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        }
        Ok(())
    }

    /// Waits for its end: how it ended, and how long that took.
    ///
    /// # Errors
    /// It is still running after `limit`.
    pub fn wait(&self, limit: Duration) -> Result<(ExitStatus, Duration)> {
        let mut status = None;
        let took = WallClock::new().wait_until(limit, &format!("process {} ends", self.pid), || {
            status = self.ended()?;
            Ok(status.is_some())
        })?;
        Ok((status.context("the process ended without a status")?, took))
    }
}

/// The pipes of a child, where they were asked for.
#[derive(Debug)]
pub struct Pipes {
    /// Its standard input.
    pub input: Option<std::process::ChildStdin>,
    /// Its standard output.
    pub output: Option<std::process::ChildStdout>,
}

/// What a command that ended has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Exit status; 128 and the signal's number where a signal ended it.
    pub status: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

/// Runs a command that has to succeed.
///
/// # Errors
/// As [`run`], or it ended with another status than 0, with all it said.
pub fn success(command: &mut Command, limit: Duration) -> Result<Ran> {
    let ran = run(command, limit)?;
    ensure!(ran.status == 0, "{command:?}: {}\n{}{}", ran.status, ran.stdout, ran.stderr);
    Ok(ran)
}

/// Runs a command to its end. What it writes goes through files, so that much of it cannot block it.
///
/// # Errors
/// It cannot be started, or is still running after `limit` (then it is killed).
pub fn run(command: &mut Command, limit: Duration) -> Result<Ran> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let clock = WallClock::new();
    let (running, _) = Running::start(command)?;
    let (status, _) = running.wait(limit).with_context(|| format!("{command:?} hangs"))?;
    let took = clock.now();
    Ok(Ran { status: code(status), stdout: text(&mut stdout)?, stderr: text(&mut stderr)?, took })
}

/// The exit status as a shell tells it.
pub fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_tells_status_and_both_outputs() {
        let ran =
            run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 7"]), Duration::from_secs(20))
                .unwrap();
        assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (7, "out\n", "err\n"));
    }

    #[test]
    fn one_that_hangs_is_ended_and_named() {
        let error = run(Command::new("sleep").arg("600"), Duration::from_millis(10)).unwrap_err();
        assert!(error.to_string().contains("sleep"), "{error}");
    }

    #[test]
    fn dropping_ends_it() {
        let (running, _) = Running::start(Command::new("sleep").arg("600")).unwrap();
        let child = Arc::clone(&running.child);
        drop(running);
        let status = lock(&child).try_wait().unwrap().unwrap();
        assert_eq!(code(status), 128 + 9);
    }
}
