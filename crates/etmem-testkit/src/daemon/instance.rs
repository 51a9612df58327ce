//! A daemon for one test: on a socket of its own, with its log in a file, ended when this is dropped.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::binaries::Binaries;
use crate::clock::WallClock;
use crate::pagemap;
use crate::process::{self, Ran, Running};
use crate::undo::Undo;

const START_LIMIT: Duration = Duration::from_secs(20);
/// The client gives up after ten seconds.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A running `etmemd`.
#[derive(Debug)]
pub struct Daemon {
    binaries: Binaries,
    socket: String,
    folder: PathBuf,
    running: Running,
    // After the daemon, which writes its log there.
    _folder_goes: Undo,
}

/// How a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status.
    pub status: i32,
    /// From the signal to the end.
    pub took: Duration,
}

impl Daemon {
    /// Starts one that logs everything, and waits until it listens.
    ///
    /// # Errors
    /// It ends instead; the message holds its log.
    pub fn start(binaries: &Binaries) -> Result<Self> {
        Self::start_with(binaries, &[])
    }

    /// Starts one whose `/proc` is the folder `proc`, such as a scripted machine's.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_at(binaries: &Binaries, proc: &Path) -> Result<Self> {
        Self::start_with(binaries, &["--proc-root", path_text(proc)?])
    }

    /// Starts one with further arguments.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(binaries: &Binaries, words: &[&str]) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let socket = format!("etmem-test-{}-{number}", std::process::id());
        let folder = tempfile::Builder::new().prefix("etmem-test-").tempdir()?.keep();
        let gone = folder.clone();
        let folder_goes = Undo::with(move || {
            // What stays of it is a few files among other temporary ones.
            let _ = fs::remove_dir_all(gone);
        });
        let mut command = Self::command(binaries, &socket);
        command.args(words);
        let log = File::create(folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let (running, _) = Running::start(&mut command)?;
        let daemon = Self { binaries: binaries.clone(), socket, folder, running, _folder_goes: folder_goes };
        WallClock::new().wait_until(START_LIMIT, "etmemd listens", || {
            if let Some(status) = daemon.running.ended()? {
                bail!("etmemd ended with {status} instead of listening:\n{}", daemon.log());
            }
            listens(&daemon.socket)
        })?;
        Ok(daemon)
    }

    /// The command that starts a daemon on `socket`, with everything logged to standard error.
    pub fn command(binaries: &Binaries, socket: &str) -> Command {
        let mut command = Command::new(&binaries.etmemd);
        command.args(["-s", socket, "-l", "0"]).env("ETMEMD_LOG", "stderr");
        command.env("ETMEMD_STATE_FOLDER", Self::state_folder());
        command
    }

    /// Where the daemons of this test program write down what has to be taken back if they are killed.
    pub fn state_folder() -> PathBuf {
        std::env::temp_dir().join(format!("etmem-test-state-{}", std::process::id()))
    }

    /// The name of its socket.
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// A folder that goes with it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Processor time it has used, in clock ticks (a hundredth of a second).
    ///
    /// # Errors
    /// It has ended.
    pub fn processor_ticks(&self) -> Result<u64> {
        pagemap::processor_ticks(self.pid())
    }

    /// Runs `etmem WORDS -s SOCKET`.
    ///
    /// # Errors
    /// It cannot be started, or hangs. A status other than 0 is no error.
    pub fn etmem(&self, words: &[&str]) -> Result<Ran> {
        let mut command = Command::new(&self.binaries.etmem);
        process::run(command.args(words).args(["-s", &self.socket]), COMMAND_LIMIT)
    }

    /// Runs `etmem WORDS -s SOCKET` and returns what it printed.
    ///
    /// # Errors
    /// Also a status other than 0, with both outputs.
    pub fn must(&self, words: &[&str]) -> Result<String> {
        let ran = self.etmem(words)?;
        let told = || format!("etmem {} failed: {}{}", words.join(" "), ran.stdout, ran.stderr);
        ensure!(ran.status == 0, "{}log:\n{}", told(), self.log());
        Ok(ran.stdout)
    }

    /// Adds what `text` describes.
    ///
    /// # Errors
    /// It is refused.
    pub fn add(&self, text: &str) -> Result<String> {
        let file = self.write("added.conf", text)?;
        self.must(&["obj", "add", "-f", path_text(&file)?])
    }

    /// Writes a file that only root may read, in a folder that goes with the daemon.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&path).with_context(|| format!("cannot make {}", path.display()))?;
        file.write_all(text.as_bytes())?;
        // The file may have been there with another mode.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// The cycles that each task of a project has come to the end of, by the task's name.
    ///
    /// # Errors
    /// There is no such project.
    pub fn cycles(&self, project: &str) -> Result<BTreeMap<String, u64>> {
        let text = self.must(&["task", "show", "-n", project, "--json"])?;
        let of_line = |line: &str| {
            let task: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let name = task["task"].as_str().with_context(|| format!("no name: {task}"))?;
            Ok((name.to_owned(), task["cycles"].as_u64().unwrap_or(0)))
        };
        text.lines().map(of_line).collect()
    }

    /// Waits until each task of a project has come to the end of as many cycles more; the first of them has begun before.
    ///
    /// # Errors
    /// They do not within `limit`; the message holds the log.
    pub fn wait_for_cycles(&self, limit: Duration, project: &str, count: u64) -> Result<()> {
        let before = self.cycles(project)?;
        let passed = || {
            let now = self.cycles(project)?;
            Ok(before.iter().all(|(name, cycles)| now.get(name).is_some_and(|now| *now >= cycles + count)))
        };
        let waited = WallClock::new().wait_until(limit, &format!("{count} more cycles"), passed);
        waited.with_context(|| format!("log:\n{}", self.log())).map(drop)
    }

    /// Waits until the log holds a line for which `found` is true: the line.
    ///
    /// # Errors
    /// It does not within `limit`; the message holds the log.
    pub fn wait_for_line(&self, limit: Duration, what: &str, found: impl Fn(&str) -> bool) -> Result<String> {
        let mut line = None;
        let waited = WallClock::new().wait_until(limit, what, || {
            line = self.log().lines().find(|line| found(line)).map(str::to_owned);
            Ok(line.is_some())
        });
        waited.with_context(|| format!("log:\n{}", self.log()))?;
        line.context("there was a line")
    }

    /// Whether it is still running.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn is_running(&self) -> Result<bool> {
        Ok(self.running.ended()?.is_none())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running.signal(signal)
    }

    /// Kills it by SIGKILL and waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub fn kill(&self) -> Result<()> {
        self.running.signal(Signal::SIGKILL)?;
        self.running.wait(STOP_LIMIT).map(drop)
    }

    /// Asks it to end by SIGTERM and waits.
    ///
    /// # Errors
    /// It does not end.
    pub fn terminate(&self) -> Result<Ended> {
        ensure!(self.is_running()?, "etmemd has ended without a signal:\n{}", self.log());
        self.running.signal(Signal::SIGTERM)?;
        let (status, took) = self.running.wait(STOP_LIMIT)?;
        Ok(Ended { status: process::code(status), took })
    }
}

/// A path for a command line.
///
/// # Errors
/// It is not UTF-8.
pub fn path_text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Whether a process listens on the abstract socket of this name.
///
/// # Errors
/// The kernel does not say.
pub fn listens(socket: &str) -> Result<bool> {
    // Fields: Num RefCount Protocol Flags Type St Inode Path; flag 0x10000 is set on a socket that accepts.
    let text = fs::read_to_string("/proc/net/unix").context("cannot read /proc/net/unix")?;
    let name = format!("@{socket}");
    Ok(text.lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.nth(3) == Some("00010000") && fields.next_back() == Some(&name)
    }))
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    use super::*;

    #[test]
    fn a_listening_socket_is_seen_and_another_name_is_not() {
        let name = format!("etmem-testkit-listens-{}", std::process::id());
        assert!(!listens(&name).unwrap());
        let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        assert!(listens(&name).unwrap());
        assert!(!listens(&name[1..]).unwrap());
    }
}
