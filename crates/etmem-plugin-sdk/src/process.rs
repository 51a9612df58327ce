//! The processes that a task works on, and paging out of their memory.

use crate::sys::advice::{Advice, ProcessDescriptor};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

/// Most ranges in one call (`UIO_MAXIOV` of Linux is 1024).
const AT_ONCE: usize = 512;

/// How often a range is tried again after the kernel was interrupted.
const ATTEMPTS: usize = 8;

/// PF_KTHREAD (`include/linux/sched.h`).
const KERNEL_THREAD: u32 = 0x0020_0000;

/// What a task's keys `type` and `value` name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The process with this number, and its descendants.
    Pid(u32),
    /// Every process whose program has this name, and their descendants.
    Name(String),
    /// A type that this version does not know: no process.
    Other {
        /// `type=`.
        kind: String,
        /// `value=`.
        value: String,
    },
}

impl Target {
    pub(crate) fn new(kind: &str, value: &str) -> Self {
        match (kind, value.parse()) {
            ("pid", Ok(pid)) => Self::Pid(pid),
            ("name", _) => Self::Name(value.to_owned()),
            _ => Self::Other { kind: kind.to_owned(), value: value.to_owned() },
        }
    }

    /// The processes that exist now, in ascending order of their pids. Processes come and go, so ask in every cycle. Those
    /// that end meanwhile and the kernel's own threads are left out.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let pids = self.pids(Path::new("/proc"));
        pids.into_iter().filter_map(|pid| Process::open(pid).ok()).collect()
    }

    fn pids(&self, proc: &Path) -> Vec<u32> {
        let numbers = fs::read_dir(proc).into_iter().flatten().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let stats: BTreeMap<u32, Stat> =
            numbers.filter_map(|pid| Some((pid, Stat::read(proc, pid)?))).collect();
        let is_meant = |pid: u32, stat: &Stat| match self {
            Self::Pid(wanted) => *wanted == pid,
            Self::Name(name) => stat.name == name.as_bytes(),
            Self::Other { .. } => false,
        };
        let descends = |pid: u32| {
            let mut at = pid;
            // No chain of parents is longer, even if processes come and go while they are listed.
            for _ in 0..stats.len() {
                match stats.get(&at) {
                    Some(stat) if is_meant(at, stat) => return true,
                    Some(stat) => at = stat.parent,
                    None => return false,
                }
            }
            false
        };
        let own = std::process::id();
        let users = stats.iter().filter(|(_, stat)| stat.flags & KERNEL_THREAD == 0);
        users.map(|(pid, _)| *pid).filter(|pid| *pid != own && descends(*pid)).collect()
    }
}

/// Fields of `/proc/PID/stat` (proc_pid_stat(5)).
struct Stat {
    name: Vec<u8>,
    parent: u32,
    flags: u32,
}

impl Stat {
    fn read(proc: &Path, pid: u32) -> Option<Self> {
        let text = fs::read(proc.join(pid.to_string()).join("stat")).ok()?;
        // The name can contain any byte, also parentheses.
        let open = text.iter().position(|&byte| byte == b'(')?;
        let close = text.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let mut fields = rest.split_whitespace().skip(1);
        let parent = fields.next()?.parse().ok()?;
        let flags = fields.nth(4)?.parse().ok()?;
        Some(Self { name: text.get(open + 1..close)?.to_vec(), parent, flags })
    }
}

/// A process, as long as it lives. A later process with the same pid is another one.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    descriptor: ProcessDescriptor,
}

impl Process {
    /// The process that has this pid now.
    ///
    /// # Errors
    /// The error of pidfd_open(2): there is no such process, or the kernel is older than 5.3.
    pub fn open(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, descriptor: ProcessDescriptor::open(pid)? })
    }

    /// Its pid.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks the kernel to page out `ranges` of its addresses, and returns how many bytes the kernel processed. Ranges that are
    /// not mapped any more or cannot be paged out are left out. Nothing is lost: a page that is touched again is read back.
    ///
    /// # Errors
    /// The process has ended, or the kernel refuses the call (process_madvise(2): Linux 5.10, `CAP_SYS_NICE`).
    pub fn page_out(&self, ranges: &[Range<u64>]) -> io::Result<u64> {
        let mut done = 0;
        for mut rest in ranges.chunks(AT_ONCE) {
            let mut attempts = ATTEMPTS;
            while let [_, others @ ..] = rest {
                match self.descriptor.page_out(rest)? {
                    Advice::Went(bytes) if bytes > 0 => {
                        done += bytes;
                        rest = after_bytes(rest, bytes);
                        attempts = ATTEMPTS;
                    }
                    Advice::NotNow if attempts > 0 => attempts -= 1,
                    Advice::Went(_) | Advice::NotNow | Advice::Unsuitable => rest = others,
                }
            }
        }
        Ok(done)
    }
}

/// The ranges after the first `bytes` of `ranges`; a range that was processed in part is not repeated.
fn after_bytes(mut ranges: &[Range<u64>], mut bytes: u64) -> &[Range<u64>] {
    while let [first, others @ ..] = ranges
        && bytes > 0
    {
        bytes = bytes.saturating_sub(first.end.saturating_sub(first.start));
        ranges = others;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(processes: &[(u32, &str, u32, u32)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (pid, name, parent, flags) in processes {
            let own = folder.path().join(pid.to_string());
            fs::create_dir(&own).unwrap();
            fs::write(own.join("stat"), format!("{pid} ({name}) S {parent} 1 1 0 -1 {flags} 0 0\n")).unwrap();
        }
        fs::create_dir(folder.path().join("sys")).unwrap();
        folder
    }

    #[test]
    fn target_is_its_processes_and_their_descendants() {
        let processes = [
            (1, "init", 0, 0),
            (2, "kthreadd", 0, KERNEL_THREAD),
            (10, "server", 1, 0),
            (11, "a) S 7 (b", 10, 0),
            (12, "worker", 11, 0),
            (13, "server", 2, KERNEL_THREAD),
            (20, "server", 1, 0),
            (30, "x", 31, 0),
            (31, "y", 30, 0),
        ];
        let machine = machine(&processes);
        for (kind, value, want) in [
            ("pid", "10", &[10, 11, 12][..]),
            ("pid", "12", &[12]),
            ("pid", "9", &[]),
            ("name", "server", &[10, 11, 12, 20]),
            ("name", "a) S 7 (b", &[11, 12]),
            ("name", "serve", &[]),
            ("pid", "x", &[]),
            ("cgroup", "server", &[]),
        ] {
            assert_eq!(Target::new(kind, value).pids(machine.path()), want, "{kind} {value}");
        }
    }

    #[test]
    fn range_processed_in_part_is_not_repeated() {
        let ranges = [0..10, 20..25, 30..40];
        for (bytes, left) in [(0, 3), (10, 2), (12, 1), (15, 1), (16, 0), (99, 0)] {
            assert_eq!(after_bytes(&ranges, bytes).len(), left, "{bytes}");
        }
    }

    #[test]
    fn missing_process_cannot_be_opened() {
        assert!(Process::open(u32::MAX).is_err());
    }
}
