//! Writing pages of a device to the disk behind it, one index after the other: `echo page_index=N > writeback`.
//!
//! Each write is a request of its own to the disk, for which the kernel waits. A slot that has no page any more is accepted by the
//! kernel without a word; how many pages were written is what `bd_stat` counts.

use super::device::ZramFiles;
use super::limit::ZramLimit;
use crate::lasting::{Kept, end};
use etmem_core::kernel::sinking::{SinkPass, SinkRefusal, Sunk};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// Where indexes are written to.
pub(super) trait Writeback: fmt::Debug + Send {
    /// Has the page `slot` written.
    fn write(&mut self, slot: u32) -> io::Result<()>;
}

impl Writeback for File {
    fn write(&mut self, slot: u32) -> io::Result<()> {
        // One call is one request, wherever in the file.
        self.write_at(format!("page_index={slot}").as_bytes(), 0).map(drop)
    }
}

/// Writes pages of one device.
#[derive(Debug)]
pub(super) struct Pass {
    files: ZramFiles,
    writeback: Box<dyn Writeback>,
    limit: ZramLimit,
    /// The record of the limit, which goes once that is put back.
    record: Option<Box<dyn Kept>>,
    wrote: bool,
}

impl Pass {
    /// Of the device of `files`, whose limit is set already.
    pub(super) fn new(
        files: ZramFiles,
        writeback: Box<dyn Writeback>,
        limit: ZramLimit,
        record: Box<dyn Kept>,
    ) -> Self {
        Self { files, writeback, limit, record: Some(record), wrote: false }
    }

    fn written(&self) -> Option<u64> {
        self.files.number("bd_stat", 2)
    }

    /// What the kernel means.
    fn refusal(&self, error: &io::Error) -> SinkRefusal {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EBUSY) => SinkRefusal::Busy,
            Some(libc::ENOSPC) => SinkRefusal::DiskFull,
            // What it answers at the limit, and what a disk does that fails.
            Some(libc::EIO) if self.files.number("writeback_limit", 0) == Some(0) => {
                SinkRefusal::LimitReached
            }
            Some(libc::EIO) => SinkRefusal::DiskFails(error.to_string().into()),
            // An index beyond the size, or no size.
            Some(libc::EINVAL) => SinkRefusal::Gone,
            Some(libc::ENODEV | libc::ENOENT)
                if self.files.state().is_some() && self.files.disk().is_none() =>
            {
                SinkRefusal::NoDisk
            }
            Some(libc::ENODEV | libc::ENOENT) => SinkRefusal::Gone,
            _ => SinkRefusal::refused(self.files.file("writeback").display(), error),
        }
    }
}

impl SinkPass for Pass {
    fn sink(&mut self, slots: &[u32]) -> Sunk {
        let before = self.written();
        let (mut accepted, mut ended) = (0, None);
        for slot in slots {
            match self.writeback.write(*slot) {
                Ok(()) => accepted += 1,
                Err(error) => {
                    ended = Some(self.refusal(&error));
                    break;
                }
            }
        }
        let counted = self.written().zip(before).map_or(0, |(now, before)| now.saturating_sub(before));
        // Another program may write as well.
        let written = counted.min(accepted);
        self.wrote |= written > 0;
        Sunk { written, vanished: accepted - written, ended }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // What it took goes back to the machine only in whole pages of the allocator.
        if self.wrote && self.files.memory().is_some_and(|state| state.limit > 0) {
            let _ = fs::write(self.files.file("compact"), "1");
        }
        if let Some(record) = self.record.take() {
            end(record, format_args!("{}: writeback_limit", self.files.name), self.limit.put_back());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::tests::tree;
    use super::*;
    use std::collections::VecDeque;

    /// A kernel that answers by script, and counts what it writes in `bd_stat`.
    #[derive(Debug)]
    struct Scripted {
        files: ZramFiles,
        answers: VecDeque<Answer>,
        written: u64,
    }

    #[derive(Debug, Clone, Copy)]
    enum Answer {
        Writes,
        /// The slot has no page.
        Passes,
        Fails(i32),
        /// The device is reset before it answers.
        Reset,
        /// Its disk goes.
        NoDisk,
        /// Another program writes as well.
        BesideAnother,
    }

    impl Writeback for Scripted {
        fn write(&mut self, _: u32) -> io::Result<()> {
            let answer = self.answers.pop_front().expect("one more than the script has");
            let error = |number| Err(io::Error::from_raw_os_error(number));
            match answer {
                Answer::Writes => self.written += 1,
                Answer::BesideAnother => self.written += 10,
                Answer::Passes => {}
                Answer::Fails(number) => return error(number),
                Answer::Reset => {
                    fs::write(self.files.file("disksize"), "0\n").unwrap();
                    fs::remove_file(self.files.file("bd_stat")).unwrap();
                    return error(libc::EINVAL);
                }
                Answer::NoDisk => {
                    fs::write(self.files.file("backing_dev"), "none\n").unwrap();
                    return error(libc::ENODEV);
                }
            }
            fs::write(self.files.file("bd_stat"), format!("0 0 {}\n", self.written)).unwrap();
            Ok(())
        }
    }

    fn sunk(answers: &[Answer], limit_left: u64) -> (Sunk, (u64, u64)) {
        let (_tree, files) = tree();
        let limit = ZramLimit::of(&files, 50).unwrap();
        limit.set().unwrap();
        fs::write(files.file("writeback_limit"), limit_left.to_string()).unwrap();
        let slots: Vec<u32> = (0..).take(answers.len()).collect();
        let script = Scripted { files: files.clone(), answers: answers.to_vec().into(), written: 130 };
        let mut pass = Pass::new(files.clone(), Box::new(script), limit, Box::new(()));
        let sunk = pass.sink(&slots);
        drop(pass);
        let number = |file| files.number(file, 0).unwrap();
        (sunk, (number("writeback_limit_enable"), number("writeback_limit")))
    }

    #[test]
    fn every_answer_of_the_kernel_is_an_outcome() {
        use Answer::{BesideAnother, Fails, NoDisk, Passes, Reset, Writes};
        for (answers, limit_left, written, vanished, ended) in [
            (&[Writes, Writes][..], 9, 2, 0, None),
            // Freed, or written by another program, between the look and the write.
            (&[Writes, Passes, Passes], 9, 1, 2, None),
            (&[BesideAnother, Passes], 9, 2, 0, None),
            (&[Writes, Fails(libc::ENOSPC)], 9, 1, 0, Some(SinkRefusal::DiskFull)),
            (&[Writes, Fails(libc::EIO)], 0, 1, 0, Some(SinkRefusal::LimitReached)),
            (&[Fails(libc::EAGAIN)], 9, 0, 0, Some(SinkRefusal::Busy)),
            (&[Writes, Reset], 9, 0, 1, Some(SinkRefusal::Gone)),
            (&[Fails(libc::ENODEV)], 9, 0, 0, Some(SinkRefusal::Gone)),
            (&[NoDisk], 9, 0, 0, Some(SinkRefusal::NoDisk)),
        ] {
            let (sunk, limit) = sunk(answers, limit_left);
            assert_eq!(sunk, Sunk { written, vanished, ended }, "{answers:?}");
            assert_eq!(limit, (0, 0), "put back");
        }
        let (sunk, _) = sunk(&[Fails(libc::EIO)], 9);
        assert!(matches!(sunk.ended, Some(SinkRefusal::DiskFails(_))), "{sunk:?}");
    }
}
