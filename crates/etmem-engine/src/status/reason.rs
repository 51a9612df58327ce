//! Why not more was done, or nothing: in a word and in a line.
//!
//! There is no reason but those of [`ReasonName`]. Each has its row in `docs/why-nothing-happens.md`, and each is brought
//! about by a test: `tests/reasons.rs` does not compile without an arm for a new one.

use crate::report::{Placed, ProcessResult, Scanned};
use etmem_core::feedback::BackOff;
use etmem_core::guard::Bound;
use etmem_core::guard::SkipReason;
use etmem_core::kernel::nodes::Migrated;
use etmem_core::kernel::process::{Gone, ProcessError};
use etmem_core::plan::Ended;
use std::fmt;

/// The names with their words, and the list of all, from one place.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Why not more was done, in a word, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ReasonName {
            $($(#[$doc])* $name,)*
        }

        impl ReasonName {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

names! {
    /// The project was added, not started.
    NotStarted = "not_started",
    /// No cycle is over yet.
    FirstCycle = "first_cycle",
    /// The engine is a plugin, which tells nothing of its work.
    Hosted = "hosted",
    /// The task's thread has ended by a fault of etmemd.
    Failed = "failed",
    /// Nobody is there whom the task names.
    NoProcess = "no_process",
    /// The process that the task was added for has ended.
    ProcessEnded = "process_ended",
    /// The same, and another has its number.
    PidReused = "pid_reused",
    /// Processes, or the machine's nodes, cannot even be looked for.
    NoTable = "no_table",
    /// The machine has no swap.
    NoSwap = "no_swap",
    /// Swap has no room at all.
    SwapFull = "swap_full",
    /// More of swap is in use than may be.
    SwapUse = "swap_use",
    /// Programs already wait for memory.
    Pressure = "pressure",
    /// The process's cgroup has no room in swap, or not enough.
    CgroupSwap = "cgroup_swap",
    /// The process's cgroup is promised its memory, or a part of it.
    CgroupProtected = "cgroup_protected",
    /// There is free memory enough.
    MemoryFree = "memory_free",
    /// The process is too small.
    Small = "small",
    /// Enough of the process is in swap already.
    SwappedEnough = "swapped_enough",
    /// None of its memory is of the kind that moves.
    NothingSuitable = "nothing_suitable",
    /// All of its memory that would be suitable is locked.
    Locked = "locked",
    /// All that could move has left before.
    AllOut = "all_out",
    /// No page is cold.
    NotCold = "not_cold",
    /// What would be cold is left alone, as it came back before.
    LeftAlone = "left_alone",
    /// Swap has room for a part only.
    NoRoom = "no_room",
    /// Too much came back.
    CameBack = "came_back",
    /// No more leaves in a cycle.
    Later = "later",
    /// Touched again before it could leave.
    Touched = "touched",
    /// The kernel took it, and left it in memory without a word.
    Stayed = "stayed",
    /// The kernel refuses a part of it.
    Refused = "refused",
    /// Unmapped, or elsewhere, before it could be moved.
    Vanished = "vanished",
    /// The wanted node has no room.
    NodeFull = "node_full",
    /// In use just now, such as pinned for input and output.
    InUse = "in_use",
    /// Shared with other processes.
    Shared = "shared",
    /// The task is to move nothing.
    DryRun = "dry_run",
    /// Another task of the engine looks at it.
    Elsewhere = "elsewhere",
    /// The process ended.
    Exited = "exited",
    /// The process replaced its program.
    Replaced = "replaced",
    /// The kernel refused a call.
    KernelRefused = "kernel_refused",
    /// The task was stopped.
    Stopped = "stopped",
}

impl fmt::Display for ReasonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why not more was done, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// In a word, for programs.
    pub name: ReasonName,
    /// In a line, for people.
    pub text: String,
}

impl Reason {
    /// The reason called `name`, in this line.
    #[must_use]
    pub fn new(name: ReasonName, text: impl Into<String>) -> Self {
        Self { name, text: text.into() }
    }
}

impl From<&SkipReason> for Reason {
    fn from(hold: &SkipReason) -> Self {
        let name = match hold {
            SkipReason::NoSwap => ReasonName::NoSwap,
            SkipReason::SwapFull | SkipReason::SwapFullMemoryFine { .. } => ReasonName::SwapFull,
            SkipReason::SwapUse { .. } => ReasonName::SwapUse,
            SkipReason::Pressure { .. } => ReasonName::Pressure,
            SkipReason::GroupSwap(_) => ReasonName::CgroupSwap,
            SkipReason::GroupProtected(_) => ReasonName::CgroupProtected,
            SkipReason::MemoryFree { .. } => ReasonName::MemoryFree,
            SkipReason::Small { .. } => ReasonName::Small,
            SkipReason::SwappedEnough { .. } => ReasonName::SwappedEnough,
        };
        Self::new(name, hold.to_string())
    }
}

impl From<&Gone> for Reason {
    fn from(gone: &Gone) -> Self {
        let name = match gone {
            Gone::Ended(_) => ReasonName::ProcessEnded,
            Gone::Reused(_) => ReasonName::PidReused,
        };
        Self::new(name, gone.to_string())
    }
}

impl From<&ProcessError> for Reason {
    fn from(error: &ProcessError) -> Self {
        let name = match error {
            ProcessError::Exited => ReasonName::Exited,
            ProcessError::Replaced => ReasonName::Replaced,
            ProcessError::Refused { .. } => ReasonName::KernelRefused,
        };
        Self::new(name, error.to_string())
    }
}

impl From<&Ended> for Reason {
    fn from(ended: &Ended) -> Self {
        match ended {
            Ended::Stopped => Self::new(ReasonName::Stopped, "the task was stopped before it had moved all"),
            Ended::Process(error) => error.into(),
        }
    }
}

/// What bounded an act of which more was cold than might leave.
const fn bound_name(bound: Bound) -> ReasonName {
    match bound {
        Bound::Swap => ReasonName::NoRoom,
        Bound::GroupSwap => ReasonName::CgroupSwap,
        Bound::GroupProtected => ReasonName::CgroupProtected,
        Bound::Probation | Bound::Paused => ReasonName::CameBack,
    }
}

impl ProcessResult {
    /// Why not more of the process was moved; none where all that was cold was.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Scanned(scanned) => scanned.reason(),
            Self::Placed(placed) => placed.reason(),
            Self::Elsewhere(task) => {
                Some(Reason::new(ReasonName::Elsewhere, format!("task {task} looks at it")))
            }
            Self::Skipped(hold) => Some(hold.into()),
            Self::Lost(error) => Some(error.into()),
            Self::Stopped => Some(Reason::new(ReasonName::Stopped, "the task was stopped in mid-scan")),
        }
    }
}

impl Placed {
    fn reason(&self) -> Option<Reason> {
        if let Some(ended) = &self.ended {
            return Some(ended.into());
        }
        if self.present == 0 {
            let text = "none of its memory is of the kind that was asked for by vm_flags= and anon_only=";
            return Some(Reason::new(ReasonName::NothingSuitable, text));
        }
        let (up, down) = (self.up.pages, self.down.pages);
        let of = |count: fn(&Migrated) -> u64| count(&up) + count(&down);
        let failed = [
            (of(|pages| pages.no_room), ReasonName::NodeFull, "find no room on the node they are to go to"),
            (of(|pages| pages.busy), ReasonName::InUse, "are in use or pinned"),
            (of(|pages| pages.shared), ReasonName::Shared, "are shared with other processes"),
            (of(|pages| pages.refused), ReasonName::Refused, "are refused by the kernel"),
            (of(|pages| pages.vanished), ReasonName::Vanished, "were gone meanwhile"),
        ];
        // The first of those of which there are most.
        let (pages, name, what) =
            failed.into_iter().rev().max_by_key(|(pages, ..)| *pages).filter(|(pages, ..)| *pages > 0)?;
        Some(Reason::new(name, format!("{pages} of the pages that were to move {what}")))
    }
}

impl Scanned {
    fn reason(&self) -> Option<Reason> {
        let outcome = &self.outcome;
        if let Some(ended) = &outcome.ended {
            return Some(ended.into());
        }
        if self.present == 0 {
            return Some(self.nothing_present());
        }
        if outcome.planned == 0 {
            return Some(self.nothing_cold());
        }
        let stay = |bytes: u64, what: &str| format!("{} KiB of what is cold {what}", bytes >> 10);
        if outcome.over_budget > 0 {
            let bound = self.bound.unwrap_or(Bound::Swap);
            let held = match &self.feedback.back_off {
                BackOff::None => String::new(),
                back_off @ (BackOff::Slower { .. } | BackOff::Paused { .. }) => format!(": {back_off}"),
            };
            let text = stay(outcome.over_budget, &format!("stay, {bound}{held}"));
            return Some(Reason::new(bound_name(bound), text));
        }
        if self.rehearsal.is_some() {
            return Some(Reason::new(ReasonName::DryRun, "dry_run=yes: what is cold is left where it is"));
        }
        [
            (outcome.later, ReasonName::Later, "are left for later cycles by max_rate"),
            (outcome.refused, ReasonName::Refused, "cannot be paged out, such as locked memory"),
            (
                self.stayed,
                ReasonName::Stayed,
                "stayed in memory: the kernel keeps what is shared, locked or in use",
            ),
            (outcome.touched, ReasonName::Touched, "were touched again before they could leave"),
            (outcome.vanished, ReasonName::Vanished, "were unmapped before they could leave"),
        ]
        .into_iter()
        .find(|(bytes, ..)| *bytes > 0)
        .map(|(bytes, name, what)| Reason::new(name, stay(bytes, what)))
    }

    fn nothing_present(&self) -> Reason {
        if self.locked > 0 {
            let text = format!(
                "all of its memory that slide could move is locked ({} KiB), and not looked at",
                self.locked >> 10
            );
            return Reason::new(ReasonName::Locked, text);
        }
        if self.feedback.out > 0 {
            let text = format!("all that slide could move is out already ({} KiB)", self.feedback.out >> 10);
            return Reason::new(ReasonName::AllOut, text);
        }
        let text = "none of its memory is of the kind that slide moves: private, not executable, in memory, and \
                    with the task's vm_flags= and swap_flag= where it has any";
        Reason::new(ReasonName::NothingSuitable, text)
    }

    fn nothing_cold(&self) -> Reason {
        if self.feedback.held > 0 {
            let text = format!(
                "nothing else is cold: {} KiB are left alone for some cycles, as they came back before",
                self.feedback.held >> 10
            );
            return Reason::new(ReasonName::LeftAlone, text);
        }
        let text =
            "nothing is cold: no page that was looked at counts less than T, or dram_percent is reached";
        Reason::new(ReasonName::NotCold, text)
    }
}
