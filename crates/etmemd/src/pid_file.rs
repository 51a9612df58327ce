//! The pid file: which process runs in the background, for systemd's `PIDFile=` and for people.
//!
//! The daemon holds a lock on it until it ends, and the kernel drops the lock with its holder. So the number in the
//! file, which may belong to another process by now, does not decide whether the file is stale. A file without a lock
//! is stale and is overwritten. A locked one belongs to a running daemon and stays, whatever socket that daemon listens
//! on: with two daemons in one file, a stop of the one would end the other.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where it is, as in the original.
const PATH: &str = "/run/etmemd.pid";

/// Names another path for it.
const ELSEWHERE: &str = "ETMEMD_PID_FILE";

/// Attempts, in case another daemon removes the file meanwhile.
const ATTEMPTS: usize = 10;

/// Most bytes to read of it.
const LONGEST: u64 = 32;

/// Why there is no pid file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidFileError {
    /// A running daemon holds it.
    #[error(
        "pid file {path}: held by process {holder}, an etmemd that runs in the background: stop that one first, \
         start this one without -m, or set {ELSEWHERE}=PATH for another pid file"
    )]
    Held {
        /// The file.
        path: PathBuf,
        /// The number in it.
        holder: String,
    },
    /// Something else is there.
    /// The file.
    #[error("pid file {0}: is not a regular file: remove it, or set {ELSEWHERE}=PATH for another pid file")]
    NotAFile(PathBuf),
    /// Anything else.
    #[error("pid file {path}: {source}: correct that, or set {ELSEWHERE}=PATH for another pid file")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A pid file with this process's pid; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    file: Flock<File>,
}

/// Where the pid file of this process has to be.
pub(crate) fn path() -> PathBuf {
    let wanted = std::env::var_os(ELSEWHERE).map_or_else(|| PathBuf::from(PATH), PathBuf::from);
    // Daemons leave the folder that they were started in.
    std::path::absolute(&wanted).unwrap_or(wanted)
}

impl PidFile {
    /// Locks the file at `path` and writes this process's pid into it.
    ///
    /// # Errors
    /// When a running daemon holds it, or it cannot be written.
    pub(crate) fn hold(path: &Path) -> Result<Self, PidFileError> {
        let failed = |source: io::Error| PidFileError::Io { path: path.to_owned(), source };
        for _ in 0..ATTEMPTS {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false).mode(0o644);
            options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
            let file = options.open(path).map_err(failed)?;
            if !file.metadata().map_err(failed)?.is_file() {
                return Err(PidFileError::NotAFile(path.to_owned()));
            }
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((file, Errno::EWOULDBLOCK)) => return Err(held(path, &file)),
                Err((_, errno)) => return Err(failed(errno.into())),
            };
            if is_at(&file, path) {
                let mut held = Self { path: path.to_owned(), file };
                held.write().map_err(failed)?;
                return Ok(held);
            }
        }
        Err(failed(io::Error::other("other daemons keep removing it")))
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all(format!("{}\n", std::process::id()).as_bytes())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another file at the path is not ours and stays. A file that cannot be removed is stale, as it has no lock.
        if is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether `file` is the one at `path`: it may have been removed since it was opened.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn held(path: &Path, file: &File) -> PidFileError {
    let mut text = String::new();
    // Bytes that are not text are no pid.
    let _ = file.take(LONGEST).read_to_string(&mut text);
    let holder = text.trim().parse::<u32>().map_or_else(|_| "(unknown)".to_owned(), |pid| pid.to_string());
    PidFileError::Held { path: path.to_owned(), holder }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn own_pid() -> String {
        format!("{}\n", std::process::id())
    }

    #[test]
    fn written_held_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let held = PidFile::hold(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), own_pid());
        let refused = PidFile::hold(&path).unwrap_err();
        assert!(
            matches!(&refused, PidFileError::Held { holder, .. } if own_pid().trim() == holder),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), own_pid(), "the refused one left it alone");
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_without_a_lock_is_stale_whatever_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        for stale in ["1\n", "", "4194304 and more than the pid that follows", "nonsense\0"] {
            fs::write(&path, stale).unwrap();
            let held = PidFile::hold(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), own_pid(), "after {stale:?}");
            drop(held);
        }
    }

    #[test]
    fn another_file_put_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let held = PidFile::hold(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let other = PidFile::hold(&path).unwrap();
        drop(held);
        assert_eq!(fs::read_to_string(&path).unwrap(), own_pid());
        drop(other);
        assert!(!path.exists());
    }

    #[test]
    fn nothing_else_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("victim"), "kept").unwrap();
        symlink(path("victim"), path("link")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        for name in ["link", "folder", "pipe", "absent/pid", "victim/pid"] {
            let refused = PidFile::hold(&path(name)).unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains(ELSEWHERE), "{refused}");
        }
        assert_eq!(fs::read_to_string(path("victim")).unwrap(), "kept");
    }
}
