//! The bound on what is written to the disk behind a zram device that the kernel itself keeps to: `writeback_limit`.
//!
//! It is set for a pass and put back after it. The kernel counts it down while pages are written: what it was before is put back
//! less what was written under it, so that a bound of the operator's own holds. All that is needed for that stands in the line of a
//! record, so that the next daemon can do it after one that was killed.

use super::device::ZramFiles;
use crate::root::SysRoot;
use std::fs;
use std::io;

const ENABLE: &str = "writeback_limit_enable";
const LIMIT: &str = "writeback_limit";

/// The bound of a device while pages of it are written, and what it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZramLimit {
    files: ZramFiles,
    was_enabled: bool,
    was: u64,
    /// What it is set to, in pages of 4 KiB.
    set: u64,
}

impl ZramLimit {
    /// That of the device now, to be set to `most` pages, or less if less is allowed already.
    ///
    /// # Errors
    /// The device does not say.
    pub(super) fn of(files: &ZramFiles, most: u64) -> io::Result<Self> {
        let unread = || io::Error::new(io::ErrorKind::InvalidData, "it is not a number");
        let was = files.text(LIMIT)?.parse().map_err(|_| unread())?;
        let was_enabled = files.text(ENABLE)? != "0";
        let set = if was_enabled { most.min(was) } else { most };
        Ok(Self { files: files.clone(), was_enabled, was, set })
    }

    /// Pages that may be written.
    pub(super) const fn pages(&self) -> u64 {
        self.set
    }

    /// Sets it. What it was is to be recorded before.
    pub(super) fn set(&self) -> io::Result<()> {
        if self.was_enabled && self.set == self.was {
            return Ok(());
        }
        self.write(LIMIT, self.set)?;
        if self.was_enabled { Ok(()) } else { self.write(ENABLE, 1) }
    }

    fn write(&self, file: &str, number: u64) -> io::Result<()> {
        fs::write(self.files.file(file), number.to_string())
    }

    /// Puts back what it was, less what was written meanwhile. What another program has set since stays.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_back(&self) -> io::Result<()> {
        let (Some(now), Ok(enabled)) = (self.files.number(LIMIT, 0), self.files.text(ENABLE)) else {
            // The device is gone, and with it what was set.
            return Ok(());
        };
        let is_enabled = enabled != "0";
        if now > self.set {
            return Ok(());
        }
        match (self.was_enabled, is_enabled) {
            (true, true) if self.set < self.was => self.write(LIMIT, self.was - (self.set - now)),
            // What was the operator's own has been counted down by the kernel; or another program has switched it off.
            (true, _) => Ok(()),
            (false, true) => {
                self.write(ENABLE, 0)?;
                self.write(LIMIT, self.was)
            }
            (false, false) => self.write(LIMIT, self.was),
        }
    }

    /// What a record has of it.
    pub(crate) fn words(&self) -> String {
        let Self { files, was_enabled, was, set } = self;
        format!("{} {} {was} {set} {}", files.name, u8::from(*was_enabled), files.sys.path().display())
    }

    /// The one with these words.
    pub(crate) fn of_words(words: &str) -> Option<Self> {
        let mut parts = words.splitn(5, ' ');
        let name = parts.next().filter(|name| super::device::is_zram(name))?;
        let was_enabled = match parts.next()? {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let (was, set) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let files = ZramFiles::new(&SysRoot::new(parts.next()?), name);
        Some(Self { files, was_enabled, was, set })
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::tests::tree;
    use super::*;

    #[test]
    fn what_it_was_is_put_back_less_what_was_written() {
        // Enabled, limit; wanted; written; then enabled, limit.
        for (enabled, was, most, written, after) in [
            (0, 0, 50, 20, (0, 0)),
            (0, 33, 50, 50, (0, 33)),
            (1, 100, 50, 20, (1, 80)),
            (1, 100, 50, 0, (1, 100)),
            (1, 60, 50, 50, (1, 10)),
            (1, 30, 50, 20, (1, 10)),
            (1, 0, 50, 0, (1, 0)),
        ] {
            let (_tree, files) = tree();
            fs::write(files.file(ENABLE), enabled.to_string()).unwrap();
            fs::write(files.file(LIMIT), was.to_string()).unwrap();
            let limit = ZramLimit::of(&files, most).unwrap();
            limit.set().unwrap();
            let now = || (files.number(ENABLE, 0).unwrap(), files.number(LIMIT, 0).unwrap());
            assert_eq!(now(), (1, limit.pages()), "{was} {most}");
            assert!(limit.pages() <= most && (enabled == 0 || limit.pages() <= was));
            // As the kernel counts down.
            fs::write(files.file(LIMIT), (limit.pages() - written).to_string()).unwrap();
            let read = ZramLimit::of_words(&limit.words()).unwrap();
            assert_eq!(read, limit);
            read.put_back().unwrap();
            assert_eq!(now(), after, "{was} {most} {written}");
        }
    }

    #[test]
    fn what_another_program_sets_meanwhile_stays() {
        for (enabled, limit) in [(1, 51), (0, 99)] {
            let (_tree, files) = tree();
            let ours = ZramLimit::of(&files, 50).unwrap();
            ours.set().unwrap();
            fs::write(files.file(ENABLE), enabled.to_string()).unwrap();
            fs::write(files.file(LIMIT), limit.to_string()).unwrap();
            ours.put_back().unwrap();
            assert_eq!((files.number(ENABLE, 0), files.number(LIMIT, 0)), (Some(enabled), Some(limit)));
        }
        let (_tree, files) = tree();
        fs::write(files.file(ENABLE), "1\n").unwrap();
        fs::write(files.file(LIMIT), "100\n").unwrap();
        let ours = ZramLimit::of(&files, 50).unwrap();
        ours.set().unwrap();
        fs::write(files.file(ENABLE), "0\n").unwrap();
        ours.put_back().unwrap();
        assert_eq!(files.number(ENABLE, 0), Some(0));
    }

    #[test]
    fn killed_before_all_was_set_it_is_as_before() {
        let (_tree, files) = tree();
        fs::write(files.file(LIMIT), "7\n").unwrap();
        let ours = ZramLimit::of(&files, 50).unwrap();
        ours.put_back().unwrap();
        assert_eq!((files.number(ENABLE, 0), files.number(LIMIT, 0)), (Some(0), Some(7)));
        fs::write(files.file(LIMIT), "50\n").unwrap();
        ours.put_back().unwrap();
        assert_eq!((files.number(ENABLE, 0), files.number(LIMIT, 0)), (Some(0), Some(7)));
        fs::remove_file(files.file(LIMIT)).unwrap();
        assert!(ours.put_back().is_ok(), "the device is gone");
        for words in ["", "zram0", "zram0 1 2 3", "zram0 2 0 0 /sys", "sda 1 2 3 /sys", "zram0 1 x 3 /sys"] {
            assert_eq!(ZramLimit::of_words(words), None, "{words}");
        }
        let spaced = "zram0 1 2 3 /a folder/sys";
        assert_eq!(ZramLimit::of_words(spaced).unwrap().words(), spaced);
    }
}
