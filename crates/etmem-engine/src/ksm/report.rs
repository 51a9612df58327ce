//! What is said of a round of a ksm task.

use crate::figures::Figures;
use crate::reason::{Reason, ReasonName};
use crate::report::ProcessReport;
use etmem_core::kernel::merging::{MergingState, ProcessMerging};
use etmem_core::kernel::process::ProcessId;
use std::fmt;

figures! { pub(super) FIGURES;
    MERGED: Level Bytes, "merged_bytes", "merged", Always,
        "ksm: memory of the processes that the kernel keeps once with equal pages, of these or of other processes";
    COST: Level Bytes, "merging_cost_bytes", "cost of merging", Always,
        "ksm: memory that the kernel takes to know the pages of the processes; less than what is merged, or the task is of no use";
    SHARED: Level Bytes, "merging_saved_bytes", "saved by merging", Always,
        "ksm: of what is merged, what is free for others, before the cost: what the processes have merged, less all merged pages of the \
         machine, each counted once. It is `pages_sharing` of the kernel if no other process has merged pages";
    COPIED: Counter Bytes, "merging_copied_bytes", "copied again", NonZero,
        "ksm: merged pages of the whole machine that were copied, as a program wrote to them";
}

/// What is merged less what that costs, in bytes.
pub(super) fn profit(merging: ProcessMerging) -> i128 {
    i128::from(merging.merged) - i128::from(merging.cost)
}

/// Why KSM does not run for the task any more, for a process of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// No process lets its memory be merged.
    NotAllowed,
    /// It takes more memory than it saves.
    NoProfit,
    /// What it merges is written to again.
    Copied,
    /// Another program has switched it off.
    Changed,
}

impl Why {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::NotAllowed => Reason::new(
                ReasonName::MergingNotAllowed,
                "it does not let its memory be merged; start it by `etmem ksm run`, or see `etmem ksm unit`",
            ),
            Self::NoProfit => Reason::new(
                ReasonName::MergingNoProfit,
                "merging takes as much memory as it saves, or more, and was ended; it is tried again when the task gets another process",
            ),
            Self::Copied => Reason::new(
                ReasonName::MergingCopied,
                "in three rounds, programs wrote to as much as is merged, and merging was ended; it is tried again when the task gets \
                 another process",
            ),
            Self::Changed => Reason::new(
                ReasonName::MergingChanged,
                "another program has written to `run` of KSM, and what it wrote stays; it is tried again when the task gets another process",
            ),
        }
    }
}

/// That it has not been looked at often enough.
pub(super) fn first_scans(scans: u64) -> Reason {
    let text = format!(
        "{scans} of 3 scans have ended since it was found: a page is merged when two have found it the same. None ends while no program lets its memory be merged"
    );
    Reason::new(ReasonName::MergingFirstScans, text)
}

/// How it is with a process.
#[derive(Debug)]
struct Merged(ProcessMerging);

impl fmt::Display for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: u64| bytes >> 10;
        let ProcessMerging { merged, cost, .. } = self.0;
        let profit = profit(self.0) / 1024;
        write!(f, "{} KiB merged, at a cost of {} KiB: profit {profit} KiB", kib(merged), kib(cost))
    }
}

/// The report of a process.
pub(super) fn report(process: ProcessId, merging: ProcessMerging, reason: Option<Reason>) -> ProcessReport {
    let figures = Figures::of([(&MERGED, merging.merged), (&COST, merging.cost)]);
    ProcessReport::worked_on(process, "merging", Merged(merging), reason, figures)
}

/// What holds for all processes together.
pub(super) fn together(merged: u64, state: &MergingState, copied: u64) -> Figures {
    Figures::of([(&SHARED, merged.saturating_sub(state.shared)), (&COPIED, copied)])
}
