//! Records of what this daemon sets in the kernel and must take back. If it is killed, the next daemon does so.
//!
//! There is a file for each setting of a task, in a folder that all daemons share. The daemon holds a lock on the file,
//! which the kernel drops with its holder, and removes the file when the setting is taken back. So a file without a lock
//! was left by a daemon that was killed, and the next daemon that starts takes back its setting. A file is renamed when it
//! is completely written: one whose name still begins with [`NEW`] was left before anything was set.
//!
//! There are two such settings: the reclaim of the swap cache by openEuler's module, and DAMON's, which bear our mark
//! except for the first moment. All other settings (scan flags, BPF programs) belong to open files and end with them.

use etmem_core::kernel::swap_cache::SwapCache;
use etmem_linux::mover::etmem::Etmem;
use etmem_linux::probe::damon;
use etmem_linux::root::{ProcRoot, SysRoot};
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::{info, warn};

/// The folder.
const FOLDER: &str = "/run/etmem";

/// Names another folder.
const ELSEWHERE: &str = "ETMEMD_STATE_FOLDER";

/// Most bytes to read of one.
const LONGEST: u64 = 4096;

/// The first word of a file; the path of procfs, or of sysfs, follows.
const SWAP_CACHE: &str = "swap-cache-reclaim ";
const DAMON: &str = "damon ";

/// How the name of a file begins that is not completely written yet.
const NEW: &str = "new-";

/// Attempts, in case another daemon takes a file for abandoned before it is locked.
const ATTEMPTS: usize = 10;

/// A setting in the kernel that outlives the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting<'a> {
    /// The swap cache of the machine with this procfs may be reclaimed.
    SwapCache(&'a ProcRoot),
    /// DAMON may be set on the machine with this sysfs.
    Damon(&'a SysRoot),
}

impl Setting<'_> {
    fn line(self) -> String {
        match self {
            Self::SwapCache(proc) => format!("{SWAP_CACHE}{}\n", proc.path().display()),
            Self::Damon(sys) => format!("{DAMON}{}\n", sys.path().display()),
        }
    }
}

/// The folder of this daemon.
pub(crate) fn folder() -> PathBuf {
    let wanted = std::env::var_os(ELSEWHERE).map_or_else(|| PathBuf::from(FOLDER), PathBuf::from);
    // Daemons leave the folder that they were started in.
    std::path::absolute(&wanted).unwrap_or(wanted)
}

/// The file of a setting; removed when dropped.
#[derive(Debug)]
pub(crate) struct CleanupRecord {
    path: PathBuf,
    _file: Flock<File>,
}

impl CleanupRecord {
    /// Records in `folder` that `setting` may be set from now on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn of(folder: &Path, setting: Setting<'_>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for _ in 0..ATTEMPTS {
            if let Some(record) = Self::try_write(folder, &setting.line())? {
                return Ok(record);
            }
        }
        Err(io::Error::other(format!("{}: other daemons keep removing new files there", folder.display())))
    }

    /// `None` if another daemon has taken the new file for abandoned, or there is a file of that name.
    fn try_write(folder: &Path, line: &str) -> io::Result<Option<Self>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let (new, path) = (folder.join(format!("{NEW}{name}")), folder.join(name));
        // It is of a daemon that had the same pid, and its setting could not be taken back.
        if path.symlink_metadata().is_ok() {
            return Ok(None);
        }
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = match options.open(&new) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            opened => opened?,
        };
        let mut file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
        let written = file.write_all(line.as_bytes()).and_then(|()| fs::rename(&new, &path));
        match written {
            Ok(()) => Ok(Some(Self { path, _file: file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                // Nothing was set.
                let _ = fs::remove_file(&new);
                Err(error)
            }
        }
    }
}

impl Drop for CleanupRecord {
    fn drop(&mut self) {
        // A file that cannot be removed is stale, as it has no lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes back the settings of daemons that were killed: those of the files in `folder`, and DAMON's at `sys` if they bear
/// our mark. Files that this version does not understand stay, and so do those whose setting cannot be taken back now.
pub(crate) fn take_back(folder: &Path, sys: &SysRoot) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let Ok(Some((file, text))) = abandoned(&path) else { continue };
        let is_new = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(NEW.as_bytes()));
        let done = if is_new {
            true
        } else if let Some(proc) = text.strip_prefix(SWAP_CACHE) {
            end_reclaim(&ProcRoot::new(proc.trim_end()))
        } else if let Some(sys) = text.strip_prefix(DAMON) {
            take_back_damon(&SysRoot::new(sys.trim_end()), true)
        } else {
            warn!("{}: not written by this version of etmemd; left as it is", path.display());
            false
        };
        if done {
            let _ = fs::remove_file(&path);
        }
        drop(file);
    }
    // Programs with the scan library set DAMON, too, and write no files.
    let _ = take_back_damon(sys, false);
}

/// Whether the reclaim is ended.
fn end_reclaim(proc: &ProcRoot) -> bool {
    let mover = match Etmem::detect(proc) {
        Ok(mover) => mover,
        // Without the module nothing is set.
        Err(unavailable) => {
            info!("a daemon that was killed had the swap cache reclaimed: {unavailable}");
            return true;
        }
    };
    match mover.end_reclaim() {
        Ok(()) => info!(
            "a daemon that was killed had the swap cache reclaimed: ended. Its watermarks stay, as the module cannot \
             tell what they were before"
        ),
        Err(error) => {
            warn!("a daemon that was killed had the swap cache reclaimed, which cannot be ended: {error}");
            return false;
        }
    }
    true
}

/// Whether none of our settings is left.
fn take_back_damon(sys: &SysRoot, written_down: bool) -> bool {
    match damon::take_back_left(sys, written_down) {
        Ok(true) => info!("an etmem that was killed had DAMON set: taken back"),
        Ok(false) => {}
        Err(error) => {
            warn!("what an etmem that was killed had set in DAMON cannot be taken back: {error}");
            return false;
        }
    }
    true
}

/// The file at `path` and its text; `None` if a running daemon holds it.
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
    fn locked_records_stay_and_others_are_taken_back() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("etmem");
        let (proc, sys) = (ProcRoot::new(top.path().join("proc")), SysRoot::new(top.path().join("sys")));
        let take_back = |folder: &Path| super::take_back(folder, &sys);
        take_back(&folder);
        let settings = [Setting::SwapCache(&proc), Setting::Damon(&sys)];
        let records = settings.map(|setting| CleanupRecord::of(&folder, setting).unwrap());
        take_back(&folder);
        assert_eq!(names(&folder), 2, "their daemon is running");
        // As a daemon that is killed leaves them: the lock is gone, the file is not.
        let left: Vec<_> =
            records.iter().map(|record| (record.path.clone(), fs::read(&record.path).unwrap())).collect();
        drop(records);
        assert_eq!(names(&folder), 0, "one that ends leaves nothing");
        left.iter().for_each(|(path, text)| fs::write(path, text).unwrap());
        take_back(&folder);
        assert_eq!(names(&folder), 0);
        let (path, _) = &left[0];
        for other in ["", "nonsense\n", "\u{0}"] {
            fs::write(path, other).unwrap();
            take_back(&folder);
            assert_eq!(fs::read_to_string(path).unwrap(), other, "not understood, and left");
        }
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
        take_back(&folder);
        assert!(path.symlink_metadata().is_ok());
    }

    #[test]
    fn a_file_that_was_not_completely_written_is_removed() {
        let top = tempfile::tempdir().unwrap();
        let sys = SysRoot::new(top.path().join("sys"));
        for text in ["", "dam"] {
            fs::write(top.path().join(format!("{NEW}1-0")), text).unwrap();
            take_back(top.path(), &sys);
            assert_eq!(names(top.path()), 0);
        }
        let path = top.path().join(format!("{NEW}1-0"));
        let mut held = Flock::lock(File::create(&path).unwrap(), FlockArg::LockExclusive).unwrap();
        take_back(top.path(), &sys);
        held.write_all(b"a daemon writes it").unwrap();
        assert_eq!(names(top.path()), 1);
    }

    #[test]
    fn files_of_the_same_name_are_kept() {
        let top = tempfile::tempdir().unwrap();
        let sys = SysRoot::new(top.path().join("sys"));
        let pid = std::process::id();
        // Other tests of this process also take numbers.
        for number in 0..100 {
            fs::write(top.path().join(format!("{pid}-{number}")), "kept").unwrap();
        }
        let refused = CleanupRecord::of(top.path(), Setting::Damon(&sys));
        assert!(refused.is_err() || !refused.unwrap().path.ends_with(format!("{pid}-99")));
        for number in 0..100 {
            let path = top.path().join(format!("{pid}-{number}"));
            assert_eq!(fs::read_to_string(path).unwrap(), "kept");
        }
    }

    #[test]
    fn damon_is_taken_back_by_its_mark_and_before_that_by_the_file() {
        let top = tempfile::tempdir().unwrap();
        let (folder, sys) = (top.path().join("etmem"), SysRoot::new(top.path()));
        let kdamonds = top.path().join("kernel/mm/damon/admin/kdamonds");
        for number in 0..33 {
            let kdamond = kdamonds.join(number.to_string());
            fs::create_dir_all(kdamond.join("contexts")).unwrap();
            fs::write(kdamond.join("state"), "off\n").unwrap();
            fs::write(kdamond.join("contexts/nr_contexts"), "0\n").unwrap();
        }
        let count = kdamonds.join("nr_kdamonds");
        let left = |text| {
            fs::write(&count, text).unwrap();
            take_back(&folder, &sys);
            fs::read_to_string(&count).unwrap()
        };
        assert_eq!(left("33\n"), "33\n", "nothing shows that they are ours");
        let record = CleanupRecord::of(&folder, Setting::Damon(&sys)).unwrap();
        let (path, text) = (record.path.clone(), fs::read(&record.path).unwrap());
        drop(record);
        fs::write(&path, &text).unwrap();
        assert_eq!(left("33\n"), "0");
        assert_eq!(names(&folder), 0);
        fs::write(&path, &text).unwrap();
        assert_eq!(left("7\n"), "7\n", "they belong to another program");
        assert_eq!(names(&folder), 0, "none of our settings is left");
        fs::write(kdamonds.join("0/contexts/nr_contexts"), "1\n").unwrap();
        let intervals = kdamonds.join("0/contexts/0/monitoring_attrs/intervals");
        fs::create_dir_all(&intervals).unwrap();
        fs::write(intervals.join("update_us"), "435745023341\n").unwrap();
        assert_eq!(left("33\n"), "0", "it bears our mark");
    }
}
