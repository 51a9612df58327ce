//! The process of a daemon that is to be killed, in the foreground or in the background.

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

/// A running daemon. This program is a subreaper: it becomes the parent of a daemon in the background, so the kernel gives
/// that pid to no other process before the daemon's end was waited for here.
#[derive(Debug)]
pub(crate) struct DaemonProcess {
    /// The daemon, or the process that starts it in the background.
    started: Running,
    /// The pid of a daemon in the background; none inside once it has ended.
    background: Option<Arc<Mutex<Option<Pid>>>>,
    log: PathBuf,
    _goes: Option<Undo>,
}

impl DaemonProcess {
    /// Starts `command`, which logs to `log`. With a pid file, the daemon is what `command` leaves in the background.
    pub(crate) fn spawn(command: &mut Command, log: &Path, pid_file: Option<&Path>) -> Result<Self> {
        let file = File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let (started, _) = Running::start(command)?;
        let mut daemon = Self { started, background: None, log: log.to_owned(), _goes: None };
        if let Some(pid_file) = pid_file {
            daemon.find_in_background(pid_file)?;
        }
        Ok(daemon)
    }

    /// Finds the daemon in the background: a child of the process that starts it, until that one ends.
    fn find_in_background(&mut self, pid_file: &Path) -> Result<()> {
        let children = format!("/proc/{0}/task/{0}/children", self.started.pid());
        let clock = WallClock::new();
        let mut found = None;
        while found.is_none() {
            ensure!(clock.now() < LIMIT, "there is no process in the background:\n{}", self.log());
            let text = match self.started.ended()?.map(code) {
                None => fs::read_to_string(&children).unwrap_or_default(),
                Some(0) => fs::read_to_string(pid_file)?,
                Some(status) => bail!("the process that starts it ended with {status}:\n{}", self.log()),
            };
            found = text.split_whitespace().next().map(str::parse).transpose()?;
            // The kill comes soon.
            ensure!(clock.pause(Duration::from_micros(200)) == Pace::Continue, "stopped");
        }
        let background = Arc::new(Mutex::new(found.map(Pid::from_raw)));
        let held = Arc::clone(&background);
        self._goes = Some(Undo::with(move || {
            if let Some(pid) = *held.lock().unwrap_or_else(PoisonError::into_inner) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }));
        self.background = Some(background);
        Ok(())
    }

    /// The daemon's pid, until its end was waited for.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.background {
            None => Some(self.started.pid()),
            Some(background) => {
                let pid = *background.lock().unwrap_or_else(PoisonError::into_inner);
                pid.and_then(|pid| u32::try_from(pid.as_raw()).ok())
            }
        }
    }

    /// Its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How it has ended: its status, none while it runs.
    pub(crate) fn ended(&self) -> Result<Option<i32>> {
        let started = self.started.ended()?.map(code);
        let Some(background) = &self.background else { return Ok(started) };
        // Until the starting process ends, only it can wait for the daemon.
        let Some(status) = started else { return Ok(None) };
        let mut background = background.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pid) = *background else { return Ok(Some(status)) };
        let ended = match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, status)) => status,
            Ok(WaitStatus::Signaled(_, signal, _)) => 128 + signal as i32,
            Ok(_) => return Ok(None),
            Err(Errno::ECHILD) => status,
            Err(error) => return Err(error.into()),
        };
        *background = None;
        Ok(Some(ended))
    }

    /// Sends a signal to the daemon, unless it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let Some(background) = &self.background else { return self.started.signal(signal) };
        if self.ended()?.is_none()
            && let Some(pid) = *background.lock().unwrap_or_else(PoisonError::into_inner)
        {
            match kill(pid, signal) {
                // It has ended, and the process that started it has waited for it.
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
