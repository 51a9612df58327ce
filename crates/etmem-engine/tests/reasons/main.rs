//! Every reason for not acting is brought about over a scripted machine, in every variant that the code can produce; and
//! every figure is counted. A new reason without a way to it does not compile here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod balloon;
mod case;
mod cslide;
mod ksm;
mod memdcd;
mod psi;
mod quirk;
mod slide;
mod tiers;

use case::bound;
use etmem_core::guard::{Bound, SkipReason};
use etmem_engine::{Figures, KINDS, ProcessResult, Reason, ReasonName, StepReport, TaskStatus, figures};
use std::time::Duration;

/// A way to a reason: each report has it.
type Way = fn() -> Vec<StepReport>;

/// Every way to `name` that there is, each by a cycle of an engine.
fn ways_to(name: ReasonName) -> Vec<Way> {
    match name {
        // Of the daemon, about tasks of which there is no cycle: brought about by `registry/tests/reasons.rs` there.
        ReasonName::NotStarted | ReasonName::FirstCycle | ReasonName::Hosted | ReasonName::Failed => vec![],
        ReasonName::NoProcess => vec![slide::no_process],
        ReasonName::ProcessEnded => vec![slide::process_ended],
        ReasonName::PidReused => vec![slide::pid_reused],
        ReasonName::NoTable => vec![slide::no_table, psi::no_table, tiers::no_table],
        ReasonName::NoGroup => vec![psi::no_group],
        ReasonName::NoSwap => vec![slide::no_swap],
        ReasonName::SwapFull => vec![slide::swap_full],
        ReasonName::ZramLimit => vec![slide::zram_limit],
        ReasonName::HardlyCompresses => vec![slide::hardly_compresses],
        ReasonName::SwapFails => vec![slide::swap_fails],
        ReasonName::SwapUse => vec![slide::swap_use],
        ReasonName::Pressure => vec![slide::pressure],
        ReasonName::CgroupSwap => vec![slide::cgroup_swap],
        ReasonName::CgroupProtected => vec![slide::cgroup_protected],
        ReasonName::JustForked => vec![slide::just_forked],
        ReasonName::MemoryFree => vec![slide::memory_free],
        ReasonName::Small => vec![slide::small],
        ReasonName::SwappedEnough => vec![slide::swapped_enough],
        ReasonName::NothingSuitable => {
            vec![slide::nothing_suitable, cslide::nothing_suitable, memdcd::nothing_suitable]
        }
        ReasonName::Locked => vec![slide::locked],
        ReasonName::NotLookedAt => vec![slide::not_looked_at],
        ReasonName::AllOut => vec![slide::all_out],
        ReasonName::NotCold => vec![slide::not_cold],
        ReasonName::WatchedFirst => vec![slide::watched_first],
        ReasonName::Swept => vec![slide::swept],
        ReasonName::LittleFirst => vec![slide::little_first],
        ReasonName::LeftAlone => vec![slide::left_alone],
        ReasonName::NoRoom => vec![slide::no_room],
        ReasonName::TooManyRefaults => vec![slide::too_many_refaults],
        ReasonName::ProbeBlind => vec![slide::probe_blind],
        ReasonName::Later => vec![slide::later, tiers::later],
        ReasonName::Touched => vec![slide::touched],
        ReasonName::Stayed => vec![slide::stayed],
        ReasonName::Refused => vec![slide::refused, cslide::refused],
        ReasonName::Vanished => vec![slide::vanished, cslide::vanished],
        ReasonName::NodeFull => vec![cslide::node_full],
        ReasonName::Bound => vec![cslide::bound],
        ReasonName::InUse => vec![cslide::in_use],
        ReasonName::Shared => vec![cslide::shared],
        ReasonName::Decider => vec![memdcd::decider],
        ReasonName::MergingNotAllowed => vec![ksm::not_allowed],
        ReasonName::MergingFirstScans => vec![ksm::first_scans],
        ReasonName::MergingNoProfit => vec![ksm::no_profit],
        ReasonName::MergingCopied => vec![ksm::copied],
        ReasonName::MergingChanged => vec![ksm::changed],
        ReasonName::QmpAbsent => vec![balloon::absent],
        ReasonName::QmpTaken => vec![balloon::taken],
        ReasonName::QmpLost => vec![balloon::lost],
        ReasonName::QmpGarbled => vec![balloon::garbled],
        ReasonName::QmpRefused => vec![balloon::refused],
        ReasonName::NoBalloon => vec![balloon::no_device],
        ReasonName::GuestSilent => vec![balloon::silent],
        ReasonName::GuestStale => vec![balloon::stale],
        ReasonName::GuestHalted => vec![balloon::halted],
        ReasonName::GuestUnclear => vec![balloon::unclear],
        ReasonName::GuestNeeds => vec![balloon::needs],
        ReasonName::BalloonWaits => vec![balloon::waits],
        ReasonName::BalloonStuck => vec![balloon::stuck],
        ReasonName::BalloonFloor => vec![balloon::floor],
        ReasonName::BalloonOthers => vec![balloon::no_shares, balloon::others],
        ReasonName::HostWell => vec![balloon::host_well],
        ReasonName::Elsewhere => vec![slide::elsewhere, cslide::elsewhere, balloon::elsewhere],
        ReasonName::DryRun => vec![slide::dry_run, tiers::dry_run],
        ReasonName::Exited => vec![slide::exited, cslide::exited],
        ReasonName::Replaced => vec![slide::replaced],
        ReasonName::KernelRefused => vec![slide::kernel_refused, tiers::kernel_refused],
        ReasonName::AtFloor => vec![psi::at_floor],
        ReasonName::Looking => vec![psi::looking],
        ReasonName::AllInUse => vec![psi::all_in_use],
        ReasonName::IoPressure => vec![psi::io_pressure],
        ReasonName::NoMore => vec![psi::no_more],
        ReasonName::GroupRemoved => vec![psi::removed],
        ReasonName::GroupNoMemory => vec![psi::no_memory],
        ReasonName::NoZram => vec![tiers::no_zram],
        ReasonName::NoWriteback => vec![tiers::no_writeback],
        ReasonName::NoBackingDevice => vec![tiers::no_backing_device],
        ReasonName::NoSlotAges => vec![tiers::no_slot_ages],
        ReasonName::NothingOld => vec![tiers::nothing_old],
        ReasonName::SinkBudget => vec![tiers::sink_budget],
        ReasonName::WritebackLimit => vec![tiers::writeback_limit],
        ReasonName::DiskFull => vec![tiers::disk_full],
        ReasonName::DiskFails => vec![tiers::disk_fails],
        ReasonName::WritebackBusy => vec![tiers::writeback_busy],
        ReasonName::DeviceGone => vec![tiers::device_gone],
        ReasonName::Stopped => vec![slide::stopped, tiers::stopped],
    }
}

/// Each reason with the reports that have it.
fn all_reports() -> Vec<(ReasonName, StepReport)> {
    let of = |name: &ReasonName| {
        let name = *name;
        ways_to(name).into_iter().flat_map(|way| way()).map(move |report| (name, report))
    };
    ReasonName::ALL.iter().flat_map(of).collect()
}

/// What `etmem task show` would say of it.
fn shown(report: StepReport) -> Option<Reason> {
    let mut status = TaskStatus::default();
    status.record(report, Duration::from_secs(1));
    let last = status.last.unwrap();
    let of_process = last.report.processes.first().and_then(|process| process.reason.clone());
    let of_group = last.report.groups.iter().flatten().next().and_then(|group| group.reason.clone());
    let of_device = last.report.devices.iter().flatten().next().and_then(|device| device.reason.clone());
    last.reason("process named nobody").or(of_process).or(of_group).or(of_device)
}

/// The variants of a skip reason, by number: a new one gets the next number and a way to it.
const SKIP_REASONS: usize = 14;
const fn number_of_skip_reason(reason: &SkipReason) -> usize {
    match reason {
        SkipReason::NoSwap => 0,
        SkipReason::SwapFull => 1,
        SkipReason::SwapFullMemoryFine { .. } => 2,
        SkipReason::SwapUse { .. } => 3,
        SkipReason::Pressure { .. } => 4,
        SkipReason::GroupSwap(_) => 5,
        SkipReason::GroupProtected(_) => 6,
        SkipReason::MemoryFree { .. } => 7,
        SkipReason::Small { .. } => 8,
        SkipReason::SwappedEnough { .. } => 9,
        SkipReason::ZramLimit { .. } => 10,
        SkipReason::SwapFails { .. } => 11,
        SkipReason::ByCommand => 12,
        SkipReason::JustForked { .. } => 13,
    }
}

/// The same of what bounds an act.
const BOUNDS: usize = 12;
const fn number_of_bound(bound: Bound) -> usize {
    match bound {
        Bound::Swap => 0,
        Bound::GroupSwap => 1,
        Bound::GroupProtected => 2,
        Bound::Probation => 3,
        Bound::Paused => 4,
        Bound::Blind => 5,
        Bound::SwapOff => 6,
        Bound::ZramLimit => 7,
        Bound::SwapFails => 8,
        Bound::First => 9,
        Bound::Swept => 10,
        Bound::Incompressible => 11,
    }
}

#[test]
fn every_reason_is_brought_about() {
    let mut others = Vec::new();
    for (name, report) in all_reports() {
        let text = format!("{report:?}");
        match shown(report) {
            Some(reason) if reason.name == name => {
                assert!(!reason.text.is_empty() && !reason.text.contains('\n'), "{}", reason.text);
            }
            other => others.push(format!("{name}: instead {other:?}: {text}")),
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn every_skip_reason_and_every_bound_is_brought_about() {
    let (mut skip_reasons, mut bounds) = ([false; SKIP_REASONS], [false; BOUNDS]);
    for (_, report) in all_reports() {
        for process in &report.processes {
            if let ProcessResult::Skipped(reason) = &process.result {
                skip_reasons[number_of_skip_reason(reason)] = true;
            }
        }
        if let Some(bound) = bound(&report) {
            bounds[number_of_bound(bound)] = true;
        }
    }
    assert_eq!((skip_reasons, bounds), ([true; SKIP_REASONS], [true; BOUNDS]));
}

#[test]
fn every_figure_is_counted() {
    let mut sum = Figures::default();
    let reports = all_reports().into_iter().map(|(_, report)| report);
    let of_own = KINDS.iter().filter(|kind| !kind.figures.is_empty()).map(|kind| case::first_cycle_of(kind));
    for report in reports
        .chain([slide::with_cost(), slide::given_back(), slide::second_copies(), cslide::both_ways()])
        .chain(balloon::both_ways())
        .chain(slide::no_reason())
        .chain(psi::with_events())
        .chain(tiers::with_all_figures())
        .chain(of_own)
    {
        let mut status = TaskStatus::default();
        status.record(report, Duration::from_secs(1));
        sum.add_all(&status.last.unwrap().figures);
    }
    for row in figures::ROWS.iter().copied().chain(KINDS.iter().flat_map(|kind| kind.figures.iter().copied()))
    {
        assert!(sum.get(row).is_some_and(|amount| amount > 0), "{} is not counted by any engine", row.name);
    }
}

#[test]
fn where_all_that_is_cold_leaves_there_is_no_reason() {
    for report in slide::no_reason().into_iter().chain(cslide::no_reason()) {
        assert_eq!(report.processes[0].reason, None, "{report:?}");
    }
}
