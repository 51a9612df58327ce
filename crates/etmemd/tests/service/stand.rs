//! A folder with everything a daemon under test needs, and the daemon in the background that has to go with it.

use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::process::{Ran, run};
use etmem_testkit::undo::Undo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Many times what anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Where one test takes place.
pub(crate) struct Stand {
    /// The folder.
    pub(crate) folder: tempfile::TempDir,
    /// A socket name that no other test has.
    pub(crate) socket: String,
}

impl Stand {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("etmemd-service-").tempdir()?;
        let name = folder.path().file_name().context("a folder without a name")?;
        let socket = name.to_string_lossy().into_owned();
        Ok(Self { folder, socket })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// etmemd on the socket of this stand, with its pid file here.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_etmemd"));
        command
            .args(["-s", &self.socket])
            .env("ETMEMD_PID_FILE", self.path("pid"))
            .env("ETMEMD_LOG", "stderr");
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        command
    }

    /// Starts one in the background, which must be there when its starter has ended.
    pub(crate) fn start_in_background(&self) -> Result<InBackground> {
        let started = run(self.command().arg("-m"), LIMIT)?;
        ensure!(started.status == 0 && started.stdout.is_empty(), "{started:?}");
        InBackground::of(&self.path("pid"))
    }
}

/// A daemon that is not a child of this process; ended with this.
pub(crate) struct InBackground {
    pid: i32,
    _ends: Undo,
}

impl InBackground {
    /// The one whose pid is in the file at `path`. It is the program under test, or this fails.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("no pid file {}", path.display()))?;
        let pid: i32 = text.strip_suffix('\n').context("no newline")?.parse()?;
        ensure!(is_etmemd(pid), "process {pid} is not etmemd");
        let ends = Undo::with(move || {
            if is_etmemd(pid) {
                // It fails only when the daemon ends in this moment.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        });
        Ok(Self { pid, _ends: ends })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    pub(crate) fn is_running(&self) -> bool {
        is_etmemd(self.pid)
    }

    /// Ends it as systemd does and waits.
    pub(crate) fn terminate(&self) -> Result<()> {
        self.end_by(Signal::SIGTERM)
    }

    pub(crate) fn end_by(&self, signal: Signal) -> Result<()> {
        ensure!(self.is_running(), "it has ended without a signal");
        kill(Pid::from_raw(self.pid), signal)?;
        WallClock::new().wait_until(LIMIT, "etmemd ends", || Ok(!self.is_running()))?;
        Ok(())
    }
}

/// Whether the process runs the program under test, and is no zombie.
fn is_etmemd(pid: i32) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program == Path::new(env!("CARGO_BIN_EXE_etmemd"))
}

/// What a start that fails looks like: a status, and `words` on standard error.
pub(crate) fn refused(ran: &Ran, words: &[&str]) -> Result<()> {
    ensure!(ran.status == 1, "{ran:?}");
    for word in words {
        ensure!(ran.stderr.contains(word), "standard error does not hold {word:?}: {ran:?}");
    }
    ensure!(ran.stderr.lines().count() == 1, "more than a line: {ran:?}");
    Ok(())
}
