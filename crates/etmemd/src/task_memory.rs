//! What a running task knows, kept for the next daemon: a file for each task, in the folder of the cleanup records.
//!
//! It is written after cycles that moved something, and once a minute; so it also outlives `kill -9`. A task that was stopped by a request
//! knows nothing any more, and its file goes. The first line says by which version of the daemon it was written, in which boot, when by
//! two clocks, and how long and what sum the rest has; the rest is its engine's. A file that is anything else is not read.

use crate::whole_file;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder, in that of the cleanup records.
const FOLDER: &str = "tasks";

/// How the first line begins: another version may write another form.
const HEAD: &str = concat!("etmemd ", env!("CARGO_PKG_VERSION"), " task 3");

/// Most bytes of a file: some hundred GiB of scattered pages.
const LONGEST: u64 = 256 << 20;

/// The file of one task.
#[derive(Debug, Clone)]
pub(crate) struct TaskMemory {
    path: PathBuf,
    boot: String,
}

/// What was read of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recalled {
    /// What the task's clock showed when it was written.
    pub(crate) clock: Duration,
    /// How long ago that is.
    pub(crate) gap: Duration,
    /// What the engine wrote down.
    pub(crate) known: Vec<u8>,
}

impl TaskMemory {
    /// That of the task called `name`, a name of a file, in `folder`, on a machine that runs since `boot`.
    pub(crate) fn new(folder: &Path, name: &str, boot: String) -> Self {
        Self { path: folder.join(FOLDER).join(name), boot }
    }

    /// Writes down what a task knows: `known`, when its clock shows `clock`, and the machine runs `since_boot`.
    ///
    /// # Errors
    /// When it cannot be written; then what was written before stays.
    pub(crate) fn keep(&self, known: &[u8], clock: Duration, since_boot: Duration) -> io::Result<()> {
        let head = format!(
            "{HEAD} boot={} written={} clock={} bytes={} sum={:x}\n",
            self.boot,
            since_boot.as_nanos(),
            clock.as_nanos(),
            known.len(),
            sum(known)
        );
        whole_file::write(&self.path, |file| {
            file.write_all(head.as_bytes())?;
            file.write_all(known)
        })
    }

    /// What was written down in this boot; `since_boot` is now.
    pub(crate) fn recall(&self, since_boot: Duration) -> Option<Recalled> {
        let mut bytes = Vec::new();
        File::open(&self.path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let known = bytes.split_off(end + 1);
        let head = std::str::from_utf8(&bytes).ok()?.trim_end().strip_prefix(HEAD)?;
        let mut words = head.split(' ').skip(1);
        let mut word = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let (boot, written, clock) = (word("boot")?, word("written")?, word("clock")?);
        let (length, wanted) = (word("bytes")?, word("sum")?);
        let nanos = |text: &str| text.parse().ok().map(Duration::from_nanos);
        let is_whole = length == known.len().to_string() && wanted == format!("{:x}", sum(&known));
        if !is_whole || boot != self.boot {
            return None;
        }
        Some(Recalled { clock: nanos(clock)?, gap: since_boot.checked_sub(nanos(written)?)?, known })
    }

    /// Removes what was written down.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn sum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn what_is_kept_is_recalled_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let memory = TaskMemory::new(folder.path(), "p.t", String::from("b1"));
        assert_eq!(memory.recall(seconds(9)), None);
        memory.keep(b"one", seconds(3), seconds(100)).unwrap();
        memory.keep(b"two\nlines", seconds(5), seconds(102)).unwrap();
        let path = folder.path().join("tasks/p.t");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("tasks")).unwrap().count(), 1, "nothing else is left");
        let recalled = Recalled { clock: seconds(5), gap: seconds(8), known: b"two\nlines".to_vec() };
        assert_eq!(memory.recall(seconds(110)), Some(recalled));
        memory.forget();
        assert_eq!(memory.recall(seconds(110)), None);
    }

    #[test]
    fn what_is_not_whole_or_of_this_boot_and_version_is_not_recalled() {
        let folder = tempfile::tempdir().unwrap();
        let memory = TaskMemory::new(folder.path(), "p.t", String::from("b1"));
        memory.keep(b"known", seconds(5), seconds(100)).unwrap();
        let path = folder.path().join("tasks/p.t");
        let good = fs::read(&path).unwrap();
        assert!(memory.recall(seconds(100)).is_some());
        assert_eq!(TaskMemory::new(folder.path(), "p.t", String::from("b2")).recall(seconds(100)), None);
        assert_eq!(memory.recall(seconds(99)), None, "a clock that went back");
        for at in 0..good.len() {
            assert!(
                fs::write(&path, &good[..at]).is_ok() && memory.recall(seconds(100)).is_none(),
                "cut at {at}"
            );
            let mut changed = good.clone();
            changed[at] ^= 0x11;
            fs::write(&path, &changed).unwrap();
            let recalled = memory.recall(seconds(100)).map(|recalled| recalled.known);
            assert!(recalled.is_none_or(|known| known == b"known"), "changed at {at}");
        }
        fs::write(&path, [&good[..], b"x"].concat()).unwrap();
        assert_eq!(memory.recall(seconds(100)), None);
    }
}
