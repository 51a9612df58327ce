//! What psi says of a group: in figures, in a line, for which reason not more, and in the log.

use super::looks::EVERY;
use super::room::Room;
use crate::figures::{self, Figures};
use crate::reason::{Reason, ReasonName};
use crate::report::{Event, GroupReport, GroupResult, Level, Line, mib};
use etmem_core::feedback::BackOff;
use etmem_core::kernel::groups::{Group, GroupError, GroupPressure, Stall};
use etmem_core::kernel::pressure::Share;
use std::fmt;
use std::time::Duration;

figures! { pub(super) FIGURES;
    GROUPS: Counter Count, "groups", "control groups", Always,
        "control groups that the task names; in sums, each is counted again in each round";
    HELD: Counter Count, "held_groups", "of them left alone", Always,
        "of them, those of which a round asked for nothing";
    FLOOR: Counter Bytes, "floor_bytes", "kept", Always,
        "of what the groups use, what they keep: what cannot be reclaimed, promises, and the task's own floor";
    ASKED: Counter Bytes, "asked_bytes", "asked for", Always,
        "that the kernel was asked to reclaim";
    SWAPPED: Counter Bytes, "group_swap_bytes", "in swap", NonZero,
        "that the groups have in swap; in sums, it is counted again in each round";
    ZSWAP: Counter Bytes, "group_zswap_bytes", "zswap takes", NonZero,
        "memory that zswap takes for the groups; in sums, it is counted again in each round";
    LIMIT_EVENTS: Counter Count, "limit_events", "at their limits", NonZero,
        "how often the groups were above `memory.high` or at `memory.max` since the last round";
    BLIND: Counter Count, "groups_without_psi", "without PSI", NonZero,
        "groups of which the kernel does not say how long their programs wait";
}

/// Why a round asked for nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Gate {
    /// Programs wait for memory for this share of the time; the limit, in percent.
    Memory(Share, f64),
    /// For input and output.
    Io(Share, f64),
    /// Too much was refaulted.
    Refaults(BackOff),
    /// Swap may take no more, and the kernel cannot be asked for file pages only.
    Swap,
    /// Nothing is above the floor.
    Floor,
    /// The kernel has not looked often enough at what is in use.
    Looks,
    /// Nearly all of it was used between two looks: bytes that were not, and the time between these.
    InUse(u64, Duration),
}

/// What bounds a round that asked for less than its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounded {
    /// `max_rate`.
    Rate,
    /// What was refaulted.
    Refaults,
    /// A little leaves first.
    Trial,
    /// Half of what was idle.
    Idle,
}

/// How a round ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum RoundEnd {
    /// All that was to be asked for was asked for, and left.
    #[default]
    Reclaimed,
    /// The kernel found less.
    NoMore,
    /// Nothing was asked for.
    Held(Gate),
    /// A stop came.
    Stopped,
    /// It failed in the middle.
    Failed(GroupError),
}

impl RoundEnd {
    /// Whether it counts as a good round.
    pub(super) const fn is_reclaimed(&self) -> bool {
        matches!(self, Self::Reclaimed | Self::NoMore)
    }
}

/// A round over a group.
#[derive(Debug, Clone, Default)]
pub(super) struct Round {
    /// Bytes it used before the round.
    pub(super) used: u64,
    pub(super) swapped: u64,
    pub(super) zswap: u64,
    /// How often it was at its limits since the last round.
    pub(super) limit_events: u64,
    /// Bytes that had been reclaimed and were refaulted since the last round.
    pub(super) refaulted: u64,
    pub(super) room: Room,
    /// How much may go to swap, and how much swap there is.
    pub(super) swap_room: u64,
    pub(super) swap_total: u64,
    pub(super) pressure: GroupPressure,
    pub(super) rate: f64,
    pub(super) back_off: BackOff,
    /// Bytes that are its share, and of them those that a dry run would have asked for, those asked for, and those that left.
    pub(super) wanted: u64,
    pub(super) would: u64,
    pub(super) asked: u64,
    pub(super) got: u64,
    pub(super) bounded: Option<Bounded>,
    pub(super) dry_run: bool,
    pub(super) end: RoundEnd,
}

impl Round {
    /// The report on `group`.
    pub(super) fn report(self, group: &Group) -> GroupReport {
        let result = match &self.end {
            RoundEnd::Reclaimed | RoundEnd::NoMore => GroupResult::Reclaimed,
            RoundEnd::Held(_) => GroupResult::Held,
            RoundEnd::Stopped => GroupResult::Stopped,
            RoundEnd::Failed(_) => GroupResult::Lost,
        };
        let (figures, reason) = (self.figures(), self.reason());
        let (level, key) = match (&self.end, &reason) {
            (
                RoundEnd::Held(Gate::Memory(..) | Gate::Io(..) | Gate::Refaults(_) | Gate::Swap),
                Some(reason),
            ) => (Level::Warn, reason.name.word()),
            (RoundEnd::Held(Gate::Floor | Gate::Looks | Gate::InUse(..)), Some(reason)) => {
                (Level::Info, reason.name.word())
            }
            (RoundEnd::Failed(GroupError::Refused { .. }), Some(reason)) => {
                (Level::Error, reason.name.word())
            }
            (_, _) => (Level::Info, ""),
        };
        let text = Line::new(match (&self.end, &reason) {
            (RoundEnd::Held(_) | RoundEnd::Failed(_), Some(reason)) => format!("{self}: {}", reason.text),
            (_, _) => self.to_string(),
        });
        let event = if key.is_empty() {
            Event::always(level, text.clone())
        } else {
            Event { repeated: Some(Level::Debug), ..Event::once(level, key, text.clone()) }
        };
        GroupReport { group: group.clone(), result, text, reason, figures, events: vec![event] }
    }

    fn figures(&self) -> Figures {
        let Self { used, room, wanted, asked, got, would, refaulted, .. } = self;
        let mut figures = Figures::of([
            (&GROUPS, 1),
            (&HELD, u64::from(matches!(self.end, RoundEnd::Held(_)))),
            (&figures::SCANNED, *used),
            (&FLOOR, room.floor),
            (&figures::HOT, used.saturating_sub(*wanted)),
            (&figures::COLD, *wanted),
            (&ASKED, *asked),
            (&figures::MOVED, *got),
            (&figures::REFAULTED, *refaulted),
            (&figures::WOULD_MOVE, *would),
            (&SWAPPED, self.swapped),
            (&ZSWAP, self.zswap),
            (&LIMIT_EVENTS, self.limit_events),
            (&BLIND, u64::from(self.pressure.memory.is_none())),
        ]);
        let (asked, less) = (asked + would, wanted.saturating_sub(asked + would));
        let row = match self.bounded {
            Some(Bounded::Rate | Bounded::Trial | Bounded::Idle) => &figures::LATER,
            Some(Bounded::Refaults) | None => &figures::NO_ROOM,
        };
        if asked < *wanted {
            figures.add(row, less);
        }
        figures
    }

    fn reason(&self) -> Option<Reason> {
        let reason = |name, text: String| Some(Reason::new(name, text));
        match &self.end {
            RoundEnd::Stopped => Some(Reason::stopped("the task was stopped before it had reclaimed all")),
            RoundEnd::Failed(error) => Some(error.into()),
            RoundEnd::Held(gate) => Some(self.gate(gate)),
            RoundEnd::NoMore => {
                let text = format!(
                    "the kernel found {} KiB of the {} KiB asked for",
                    self.got >> 10,
                    self.asked >> 10
                );
                reason(ReasonName::NoMore, text)
            }
            RoundEnd::Reclaimed if self.dry_run => {
                reason(ReasonName::DryRun, "dry_run=yes: nothing is asked of the kernel".to_owned())
            }
            RoundEnd::Reclaimed => match self.bounded? {
                Bounded::Rate => {
                    let left = self.wanted.saturating_sub(self.asked) >> 10;
                    reason(ReasonName::Later, format!("{left} KiB are left for later rounds by max_rate"))
                }
                Bounded::Trial => {
                    let text = "a little of its share leaves first, to see whether it stays out";
                    reason(ReasonName::Later, text.to_owned())
                }
                Bounded::Idle => {
                    reason(ReasonName::Later, "half of what was idle leaves in a round".to_owned())
                }
                Bounded::Refaults => reason(ReasonName::TooManyRefaults, back_off(self.back_off)),
            },
        }
    }

    fn gate(&self, gate: &Gate) -> Reason {
        let waited = |what, share: &Share, key, most: &f64| {
            format!("its programs waited for {what} {share} of the time, {key}={most}")
        };
        let (name, text) = match gate {
            Gate::Memory(share, most) => (ReasonName::Pressure, waited("memory", share, "pressure", most)),
            Gate::Io(share, most) => {
                (ReasonName::IoPressure, waited("input and output", share, "io_pressure", most))
            }
            Gate::Refaults(state) => (ReasonName::TooManyRefaults, back_off(*state)),
            Gate::Swap => {
                let text = "swap may take no more (max_swap_use, memory.swap.max or a limit of zram), and this kernel cannot be asked \
                            for file pages only";
                (ReasonName::SwapUse, text.to_owned())
            }
            Gate::Floor if self.room.promised => {
                let text = "memory.min or memory.low, its own or of a group above, promises all that it has";
                (ReasonName::CgroupProtected, text.to_owned())
            }
            Gate::Floor if self.swap_total == 0 => {
                let text =
                    "the machine has no swap, so file pages only may leave, and it has none beyond its floor";
                (ReasonName::NoSwap, text.to_owned())
            }
            Gate::Floor if self.swap_room == 0 => {
                let text = "swap may take no more (max_swap_use, memory.swap.max or a limit of zram), so file pages only may leave, and \
                            it has none beyond its floor";
                (ReasonName::SwapUse, text.to_owned())
            }
            Gate::Looks => {
                let text = format!(
                    "the kernel looks at which of its memory is in use, each {} s at most: what two looks in a row find idle may leave",
                    EVERY.as_secs()
                );
                (ReasonName::Looking, text)
            }
            Gate::InUse(idle, idle_for) => {
                let (idle, used, seconds) = (idle >> 10, self.used >> 10, idle_for.as_secs());
                (
                    ReasonName::AllInUse,
                    format!("{idle} KiB of the {used} KiB that it uses were idle for {seconds} s"),
                )
            }
            Gate::Floor => {
                let text = format!("it uses {} KiB and keeps {} KiB", self.used >> 10, self.room.floor >> 10);
                (ReasonName::AtFloor, text)
            }
        };
        Reason::new(name, text)
    }
}

/// How a group is held back by what of it was refaulted.
fn back_off(state: BackOff) -> String {
    match state {
        BackOff::None | BackOff::Trial => "more was refaulted than max_refault allows".to_owned(),
        BackOff::Slower { divisor, probation, .. } => {
            let most = if probation { ", and no more than may be refaulted" } else { "" };
            format!("more was refaulted than max_refault allows: 1/{divisor} of the rate is reclaimed{most}")
        }
        BackOff::Paused { left, .. } => format!(
            "far more was refaulted than max_refault allows: nothing is reclaimed for {} min",
            left.as_secs().div_ceil(60)
        ),
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uses {} MiB, keeps {} MiB, ", mib(self.used), mib(self.room.floor))?;
        if self.dry_run {
            write!(f, "dry run: would ask for {} KiB", self.would >> 10)?;
        } else {
            write!(f, "asked for {} KiB, {} KiB left", self.asked >> 10, self.got >> 10)?;
        }
        write!(f, " (rate {:.2})", self.rate)?;
        if self.refaulted > 0 {
            write!(f, ", refaulted {} KiB", self.refaulted >> 10)?;
        }
        for (what, stall) in [("memory", self.pressure.memory), ("io", self.pressure.io)] {
            match stall.as_ref().map(Stall::largest) {
                Some(share) => write!(f, ", {what} some {share}")?,
                None => write!(f, ", {what} pressure not reported")?,
            }
        }
        Ok(())
    }
}

/// The report on `group`, of which nothing could be said at all.
pub(super) fn lost(group: &Group, error: &GroupError) -> GroupReport {
    let text = Line::new(error.to_string());
    let reason = Reason::from(error);
    let level = match error {
        GroupError::Removed => Level::Info,
        GroupError::NoMemory => Level::Warn,
        GroupError::NoSwappiness | GroupError::Refused { .. } => Level::Error,
    };
    let event =
        Event { repeated: Some(Level::Debug), ..Event::once(level, reason.text.clone(), text.clone()) };
    GroupReport {
        group: group.clone(),
        result: GroupResult::Lost,
        text,
        figures: Figures::of([(&GROUPS, 1)]),
        reason: Some(reason),
        events: vec![event],
    }
}

impl From<&GroupError> for Reason {
    fn from(error: &GroupError) -> Self {
        let name = match error {
            GroupError::Removed => ReasonName::GroupRemoved,
            GroupError::NoMemory => ReasonName::GroupNoMemory,
            GroupError::NoSwappiness | GroupError::Refused { .. } => ReasonName::KernelRefused,
        };
        Self::new(name, error.to_string())
    }
}
