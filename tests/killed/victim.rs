//! A daemon that is there to be killed, in the foreground or in the background.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_testkit::clock::WallClock;
use etmem_testkit::process::{Running, code};
use etmem_testkit::undo::Undo;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Many times what anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A running daemon. This program takes over children of its own that lose their parent, so nobody else gets the pid of one in the
/// background before its end was heard here.
#[derive(Debug)]
pub(crate) struct Victim {
    /// The daemon, or who starts it in the background.
    started: Running,
    /// Who is in the background; none where nobody is any more.
    behind: Option<Arc<Mutex<Option<Pid>>>>,
    log: PathBuf,
    _goes: Option<Undo>,
}

impl Victim {
    /// Starts `command`, which logs to `log`; where there will be a pid file, what it starts is the daemon.
    pub(crate) fn spawn(command: &mut Command, log: &Path, pid_file: Option<&Path>) -> Result<Self> {
        let file = File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let (started, _) = Running::start(command)?;
        let mut victim = Self { started, behind: None, log: log.to_owned(), _goes: None };
        if let Some(pid_file) = pid_file {
            victim.behind_which(pid_file)?;
        }
        Ok(victim)
    }

    /// Finds who is in the background: a child, until who has started it ends.
    fn behind_which(&mut self, pid_file: &Path) -> Result<()> {
        let children = format!("/proc/{0}/task/{0}/children", self.started.pid());
        let clock = WallClock::new();
        let mut found = None;
        while found.is_none() {
            ensure!(clock.now() < LIMIT, "there is no process in the background:\n{}", self.log());
            let text = match self.started.ended()?.map(code) {
                None => fs::read_to_string(&children).unwrap_or_default(),
                Some(0) => fs::read_to_string(pid_file)?,
                Some(status) => bail!("who starts it ended with {status}:\n{}", self.log()),
            };
            found = text.split_whitespace().next().map(str::parse).transpose()?;
            // The kill is soon to come.
            ensure!(clock.pause(Duration::from_micros(200)) == Pace::Continue, "stopped");
        }
        let behind = Arc::new(Mutex::new(found.map(Pid::from_raw)));
        let held = Arc::clone(&behind);
        self._goes = Some(Undo::with(move || {
            if let Some(pid) = *held.lock().unwrap_or_else(PoisonError::into_inner) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }));
        self.behind = Some(behind);
        Ok(())
    }

    /// The daemon's pid, while it was not heard of its end.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.behind {
            None => Some(self.started.pid()),
            Some(behind) => {
                let pid = *behind.lock().unwrap_or_else(PoisonError::into_inner);
                pid.and_then(|pid| u32::try_from(pid.as_raw()).ok())
            }
        }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How it has ended: its status, none while it runs.
    pub(crate) fn ended(&self) -> Result<Option<i32>> {
        let started = self.started.ended()?.map(code);
        let Some(behind) = &self.behind else { return Ok(started) };
        // Until that ends, it is the one to hear of its child's end.
        let Some(status) = started else { return Ok(None) };
        let mut behind = behind.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pid) = *behind else { return Ok(Some(status)) };
        let ended = match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, status)) => status,
            Ok(WaitStatus::Signaled(_, signal, _)) => 128 + signal as i32,
            Ok(_) => return Ok(None),
            Err(Errno::ECHILD) => status,
            Err(error) => return Err(error.into()),
        };
        *behind = None;
        Ok(Some(ended))
    }

    /// Sends a signal to the daemon, unless it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let Some(behind) = &self.behind else { return self.started.signal(signal) };
        if self.ended()?.is_none()
            && let Some(pid) = *behind.lock().unwrap_or_else(PoisonError::into_inner)
        {
            match kill(pid, signal) {
                // It has ended, and who started it has heard of that.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for its end: its status.
    pub(crate) fn wait(&self) -> Result<i32> {
        let mut status = None;
        WallClock::new()
            .wait_until(LIMIT, "the daemon ends", || {
                status = self.ended()?;
                Ok(status.is_some())
            })
            .with_context(|| self.log())?;
        status.context("it ended without a status")
    }
}
