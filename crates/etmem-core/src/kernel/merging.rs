//! Equal pages of programs that the kernel keeps once (KSM, `Documentation/admin-guide/mm/ksm.rst`).
//!
//! It is a setting of the whole machine. What runs it is counted, and what it was set to before is restored with the last.

use super::process::{ProcessError, ProcessId};
use std::fmt;
use std::time::Duration;

/// What the kernel does about equal pages (`run`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: what is merged stays merged until it is written to.
    #[default]
    Stopped,
    /// It looks for them and merges them.
    Running,
    /// Nothing, and what was merged was separated.
    Separated,
}

/// How fast the kernel looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// By the kernel's own advisor (Linux 6.8 and later).
    Advisor {
        /// Most processor time, in percent of one processor.
        processor_percent: u8,
        /// How long a scan of all memory that may be merged is to take.
        full_scan: Duration,
    },
    /// A number of pages, then a rest.
    Pages {
        /// Pages between two rests.
        pages: u32,
        /// The rest.
        rest: Duration,
    },
}

impl Speed {
    /// The one that asks less of the machine, if both are of one kind; else this one.
    #[must_use]
    pub fn slower(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Advisor { processor_percent: one, full_scan: a },
                Self::Advisor { processor_percent: two, full_scan: b },
            ) => Self::Advisor { processor_percent: one.min(two), full_scan: a.max(b) },
            (Self::Pages { pages: one, rest: a }, Self::Pages { pages: two, rest: b }) => {
                Self::Pages { pages: one.min(two), rest: a.max(b) }
            }
            (Self::Advisor { .. }, Self::Pages { .. }) | (Self::Pages { .. }, Self::Advisor { .. }) => self,
        }
    }
}

/// What the kernel says of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergingState {
    /// What it does.
    pub mode: Mode,
    /// How often it has looked at all memory that may be merged (`full_scans`).
    pub full_scans: u64,
    /// Bytes of merged pages (`pages_shared`).
    pub shared: u64,
    /// Bytes that these stand for beside themselves: what is saved (`pages_sharing`).
    pub sharing: u64,
    /// Bytes that were copied since the machine was started, as a program wrote to a merged page (`cow_ksm`); `None` if the kernel
    /// does not count them.
    pub copied: Option<u64>,
    /// Whether it has an advisor ([`Speed::Advisor`]).
    pub has_advisor: bool,
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessMerging {
    /// Bytes of it that are merged, each page counted where it is mapped.
    pub merged: u64,
    /// Bytes that the kernel takes to know its pages.
    pub cost: u64,
    /// Whether the process has allowed that its memory is merged; `None` while that is not known.
    pub allowed: Option<bool>,
}

/// Merges equal pages.
pub trait Merging: fmt::Debug + Send + Sync {
    /// The machine as it is now. Called in each round.
    ///
    /// # Errors
    /// What the kernel answers.
    fn state(&self) -> Result<MergingState, ProcessError>;

    /// How it is with `process`.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] where it is gone, or what the kernel answers.
    fn of(&self, process: ProcessId) -> Result<ProcessMerging, ProcessError>;

    /// Runs it at `speed`, or slower if another task asks for that, until the answer is ended or dropped; `None` if it ran before any
    /// task: then its settings are another's, and stay as they are.
    ///
    /// # Errors
    /// What the kernel refuses. Then nothing stays set.
    fn run(&self, speed: Speed) -> Result<Option<Box<dyn MergingRun>>, ProcessError>;

    /// What a record holds of the settings before, for the case that the daemon is killed; `None` if nothing is set.
    fn settings_before(&self) -> Option<String> {
        None
    }
}

/// What keeps it running.
pub trait MergingRun: fmt::Debug + Send {
    /// Goes on at `speed`.
    ///
    /// # Errors
    /// What the kernel refuses.
    fn change(&mut self, speed: Speed) -> Result<(), ProcessError>;

    /// Ends it. With the last one the settings from before are restored; `separate`: also what was merged is separated, if memory has
    /// room for it.
    ///
    /// # Errors
    /// What could not be restored, or separated, and why.
    fn end(self: Box<Self>, separate: bool) -> Result<(), ProcessError>;
}

/// Whether `available` bytes, of a machine with `total`, are enough for `sharing` more: a twentieth of the machine stays free.
#[must_use]
pub const fn has_room(sharing: u64, available: u64, total: u64) -> bool {
    available > sharing.saturating_add(total / 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_two() {
        let advisor = |percent, seconds| Speed::Advisor {
            processor_percent: percent,
            full_scan: Duration::from_secs(seconds),
        };
        let pages = |pages, millis| Speed::Pages { pages, rest: Duration::from_millis(millis) };
        assert_eq!(advisor(20, 200).slower(advisor(10, 100)), advisor(10, 200));
        assert_eq!(pages(100, 20).slower(pages(64, 10)), pages(64, 20));
        assert_eq!(pages(100, 20).slower(advisor(10, 100)), pages(100, 20));
    }

    #[test]
    fn a_twentieth_stays_free() {
        assert!(has_room(10, 16, 100) && !has_room(10, 15, 100) && !has_room(u64::MAX, 16, 100));
    }
}
