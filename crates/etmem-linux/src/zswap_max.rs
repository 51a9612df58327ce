//! `memory.zswap.max` of a control group, set to 0 for a moment: what is paged out of the group then goes past zswap, to the disk.
//!
//! What it was stands in the line of a record, so that the next daemon can put it back after one that was killed.

use crate::root::SysRoot;
use crate::small_file;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const FILE: &str = "memory.zswap.max";
const CLOSED: &str = "0";
/// What the kernel shows where there is no bound (Documentation/admin-guide/cgroup-v2.rst).
const NO_BOUND: &str = "max";

/// Whether pages go to zswap before they go to swap.
pub(crate) fn zswap_is_on(sys: &SysRoot) -> bool {
    small_file::read(&sys.zswap()).is_ok_and(|text| text.starts_with(b"Y"))
}

/// How much of zswap a group may take, as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZswapMax {
    /// The group, and the number by which the kernel tells it from a later one of the same path.
    folder: PathBuf,
    number: u64,
    was: String,
}

impl ZswapMax {
    /// That of the group with this folder.
    ///
    /// # Errors
    /// It has no such file, as the root group and groups of kernels before 5.19.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let was = small_file::read_to_string(&folder.join(FILE))?.trim().to_owned();
        let is_bound = was == NO_BOUND || was.parse::<u64>().is_ok();
        let unread = || io::Error::new(io::ErrorKind::InvalidData, format!("it says {was:?}"));
        if !is_bound {
            return Err(unread());
        }
        Ok(Self { folder: folder.to_owned(), number: fs::metadata(folder)?.ino(), was })
    }

    /// The file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Whether nothing of the group goes to zswap anyway.
    pub(crate) fn is_closed(&self) -> bool {
        self.was == CLOSED
    }

    /// Sets it to 0. What it was is to be recorded before.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn close(&self) -> io::Result<()> {
        fs::write(self.file(), CLOSED)
    }

    /// Puts back what it was. What another program has set since stays.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_back(&self) -> io::Result<()> {
        let is_same = fs::metadata(&self.folder).is_ok_and(|folder| folder.ino() == self.number);
        if !is_same {
            // The group is gone, and with it what was set.
            return Ok(());
        }
        match small_file::read_to_string(&self.file()) {
            Ok(now) if now.trim() == CLOSED => fs::write(self.file(), &self.was),
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What a record has of it.
    pub(crate) fn words(&self) -> String {
        format!("{} {} {}", self.was, self.number, self.folder.display())
    }

    /// The one with these words.
    pub(crate) fn of_words(words: &str) -> Option<Self> {
        let mut parts = words.splitn(3, ' ');
        let was = parts.next().filter(|was| *was == NO_BOUND || was.parse::<u64>().is_ok())?.to_owned();
        let number = parts.next()?.parse().ok()?;
        Some(Self { folder: parts.next().filter(|path| path.starts_with('/'))?.into(), number, was })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str) -> tempfile::TempDir {
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join(FILE), text).unwrap();
        group
    }

    #[test]
    fn what_it_was_is_put_back_and_what_another_program_sets_stays() {
        for was in ["max", "1048576", "0"] {
            let group = group(&format!("{was}\n"));
            let now = || fs::read_to_string(group.path().join(FILE)).unwrap().trim().to_owned();
            let max = ZswapMax::of(group.path()).unwrap();
            assert_eq!(max.is_closed(), was == "0");
            max.close().unwrap();
            assert_eq!(now(), "0");
            let read = ZswapMax::of_words(&max.words()).unwrap();
            assert_eq!(read, max);
            read.put_back().unwrap();
            assert_eq!(now(), was);
            fs::write(group.path().join(FILE), "7\n").unwrap();
            read.put_back().unwrap();
            assert_eq!(now(), "7", "another program's");
        }
    }

    #[test]
    fn a_group_that_is_gone_has_nothing_to_be_put_back() {
        let group = group("max\n");
        let max = ZswapMax::of(group.path()).unwrap();
        let other = ZswapMax { number: max.number + 1, ..max.clone() };
        max.close().unwrap();
        other.put_back().unwrap();
        assert_eq!(fs::read_to_string(max.file()).unwrap(), "0", "another group of this path");
        drop(group);
        max.put_back().unwrap();
        assert!(ZswapMax::of(&max.folder).is_err());
    }

    #[test]
    fn words_that_are_none() {
        for words in ["", "max", "max 7", "max x /a", "min 7 /a", "max 7 a", "-1 7 /a"] {
            assert_eq!(ZswapMax::of_words(words), None, "{words}");
        }
        assert_eq!(ZswapMax::of_words("5 7 /a b/c").unwrap().words(), "5 7 /a b/c");
        assert!(ZswapMax::of(group("x\n").path()).is_err());
    }
}
