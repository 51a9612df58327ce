//! Finding processes, and telling one from another that got its pid later.

use super::group_pattern::GroupPattern;
use glob::{MatchOptions, Pattern};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

/// A process number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, derive_more::Display, Serialize, Deserialize,
)]
pub struct Pid(pub NonZeroU32);

impl Pid {
    /// The process number `pid`; none for 0.
    #[must_use]
    pub fn new(pid: u32) -> Option<Self> {
        NonZeroU32::new(pid).map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// One process for as long as it lives: a pid alone may be given to another process later.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, derive_more::Display, Serialize, Deserialize,
)]
#[display("{pid}")]
pub struct ProcessId {
    /// Its number.
    pub pid: Pid,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

/// What a task's `type` and `value` name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// `type=pid` as a file has it: the process that has this number, and its descendants.
    Pid(Pid),
    /// `type=pid` of a task that was added: the process that had the number then, and its descendants. A process
    /// that is given the number later is not meant.
    Process(ProcessId),
    /// `type=name`: every process whose `comm` is exactly this, and their descendants.
    Comm(Box<str>),
    /// `type=exe`: every process that runs an executable of such a path, and their descendants.
    Exe(ExePattern),
    /// `type=cgroup`: every process of the control groups of such a path, and of the groups below them.
    Groups(GroupPattern),
    /// `type=machine`: no process, but the machine as a whole.
    Machine,
}

/// The path of an executable, from `/` on. `*`, `?` and `[a-z]` stand for characters other than `/`, `**` for any folders.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExePattern(Pattern);

impl ExePattern {
    /// The pattern `text`; none if it is no path from `/` on, or a bracket is never closed.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        Pattern::new(text).ok().filter(|_| text.starts_with('/')).map(Self)
    }

    /// Whether an executable at `path` is meant.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        let options = MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        self.0.matches_path_with(path, options)
    }
}

impl fmt::Display for ExePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Target {
    /// `type` and `value` as a file has them.
    #[must_use]
    pub fn written(&self) -> (&'static str, String) {
        match self {
            Self::Pid(pid) | Self::Process(ProcessId { pid, .. }) => ("pid", pid.to_string()),
            Self::Comm(comm) => ("name", comm.to_string()),
            Self::Exe(pattern) => ("exe", pattern.to_string()),
            Self::Groups(pattern) => ("cgroup", pattern.to_string()),
            Self::Machine => ("machine", String::new()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) | Self::Process(ProcessId { pid, .. }) => write!(f, "process {pid}"),
            Self::Comm(comm) => write!(f, "process named {comm}"),
            Self::Exe(pattern) => write!(f, "process with executable {pattern}"),
            Self::Groups(pattern) => write!(f, "control group {pattern}"),
            Self::Machine => f.write_str("the machine"),
        }
    }
}

/// A process's use of memory: figures of `/proc/PID/status`, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMemory {
    /// Bytes in memory.
    pub resident: u64,
    /// Bytes in swap.
    pub swapped: u64,
    /// Major faults since it started: how often something had to be fetched for it (field 12 of `/proc/PID/stat`).
    pub major_faults: u64,
    /// Bytes in memory that are the program's own (`RssAnon`); these and the following are 0 before Linux 4.5.
    pub anonymous: u64,
    /// Bytes in memory of files: programs, libraries and mapped files (`RssFile`).
    pub file: u64,
    /// Bytes in memory that are shared memory (`RssShmem`): `MAP_SHARED` without a file, SysV, tmpfs, memfd.
    pub shared: u64,
    /// Bytes of the pool of huge pages (`HugetlbPages`), which `resident` does not count.
    pub huge_pool: u64,
}

impl ProcessMemory {
    /// `percent` of all of it, in memory and in swap, in bytes. Divides first, as etmem 1.x does.
    #[must_use]
    pub const fn share(&self, percent: u8) -> u64 {
        (self.resident + self.swapped) / 100 * percent as u64
    }

    /// What the process has freed since it had `before`: bytes that it has less in memory, and not more in swap.
    #[must_use]
    pub const fn given_back_since(&self, before: &Self) -> u64 {
        let less = before.resident.saturating_sub(self.resident);
        less.saturating_sub(self.swapped.saturating_sub(before.swapped))
    }
}

/// Why a step on a process could not be done. The first two are outcomes, not faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// It ended, or its pid belongs to another process by now.
    #[error("the process exited")]
    Exited,
    /// It replaced its program (exec), so that what was seen of its memory no longer holds.
    #[error("the process replaced its program (exec)")]
    Replaced,
    /// The kernel refused.
    #[error("{call}: {reason}")]
    Refused {
        /// What was asked: a path or a system call.
        call: String,
        /// What the kernel answered.
        reason: String,
    },
}

impl ProcessError {
    /// The kernel refused `call`, a path or a system call.
    #[must_use]
    pub fn refused(call: impl ToString, reason: impl ToString) -> Self {
        Self::Refused { call: call.to_string(), reason: reason.to_string() }
    }
}

/// Why a pid cannot be a target at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is no such process.
    #[error("there is no process {0}")]
    NoProcess(Pid),
    /// It is a kernel thread, which has no memory of its own.
    #[error("process {0} is a kernel thread; it has no memory of its own to move")]
    KernelThread(Pid),
    /// It is the process that asks.
    #[error("process {0} is etmemd itself; it never moves its own memory")]
    Oneself(Pid),
}

/// Why a target that means one process names none any more, and never will.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// No process has its number.
    #[error(
        "process {0}, which the task was added for, has ended; delete the task, or add it again for another process"
    )]
    Ended(Pid),
    /// Its number belongs to another process.
    #[error(
        "process {0}, which the task was added for, has ended; the process that has its number now is another and is \
         left alone; delete the task, and add it again if that one is meant"
    )]
    Reused(Pid),
}

/// How long threads have waited for a processor, by their numbers, which ascend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waited(pub Vec<(u32, Duration)>);

impl Waited {
    /// How much longer those have waited that are in both: threads begin and end meanwhile.
    #[must_use]
    pub fn since(&self, before: &Self) -> Duration {
        let mut earlier = before.0.iter().peekable();
        let longer = |(thread, waited): &(u32, Duration)| {
            while earlier.next_if(|(other, _)| other < thread).is_some() {}
            earlier
                .next_if(|(other, _)| other == thread)
                .map_or(Duration::ZERO, |(_, before)| waited.saturating_sub(*before))
        };
        self.0.iter().map(longer).sum()
    }
}

/// A child that runs its parent's program, with the parent's memory as it was a short while ago: it writes a snapshot, perhaps, or
/// serves one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JustForked {
    /// The child.
    pub child: Pid,
    /// Who forked it.
    pub parent: Pid,
}

impl JustForked {
    /// A child is one for so long.
    pub const FOR: Duration = Duration::from_secs(60);
}

/// Finds processes. Called at the start of every cycle: processes come and go.
pub trait ProcessTable: fmt::Debug + Send + Sync {
    /// The processes that `target` names and all their descendants, each once, in ascending order of pid;
    /// an empty list where there are none now. Kernel threads and the caller itself are left out. Of processes that share
    /// one memory, one is given.
    ///
    /// # Errors
    /// When the table itself cannot be read.
    fn find(&self, target: &Target) -> Result<Vec<ProcessId>, ProcessError>;

    /// The process that has the number `pid` now, if that can be a target. Called when a task that names it is added: that
    /// process is meant from then on.
    ///
    /// # Errors
    /// Why it cannot.
    fn check(&self, pid: Pid) -> Result<ProcessId, TargetError>;

    /// Why `target`, of which no process was found, will never name one; `None` if one may come.
    fn gone(&self, target: &Target) -> Option<Gone> {
        let Target::Process(process) = target else { return None };
        match self.check(process.pid) {
            Ok(now) if now == *process => None,
            Err(TargetError::NoProcess(pid)) => Some(Gone::Ended(pid)),
            Ok(_) | Err(TargetError::KernelThread(_) | TargetError::Oneself(_)) => {
                Some(Gone::Reused(process.pid))
            }
        }
    }

    /// Processes that may be meant by `target`, which names none: what of them is called so, a line each. Called when a task
    /// starts.
    fn alike(&self, target: &Target) -> Vec<String> {
        let _ = target;
        Vec::new()
    }

    /// How the memory of one process stands to that of another, in an order that is the same for as long as both have it: equal
    /// where it is one, as of processes made by clone(2) with CLONE_VM, or by vfork(2). [`find`](Self::find) gives one of several.
    /// `None` if one of them is gone.
    fn order_of_memory(&self, one: ProcessId, other: ProcessId) -> Option<Ordering> {
        Some(one.cmp(&other))
    }

    /// Whether both have the same memory, now.
    fn share_memory(&self, one: ProcessId, other: ProcessId) -> bool {
        one == other || self.order_of_memory(one, other) == Some(Ordering::Equal)
    }

    /// Of the control groups that `process` is in, the uppermost that `pattern` means; none if it is in no such group, or gone.
    fn group(&self, process: ProcessId, pattern: &GroupPattern) -> Option<String> {
        let _ = (process, pattern);
        None
    }

    /// Whether `process` was forked less than [`JustForked::FOR`] ago, or has forked a child that is still there. One that has been
    /// given another program since has other memory, and does not count.
    fn just_forked(&self, process: ProcessId) -> Option<JustForked> {
        let _ = process;
        None
    }

    /// A number for the program that `process` runs now: another one after it has replaced its program, most probably. `None` if it
    /// is gone, or the kernel does not tell.
    fn program(&self, process: ProcessId) -> Option<u64> {
        let _ = process;
        None
    }

    /// What `process` is called (`/proc/PID/comm`); none if it is gone.
    fn name(&self, process: ProcessId) -> Option<String> {
        let _ = process;
        None
    }

    /// How long the threads of `process` have waited for a processor so far; none if the kernel does not count, or it is gone.
    fn waited(&self, process: ProcessId) -> Option<Waited> {
        let _ = process;
        None
    }

    /// How much memory `process` uses now.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] where it is gone.
    fn memory(&self, process: ProcessId) -> Result<ProcessMemory, ProcessError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_began_or_ended_meanwhile_have_not_waited_longer() {
        let waited = |threads: &[(u32, u64)]| {
            Waited(threads.iter().map(|(thread, ms)| (*thread, Duration::from_millis(*ms))).collect())
        };
        let before = waited(&[(3, 5), (7, 100), (9, 900)]);
        assert_eq!(waited(&[(1, 4), (3, 6), (9, 950), (11, 70)]).since(&before), Duration::from_millis(51));
        assert_eq!(waited(&[]).since(&before), Duration::ZERO);
        assert_eq!(before.since(&waited(&[])), Duration::ZERO);
    }

    #[test]
    fn what_went_to_swap_was_not_given_back() {
        let memory = |resident, swapped| ProcessMemory {
            resident,
            swapped,
            major_faults: 0,
            ..ProcessMemory::default()
        };
        for (before, now, want) in [
            (memory(100, 5), memory(100, 5), 0),
            (memory(100, 5), memory(30, 5), 70),
            (memory(100, 5), memory(30, 25), 50),
            (memory(100, 5), memory(90, 25), 0),
            (memory(100, 5), memory(120, 5), 0),
            // It freed pages that were in swap as well.
            (memory(100, 5), memory(30, 0), 70),
        ] {
            assert_eq!(now.given_back_since(&before), want, "{before:?} {now:?}");
        }
    }
}
