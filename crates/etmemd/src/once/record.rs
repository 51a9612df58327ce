//! What `etmem idle` leaves for `etmem warm`: for each process, what went out in which order.
//!
//! A file for each process, in the folder `idle` beside the [cleanup records](crate::cleanup_records), of mode 0600: where a program has its
//! memory concerns no other user. A record is of one process for as long as that lives. One of another process that had the pid before
//! is found by the time at which it started, and removed.

use crate::whole_file;
use etmem_core::address::{AddressRange, PAGE_SIZE};
use etmem_core::kernel::process::{Pid, ProcessId, ProcessTable};
use etmem_core::scan::without;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folder.
const FOLDER: &str = "idle";

/// The version of the format.
const VERSION: u32 = 1;

/// The file as it is written: JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    etmem_idle: u32,
    pid: u32,
    /// In ticks since boot, as `/proc/PID/stat` has it.
    start_time: u64,
    /// Number of the first page, and pages, in the order in which they went out.
    pages: Vec<(u64, u64)>,
}

/// What went out of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// In the order in which it went out.
    pub(crate) ranges: Vec<AddressRange>,
    /// When it was written.
    pub(crate) at: Option<SystemTime>,
}

/// Why there is no record to go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Without {
    /// None was left.
    None,
    /// It was of another process that had the number.
    OfAnother,
    /// It cannot be read, or is of another version.
    Unreadable(String),
}

/// The records of a machine.
#[derive(Debug)]
pub(crate) struct Records(PathBuf);

impl Records {
    /// Those below `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.join(FOLDER))
    }

    fn path(&self, pid: Pid) -> PathBuf {
        self.0.join(format!("{pid}.json"))
    }

    /// The record of `process`.
    ///
    /// # Errors
    /// Why there is none. That of a process that has ended is removed.
    pub(crate) fn read(&self, process: ProcessId) -> Result<Record, Without> {
        let path = self.path(process.pid);
        let unreadable =
            |error: &dyn ToString| Without::Unreadable(format!("{}: {}", path.display(), error.to_string()));
        let file = match File::options().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Without::None),
            opened => opened.map_err(|error| unreadable(&error))?,
        };
        let at = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let written: Written =
            serde_json::from_reader(io::BufReader::new(file)).map_err(|error| unreadable(&error))?;
        if written.etmem_idle != VERSION {
            let version = written.etmem_idle;
            return Err(unreadable(&format!(
                "is of version {version}, and this etmem writes version {VERSION}"
            )));
        }
        if written.start_time != process.start_time {
            self.forget(process.pid);
            return Err(Without::OfAnother);
        }
        let range = |(first, pages): (u64, u64)| {
            let start = first.saturating_mul(PAGE_SIZE);
            AddressRange::new(start, start.saturating_add(pages.saturating_mul(PAGE_SIZE)))
        };
        Ok(Record { ranges: written.pages.into_iter().map(range).collect(), at })
    }

    /// Adds `ranges`, which do not overlap, to what went out of `process` before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn add(&self, process: ProcessId, ranges: &[AddressRange]) -> io::Result<()> {
        let before = self.read(process).unwrap_or_default();
        // What leaves again was back meanwhile: each page is recorded once, where it left last.
        let before = not_again(&before.ranges, ranges);
        let pages = before.iter().chain(ranges);
        let written = Written {
            etmem_idle: VERSION,
            pid: process.pid.get(),
            start_time: process.start_time,
            pages: pages.map(|range| (range.start / PAGE_SIZE, range.bytes() / PAGE_SIZE)).collect(),
        };
        whole_file::write(&self.path(process.pid), |file| {
            let mut out = BufWriter::new(file);
            serde_json::to_writer(&mut out, &written)?;
            out.flush()
        })
    }

    /// Removes the record of `pid`.
    pub(crate) fn forget(&self, pid: Pid) {
        let _ = fs::remove_file(self.path(pid));
    }

    /// Removes the records of processes that have ended.
    pub(crate) fn tidy(&self, table: &dyn ProcessTable) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let pid =
                name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok()).and_then(Pid::new);
            if let Some(pid) = pid
                && table.check(pid).is_err()
            {
                self.forget(pid);
            }
        }
    }
}

/// What of `before`, in its order, is not in `again`.
fn not_again(before: &[AddressRange], again: &[AddressRange]) -> Vec<AddressRange> {
    let mut again = again.to_vec();
    again.sort_unstable();
    let rest = before.iter().flat_map(|range| {
        let from = again.partition_point(|other| other.end <= range.start);
        let to = again.partition_point(|other| other.start < range.end);
        without(&[*range], &again[from..to])
    });
    rest.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_testkit::fake::{FakeMachine, FakeProcess};
    use std::os::unix::fs::PermissionsExt;

    fn process(start_time: u64) -> ProcessId {
        ProcessId { pid: Pid::new(7).unwrap(), start_time }
    }

    fn range(first: u64, end: u64) -> AddressRange {
        AddressRange::new(first * PAGE_SIZE, end * PAGE_SIZE)
    }

    #[test]
    fn what_goes_out_later_comes_after_what_went_before() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path());
        assert_eq!(records.read(process(1)), Err(Without::None));
        records.add(process(1), &[range(50, 60), range(10, 11)]).unwrap();
        records.add(process(1), &[range(1, 3)]).unwrap();
        let record = records.read(process(1)).unwrap();
        assert_eq!(record.ranges, [range(50, 60), range(10, 11), range(1, 3)]);
        records.add(process(1), &[range(56, 58), range(2, 4)]).unwrap();
        let record = records.read(process(1)).unwrap();
        let want = [range(50, 56), range(58, 60), range(10, 11), range(1, 2), range(56, 58), range(2, 4)];
        assert_eq!(record.ranges, want, "what left again is recorded once");
        let mode = fs::metadata(records.path(process(1).pid)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&records.0).unwrap().count(), 1);
    }

    #[test]
    fn a_record_of_another_process_is_noticed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path());
        records.add(process(1), &[range(1, 3)]).unwrap();
        assert_eq!(records.read(process(2)), Err(Without::OfAnother));
        assert_eq!(records.read(process(2)), Err(Without::None));
        records.add(process(1), &[range(1, 3)]).unwrap();
        records.add(process(2), &[range(5, 6)]).unwrap();
        assert_eq!(records.read(process(2)).unwrap().ranges, [range(5, 6)]);
    }

    #[test]
    fn records_of_processes_that_have_ended_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path());
        records.add(process(1), &[range(1, 3)]).unwrap();
        let machine = FakeMachine::new(FakeMachine::roomy(), Vec::new());
        records.tidy(&*machine.kernel().processes);
        assert_eq!(records.read(process(1)), Err(Without::None));
        let lives = FakeProcess::new(7, "x", 0, 1, |_, _| etmem_core::kernel::probe::Access::IDLE);
        records.add(lives.id, &[range(1, 3)]).unwrap();
        let machine = FakeMachine::new(FakeMachine::roomy(), vec![lives.clone()]);
        records.tidy(&*machine.kernel().processes);
        assert!(records.read(lives.id).is_ok());
    }

    #[test]
    fn what_this_version_does_not_understand_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path());
        records.add(process(1), &[]).unwrap();
        for (text, want) in [
            ("", "EOF"),
            ("{}", "missing field"),
            (r#"{"etmem_idle":2,"pid":7,"start_time":1,"pages":[]}"#, "is of version 2"),
            (r#"{"etmem_idle":1,"pid":7,"start_time":1,"pages":[[1]]}"#, "invalid length"),
        ] {
            fs::write(records.path(process(1).pid), text).unwrap();
            let Err(Without::Unreadable(said)) = records.read(process(1)) else { panic!("{text}") };
            assert!(said.contains(want), "{said}");
        }
        let huge = format!(r#"{{"etmem_idle":1,"pid":7,"start_time":1,"pages":[[{0},{0}]]}}"#, u64::MAX);
        fs::write(records.path(process(1).pid), huge).unwrap();
        assert!(records.read(process(1)).unwrap().ranges[0].is_empty());
    }
}
