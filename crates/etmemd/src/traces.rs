//! What this daemon sets in the kernel and must take back, written down for the next one in case this one is killed.
//!
//! A file per task that sets anything, in a folder of all daemons; its daemon holds a lock on it, which the kernel drops
//! with its holder, and removes it when all is taken back. So a file that nobody holds was left by a daemon that was
//! killed, and whoever starts next takes back what it tells of.
//!
//! There is one such thing so far: the reclaim of the swap cache by openEuler's module. What else is set (scan flags, BPF
//! programs) belongs to open files and ends with them.

use etmem_core::kernel::mover::PageMover;
use etmem_linux::mover::etmem::Etmem;
use etmem_linux::root::ProcRoot;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::{info, warn};

/// Where they are.
const FOLDER: &str = "/run/etmem";

/// Puts them elsewhere.
const ELSEWHERE: &str = "ETMEMD_STATE_FOLDER";

/// Most bytes to read of one.
const LONGEST: u64 = 4096;

/// What each begins with; where procfs is follows.
const SWAP_CACHE: &str = "swap-cache-reclaim ";

/// The folder of this daemon.
pub(crate) fn folder() -> PathBuf {
    let wanted = std::env::var_os(ELSEWHERE).map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
    // Daemons leave the folder they were started in.
    std::path::absolute(&wanted).unwrap_or(wanted)
}

/// A file that tells what a task sets; gone when dropped.
#[derive(Debug)]
pub(crate) struct Trace {
    path: PathBuf,
    _file: Flock<File>,
}

impl Trace {
    /// Writes down, in `folder`, that the swap cache of the machine whose procfs is at `proc` may be set to be reclaimed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn of_swap_cache(folder: &Path, proc: &ProcRoot) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{number}", std::process::id()));
        let mut options = File::options();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(&path)?;
        let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
        file.set_len(0)?;
        file.write_all(format!("{SWAP_CACHE}{}\n", proc.path().display()).as_bytes())?;
        Ok(Self { path, _file: file })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // What cannot be removed is stale, and found to be.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes back what daemons that were killed left set, as the files in `folder` tell. What nobody understands is left
/// where it is.
pub(crate) fn take_back(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let Ok(Some((file, text))) = abandoned(&path) else { continue };
        let Some(proc) = text.strip_prefix(SWAP_CACHE).map(|path| ProcRoot::new(path.trim_end())) else {
            warn!("{}: not written by this version of etmemd; left as it is", path.display());
            continue;
        };
        let taken = Etmem::detect(&proc).map_err(|error| error.to_string());
        let taken = taken.and_then(|mover| mover.leave_swap_cache_alone().map_err(|error| error.to_string()));
        match taken {
            Ok(()) => info!(
                "a daemon that was killed had the swap cache reclaimed: ended. Its watermarks stay, as the module cannot \
                 tell what they were before"
            ),
            // Without the module nothing is set any more.
            Err(reason) => info!("a daemon that was killed had the swap cache reclaimed: {reason}"),
        }
        let _ = fs::remove_file(&path);
        drop(file);
    }
}

/// The file at `path` and its text; none where a running daemon holds it.
fn abandoned(path: &Path) -> io::Result<Option<(Flock<File>, String)>> {
    let mut options = File::options();
    options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let Ok(file) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return Ok(None) };
    let mut text = String::new();
    (&*file).take(LONGEST).read_to_string(&mut text)?;
    Ok(Some((file, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_is_held_is_left_alone_and_what_is_not_is_taken_back() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("etmem");
        take_back(&folder);
        let proc = ProcRoot::new(top.path().join("proc"));
        let trace = Trace::of_swap_cache(&folder, &proc).unwrap();
        take_back(&folder);
        assert_eq!(names(&folder), 1, "its daemon is running");
        // As a daemon leaves it that is killed: the lock is gone, the file is not.
        let copy = fs::read(&trace.path).unwrap();
        let path = trace.path.clone();
        drop(trace);
        assert_eq!(names(&folder), 0, "one that ends leaves nothing");
        fs::write(&path, copy).unwrap();
        take_back(&folder);
        assert_eq!(names(&folder), 0);
        for other in ["", "nonsense\n", "\u{0}"] {
            fs::write(&path, other).unwrap();
            take_back(&folder);
            assert_eq!(fs::read_to_string(&path).unwrap(), other, "not ours to judge");
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        take_back(&folder);
        assert!(path.symlink_metadata().is_ok());
    }
}
