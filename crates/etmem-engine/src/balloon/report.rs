//! What is said of a round of a balloon task.

use super::guest::Lack;
use crate::figures::Figures;
use crate::reason::{Reason, ReasonName};
use crate::report::{ProcessReport, mib};
use etmem_core::kernel::balloon::{BalloonError, GuestState};
use etmem_core::kernel::process::ProcessId;
use std::fmt;

figures! { pub(super) FIGURES;
    BALLOONED: Level Bytes, "ballooned_bytes", "in the balloon", Always,
        "balloon: what was taken of the guest, by its monitor";
    SAVED: Level Bytes, "balloon_saved_bytes", "saved by the balloon", Always,
        "balloon: by how much less of QEMU is resident than before anything was taken, at most what is in the balloon: memory that the guest \
         had never touched saves nothing";
    TAKEN: Counter Bytes, "balloon_taken_bytes", "asked of guests", Always,
        "balloon: by how much the guest was asked to be smaller";
    RETURNED: Counter Bytes, "balloon_returned_bytes", "given back to guests", NonZero,
        "balloon: by how much the guest was allowed to be larger again";
    AVAILABLE: Level Bytes, "guest_available_bytes", "available to guests", Always,
        "balloon: what the guest's driver says is available to it";
}

/// Why no more is taken of a guest, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// Its monitor is of no use.
    Monitor(BalloonError),
    /// Its driver has not reported anything.
    NoReport,
    /// Its reports are too old.
    Stale,
    /// It is paused or on its way.
    Halted(String),
    /// What was asked for has not arrived.
    Waits,
    /// It does not arrive.
    Stuck,
    /// The guest lacks memory, or did a short time ago.
    Needs(Option<Lack>),
    /// It has nothing to give.
    Floor,
    /// Other guests give first.
    Others,
    /// It has no shares.
    NoShares,
    /// The host has enough.
    HostWell,
    /// Another task looks at its process.
    Elsewhere,
    /// What is taken could not be written down.
    NotNoted(String),
    /// Which process it is, is not known.
    Unclear(usize),
}

impl Why {
    pub(super) fn reason(&self) -> Reason {
        let (name, text) = match self {
            Self::Monitor(error) => (
                match error {
                    BalloonError::Absent { .. } => ReasonName::QmpAbsent,
                    BalloonError::Taken(_) => ReasonName::QmpTaken,
                    BalloonError::Lost { .. } => ReasonName::QmpLost,
                    BalloonError::Garbled { .. } => ReasonName::QmpGarbled,
                    BalloonError::NoDevice(_) => ReasonName::NoBalloon,
                    BalloonError::Refused { .. } => ReasonName::QmpRefused,
                },
                error.to_string(),
            ),
            Self::NoReport => (
                ReasonName::GuestSilent,
                "the guest's driver reports nothing: it is not loaded (virtio_balloon), or not yet".to_owned(),
            ),
            Self::Stale => (
                ReasonName::GuestStale,
                "the guest's last report is older than three intervals: it reboots, hangs, or its driver is gone".to_owned(),
            ),
            Self::Halted(why) => (ReasonName::GuestHalted, why.clone()),
            Self::Waits => (ReasonName::BalloonWaits, "what was asked for, or the guest's next report, is on its way".to_owned()),
            Self::Stuck => (
                ReasonName::BalloonStuck,
                "what was asked for did not arrive in six rounds; nothing more is asked for a while".to_owned(),
            ),
            Self::Needs(Some(lack)) => {
                (ReasonName::GuestNeeds, format!("the guest gets all back: {lack}"))
            }
            Self::Needs(None) => {
                (ReasonName::GuestNeeds, "the guest lacked memory a short time ago".to_owned())
            }
            Self::Floor => (
                ReasonName::BalloonFloor,
                "the guest has no more than balloon_min, or than it uses and a fifth of that".to_owned(),
            ),
            Self::Others => (ReasonName::BalloonOthers, "other guests of the engine have more, and give first".to_owned()),
            Self::NoShares => (ReasonName::BalloonOthers, "shares=0: the guest gives nothing".to_owned()),
            Self::HostWell => (ReasonName::HostWell, "the host has as much memory as host_free asks for".to_owned()),
            Self::Elsewhere => (ReasonName::Elsewhere, "another task moves memory of the guest's process now".to_owned()),
            Self::NotNoted(error) => (ReasonName::KernelRefused, format!("what is taken cannot be written down: {error}")),
            Self::Unclear(count) => (
                ReasonName::GuestUnclear,
                format!("the task names {count} processes, and none of them listens at qmp_socket: name the one"),
            ),
        };
        Reason::new(name, text)
    }
}

/// What a round did to a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) state: GuestState,
    pub(super) floor: u64,
    pub(super) taken_of: u64,
    pub(super) saved: u64,
    /// What was asked for in this round.
    pub(super) taken: u64,
    pub(super) returned: u64,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, floor, taken_of, saved, taken, returned } = self;
        let available = state.reported.map_or(0, |reported| reported.available);
        write!(
            f,
            "left with {} of {} MiB, {} MiB available to it, at least {} MiB; {} MiB in the balloon, {} MiB saved",
            mib(state.actual),
            mib(state.size),
            mib(available),
            mib(*floor),
            mib(*taken_of),
            mib(*saved)
        )?;
        if *taken > 0 {
            write!(f, "; asked for {} MiB", mib(*taken))?;
        }
        if *returned > 0 {
            write!(f, "; gave back {} MiB", mib(*returned))?;
        }
        Ok(())
    }
}

/// The report of a guest.
pub(super) fn report(process: ProcessId, round: Round, why: Option<&Why>) -> ProcessReport {
    let figures = Figures::of([
        (&BALLOONED, round.taken_of),
        (&SAVED, round.saved),
        (&TAKEN, round.taken),
        (&RETURNED, round.returned),
        (&AVAILABLE, round.state.reported.map_or(0, |reported| reported.available)),
    ]);
    ProcessReport::worked_on(process, "ballooned", round, why.map(Why::reason), figures)
}
