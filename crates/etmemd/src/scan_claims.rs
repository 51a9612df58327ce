//! Keeps the scans of daemons and those of commands (`etmem idle`, `etmem survey`) apart, so that no two look at one memory at once.
//!
//! There are two files in a folder `scans` beside the [cleanup records](crate::cleanup_records), which all daemons and commands of a machine share. Each scanner
//! locks the byte of its process's number (`F_OFD_SETLK`) in the file of its own kind and then reads the locks of the other kind.
//! Both lock before they read, so they never both go on. A lock ends with its holder. Daemons give way: they leave a process alone
//! that a command has. A command waits until the scan of a daemon is over.
//!
//! The first bytes of the file of commands count them. A daemon takes no accessed bit for its own that a command may have cleared
//! between two of its scans.

use etmem_core::kernel::claims::{Claim, Held, ScanClaims};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{Pid, ProcessId, ProcessTable};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{F_RDLCK, F_UNLCK, F_WRLCK, SEEK_SET, flock};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing::warn;

/// Their folder, and the files.
const FOLDER: &str = "scans";
const DAEMONS: &str = "of-daemons";
const COMMANDS: &str = "of-commands";

/// More than any number of a process (`PID_MAX_LIMIT`, `include/linux/threads.h`).
const PIDS: i64 = 1 << 32;

/// How often a command that waits for a daemon looks again.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// The two files.
#[derive(Debug)]
struct Files {
    daemons: File,
    commands: File,
}

impl Files {
    fn open(folder: &Path) -> io::Result<Self> {
        let folder = folder.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let open = |name| {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(folder.join(name))
        };
        Ok(Self { daemons: open(DAEMONS)?, commands: open(COMMANDS)? })
    }

    fn count(&self) -> u64 {
        let mut bytes = [0; 8];
        // A file without it is of a machine on which no command has scanned yet.
        let _ = self.commands.read_exact_at(&mut bytes, 0);
        u64::from_ne_bytes(bytes)
    }
}

/// Of which kind a lock is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Shared,
    Exclusive,
    None,
}

/// `length` bytes of a file from `start` on.
fn lock(kind: Kind, start: i64, length: i64) -> flock {
    let number = match kind {
        Kind::Shared => F_RDLCK,
        Kind::Exclusive => F_WRLCK,
        Kind::None => F_UNLCK,
    };
    // Each of these numbers is less than three.
    let [kind, whence] = [number, SEEK_SET].map(|number| i16::try_from(number).unwrap_or_default());
    flock { l_type: kind, l_whence: whence, l_start: start, l_len: length, l_pid: 0 }
}

fn set(file: &File, kind: Kind, pid: Pid) -> Result<(), Errno> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock(kind, pid.get().into(), 1))).map(drop)
}

/// The numbers of processes that others than the holder of `file` have locked in it.
fn locked_by_others(file: &File) -> Result<Vec<Pid>, Errno> {
    let mut found = Vec::new();
    // The kernel names any one of the locks, not the lowest: so what is beside it is asked for next.
    let mut open = vec![(1, PIDS)];
    while let Some((start, end)) = open.pop() {
        if start >= end {
            continue;
        }
        let mut answer = lock(Kind::Exclusive, start, end - start);
        fcntl(file, FcntlArg::F_OFD_GETLK(&mut answer))?;
        if i32::from(answer.l_type) == F_UNLCK {
            continue;
        }
        let to_the_end = answer.l_len == 0;
        let first = answer.l_start.max(start);
        let last = if to_the_end { end } else { (answer.l_start + answer.l_len).min(end) };
        let pids = (first..last).filter_map(|pid| Pid::new(u32::try_from(pid).ok()?));
        found.extend(pids);
        open.extend([(start, first), (last, end)]);
    }
    Ok(found)
}

/// Whether others have locked the memory of `process` in `file`.
fn is_locked(file: &File, process: ProcessId, table: &dyn ProcessTable) -> Result<bool, Errno> {
    let shares = |pid: Pid| table.check(pid).is_ok_and(|other| table.share_memory(process, other));
    Ok(locked_by_others(file)?.into_iter().any(|pid| pid == process.pid || shares(pid)))
}

/// The claims of a daemon.
#[derive(Debug)]
pub(crate) struct DaemonClaims {
    folder: PathBuf,
    /// Opened at the first scan: a daemon without tasks leaves no files. `None` if there cannot be any.
    files: OnceLock<Option<Arc<Files>>>,
}

impl DaemonClaims {
    /// Those of a daemon that uses `folder`.
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder, files: OnceLock::new() }
    }

    fn files(&self) -> Option<&Arc<Files>> {
        let open = || {
            let files = Files::open(&self.folder).inspect_err(|error| {
                let folder = self.folder.display();
                warn!("{folder}: {error}; commands such as etmem survey may scan what a task scans");
            });
            files.ok().map(Arc::new)
        };
        self.files.get_or_init(open).as_ref()
    }
}

/// What is held where there are no files.
#[derive(Debug)]
struct Unlocked;

impl Held for Unlocked {}

/// A byte locked in the file of daemons.
#[derive(Debug)]
struct OfDaemon(Arc<Files>, Pid);

impl Held for OfDaemon {}

impl Drop for OfDaemon {
    fn drop(&mut self) {
        // Fails for an open file and a byte of it in no way.
        let _ = set(&self.0.daemons, Kind::None, self.1);
    }
}

impl ScanClaims for DaemonClaims {
    fn claim(&self, process: ProcessId, processes: &dyn ProcessTable) -> Option<Claim> {
        let Some(files) = self.files() else {
            return Some(Claim { held: Box::new(Unlocked), commands: 0 });
        };
        // Daemons do not keep each other away. Without a lock, for want of memory, the scan goes on as it would without commands.
        let _ = set(&files.daemons, Kind::Shared, process.pid);
        let held = OfDaemon(Arc::clone(files), process.pid);
        if is_locked(&files.commands, process, processes).unwrap_or(false) {
            return None;
        }
        Some(Claim { held: Box::new(held), commands: files.count() })
    }
}

/// Why a command cannot have the memory of a process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotClaimed {
    /// By another command.
    #[error("another command, such as etmem survey, scans it: wait until that has ended")]
    ByCommand,
    /// By a daemon, for longer than a cycle should take.
    #[error("etmemd has scanned it for {} s without a pause: stop the project, or try again", .0.as_secs())]
    ByDaemon(Duration),
    /// A stop was asked for.
    #[error("stopped")]
    Stopped,
    /// The files cannot be had.
    #[error("cannot keep other scans away: {0}")]
    Failed(#[from] io::Error),
}

impl From<Errno> for NotClaimed {
    fn from(error: Errno) -> Self {
        Self::Failed(error.into())
    }
}

/// The claims of a command.
#[derive(Debug)]
pub(crate) struct CommandClaims(Arc<Files>);

/// Memory that a command has, until this is dropped.
#[derive(Debug)]
pub(crate) struct CommandClaim(Arc<Files>, Pid);

impl CommandClaims {
    /// Those of a command that uses `folder`, as the daemons do.
    ///
    /// # Errors
    /// When the files cannot be opened.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(Files::open(folder)?)))
    }

    /// Claims the memory of `process`. A scan of a daemon may last for `longest` yet.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(crate) fn claim(
        &self,
        process: ProcessId,
        processes: &dyn ProcessTable,
        pacer: &dyn Pacer,
        longest: Duration,
    ) -> Result<CommandClaim, NotClaimed> {
        let Self(files) = self;
        match set(&files.commands, Kind::Exclusive, process.pid) {
            Err(Errno::EAGAIN | Errno::EACCES) => return Err(NotClaimed::ByCommand),
            set => set?,
        }
        let claim = CommandClaim(Arc::clone(files), process.pid);
        if is_locked(&files.commands, process, processes)? {
            return Err(NotClaimed::ByCommand);
        }
        // Two at once may count as one: it is another number all the same.
        files.commands.write_all_at(&files.count().wrapping_add(1).to_ne_bytes(), 0)?;
        let since = pacer.now();
        while is_locked(&files.daemons, process, processes)? {
            let waited = pacer.now().saturating_sub(since);
            if waited >= longest {
                return Err(NotClaimed::ByDaemon(waited));
            }
            if pacer.pause(TRY_AGAIN) == Pace::Stop {
                return Err(NotClaimed::Stopped);
            }
        }
        Ok(claim)
    }
}

impl Drop for CommandClaim {
    fn drop(&mut self) {
        let _ = set(&self.0.commands, Kind::None, self.1);
    }
}

#[cfg(test)]
#[path = "../tests/unit/scan_claims.rs"]
mod tests;
