//! Records of what this daemon sets in the kernel and must take back. If it is killed, the next daemon does so.
//!
//! There is a file for each setting of a task, in a folder that all daemons share. The daemon holds a lock on the file,
//! which the kernel drops with its holder, and removes the file when the setting is taken back. So a file without a lock
//! was left by a daemon that was killed, and the next daemon that starts takes back its setting. A file is renamed when it
//! is completely written: one whose name still begins with [`NEW`] was left before anything was set.
//!
//! `etmem-linux` knows which settings these are, the line that a file has for each, and how each is taken back.

use etmem_linux::lasting::{self, Kept, Setting, SettingJournal};
use etmem_linux::root::SysRoot;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::warn;

/// The folder.
const FOLDER: &str = "/run/etmem";

/// Names another folder.
const ELSEWHERE: &str = "ETMEMD_STATE_FOLDER";

/// Most bytes to read of one.
const LONGEST: u64 = 4096;

/// How the name of a file begins that is not completely written yet.
const NEW: &str = "new-";

/// Attempts, in case another daemon takes a file for abandoned before it is locked.
const ATTEMPTS: usize = 10;

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
    pub(crate) fn of(folder: &Path, setting: &Setting) -> io::Result<Self> {
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

/// The folder as a journal, for what is set for a moment only.
#[derive(Debug)]
pub(crate) struct RecordFolder(pub(crate) PathBuf);

impl SettingJournal for RecordFolder {
    fn record(&self, setting: &Setting) -> io::Result<Box<dyn Kept>> {
        Ok(Box::new(CleanupRecord::of(&self.0, setting)?))
    }
}

impl Drop for CleanupRecord {
    fn drop(&mut self) {
        // A file that cannot be removed is stale, as it has no lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes back the settings of daemons that were killed: those of the files in `folder`, and those at `sys` that bear
/// our mark. Files that this version does not understand stay, and so do those whose setting cannot be taken back now.
pub(crate) fn take_back(folder: &Path, sys: &SysRoot) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let Ok(Some((file, text))) = abandoned(&path) else { continue };
        let is_new = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(NEW.as_bytes()));
        let done = is_new
            || Setting::of_line(&text).map_or_else(
                || {
                    warn!("{}: not written by this version of etmemd; left as it is", path.display());
                    false
                },
                |setting| setting.take_back(),
            );
        if done {
            let _ = fs::remove_file(&path);
        }
        drop(file);
    }
    lasting::take_back_damon(sys, false);
}

/// How many settings have a record there: of daemons that run, and those that could not be taken back.
pub(crate) fn left(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_record = |name: &str| {
        let parts = name.split_once('-');
        parts.is_some_and(|(pid, number)| pid.parse::<u32>().is_ok() && number.parse::<u64>().is_ok())
    };
    entries.filter(|entry| entry.file_name().to_str().is_some_and(is_record)).count()
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
#[path = "../tests/unit/cleanup_records.rs"]
mod tests;
