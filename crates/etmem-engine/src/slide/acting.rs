//! The act of a cycle: a sample first where the probe is not trusted with the process yet, then the rest.

use super::easing::{Eased, Waiting};
use super::history::{ProcessHistory, TaskHistory};
use super::machine::Machine;
use super::report::Blind;
use super::settings::Settings;
use etmem_core::act::{self, Rehearsal, Sample, Tools, Trial};
use etmem_core::feedback::{Evidence, PageSet, PageSetBuilder, RefaultLimits, SAMPLE_LEAST};
use etmem_core::heat::{HeatMap, Histogram};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::mover::SwapOut;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::AccessProbe;
use etmem_core::kernel::process::{ProcessId, ProcessMemory};
use etmem_core::plan::{Budget, Ended, Outcome, Plan, Selection};
use etmem_core::policy;
use etmem_core::throttle::Rate;
use std::time::Duration;

/// The longest that a cycle moves pages of one process: what is known of them ages meanwhile.
pub(super) const ACT_LONGEST: Duration = Duration::from_secs(10);

/// How long after the scan pages leave without being looked at once more: as long as the shortest observation window.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// How long a sample is watched: as long as the time between two looks, within these bounds.
const WATCH_SHORTEST: Duration = Duration::from_secs(1);
const WATCH_LONGEST: Duration = Duration::from_secs(10);

/// How long the samples of a cycle are watched.
pub(super) fn watch(interval: Duration) -> Duration {
    interval.clamp(WATCH_SHORTEST, WATCH_LONGEST)
}

/// Most bytes that leave where all of a sample stayed in memory, so that it shows nothing.
const UNPROVEN_MOST: u64 = 8 << 20;

/// Of less than this, no sample is read to see whether it compresses.
const COMPRESSED_LEAST: u64 = 1 << 20;

/// What looks at the process, and what moves its pages.
pub(super) struct Attached {
    pub(super) probe: Box<dyn AccessProbe>,
    pub(super) mover: Box<dyn SwapOut>,
    /// How long the process waits for processors.
    pub(super) waiting: Waiting,
}

/// An act that has begun.
pub(super) struct Act {
    /// The pages that may go, and how many are in memory.
    ranks: HeatMap,
    histogram: Histogram,
    pub(super) figures: ProcessMemory,
    pub(super) limits: RefaultLimits,
    way: Way,
    /// Bytes that may leave.
    may: u64,
    /// Of these, bytes that programs have not given back.
    rest: u64,
    /// When the last look was.
    looked: Duration,
    /// What left first, and what became of it.
    sample: Option<(Sample, Outcome)>,
    /// The pages that left, and those that stayed: noted at the end, at once.
    pages: Pages,
    pub(super) acted: Acted,
}

/// The pages that left, and those that stayed.
#[derive(Default)]
struct Pages {
    left: PageSet,
    kept: PageSet,
}

/// What came of an act.
#[derive(Default)]
pub(super) struct Acted {
    pub(super) outcome: Outcome,
    pub(super) rehearsal: Option<Rehearsal>,
    /// Why the probe is not trusted with the process.
    pub(super) blind: Option<Blind>,
    /// Swap was taken away meanwhile.
    pub(super) swap_off: bool,
    /// Writes to swap fail, so that some of what left is still in memory.
    pub(super) swap_fails: bool,
    /// How many percent of its size a compressed copy takes, where that is too much.
    pub(super) compresses_to: Option<u64>,
    /// Bytes that left.
    pub(super) left: u64,
    pub(super) processor_time: Duration,
}

/// What leaves of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
    SampleFirst(u64),
    /// While refaults have paused the task, or its probe was blind.
    SampleAlone(u64),
    Nothing,
}

impl Act {
    /// Whether something left that is to be watched.
    pub(super) fn is_tried(&self) -> bool {
        self.sample.as_ref().is_some_and(|(_, outcome)| outcome.applied > 0 && outcome.ended.is_none())
    }

    /// Bytes that were not touched, of those that are `cold`.
    fn idle(&self, cold: u64) -> u64 {
        policy::untouched_bytes(&self.histogram).min(cold)
    }

    /// Bytes that could have been moved.
    pub(super) fn present(&self) -> u64 {
        self.histogram.total()
    }
}

/// What acts on the processes of a task.
pub(super) struct Actor<'a> {
    pub(super) process: ProcessId,
    pub(super) settings: &'a Settings,
    pub(super) history: &'a TaskHistory,
    pub(super) machine: &'a Machine,
    pub(super) kernel: &'a Kernel,
    pub(super) pacer: &'a dyn Pacer,
}

impl Actor<'_> {
    /// Begins an act on the pages of `ranks`, of which `may` bytes may leave and `free` have room; programs gave back all but `rest`.
    /// A sample leaves, where the probe is not trusted with the process.
    pub(super) fn begin_act(
        &self,
        ranks: HeatMap,
        (figures, limits): (ProcessMemory, RefaultLimits),
        (free, may, rest): (u64, u64, u64),
        looked: Duration,
        known: &mut ProcessHistory,
        attached: &mut Attached,
    ) -> Act {
        let pacer = self.pacer;
        let start = pacer.processor_time();
        let histogram = ranks.histogram();
        let dry_run = self.settings.dry_run;
        let eases = limits.paused && free > 0 && !dry_run && self.history.may_sample(pacer.now());
        let may = if eases { free } else { may };
        let acted = Acted::default();
        let mut act = Act {
            ranks,
            histogram,
            figures,
            limits,
            way: Way::Whole,
            may,
            rest,
            looked,
            sample: None,
            pages: Pages::default(),
            acted,
        };
        if may > 0 {
            act.acted.compresses_to = self.compresses(&act, known);
        }
        if act.acted.compresses_to.is_some() {
            act.may = 0;
        }
        let may = act.may;
        let (selection, cold) = self.pick(&act, may);
        // A rate that was asked for stays as it is.
        if cold.min(may) > 0 && !dry_run && matches!(self.settings.rate, Rate::SharePercent(_)) {
            attached.waiting = std::mem::take(&mut known.waiting);
            attached.waiting.begin_act(&*self.kernel.processes, self.process, self.pacer);
        }
        if eases {
            act.way = Way::SampleAlone(SAMPLE_LEAST);
        } else if !dry_run {
            // Only what was not touched is evidence of anything.
            act.way = way(known.trust.evidence(known.cycle(), act.idle(cold), act.present()), may.min(rest));
        }
        if let Way::SampleFirst(bytes) | Way::SampleAlone(bytes) = act.way {
            let idle = policy::untouched(selection);
            let sample = Sample::of(&Plan::new(&act.ranks, &act.histogram, idle), bytes);
            let outcome =
                self.move_out(attached, looked, (&mut act.acted, &mut act.pages), |budget, tools| {
                    act::leave_sample(&sample, Budget { bytes: may.min(rest), ..budget }, tools)
                });
            act.sample = Some((sample, outcome));
        }
        act.acted.processor_time = pacer.processor_time().saturating_sub(start);
        act
    }

    /// Ends an act: gives the coldest to the mover, as far as there is room, now for `may` bytes, and evidence.
    pub(super) fn end_act(
        &self,
        act: &mut Act,
        may: u64,
        known: &mut ProcessHistory,
        attached: &mut Attached,
    ) {
        let start = self.pacer.processor_time();
        // What the others of the task took since is no longer there.
        act.may = act.may.min(may.saturating_add(act.acted.outcome.applied));
        let may = if matches!(act.way, Way::SampleAlone(_)) && act.limits.paused { 0 } else { act.may };
        let (selection, cold) = self.pick(act, act.may);
        let mut acted = std::mem::take(&mut act.acted);
        let mut pages = std::mem::take(&mut act.pages);
        let plan = Plan::new(&act.ranks, &act.histogram, selection);
        if self.settings.dry_run {
            let (outcome, rehearsal) = act::rehearse(&plan, Budget { bytes: may, until: None });
            (acted.outcome, acted.rehearsal) = (outcome, Some(rehearsal));
        } else if self.leave(act, &plan, known, attached, (&mut acted, &mut pages)) && may.min(act.rest) > 0 {
            known.trust.acted(act.idle(cold), act.present());
        }
        self.history.moved(known, pages.left, pages.kept);
        let outcome = &mut acted.outcome;
        match act.way {
            Way::Whole | Way::SampleFirst(_) => {
                outcome.over_budget += cold.saturating_sub(may);
                outcome.later += cold.min(may).saturating_sub(plan.bytes());
            }
            Way::SampleAlone(_) | Way::Nothing => {
                outcome.over_budget = cold.saturating_sub(outcome.tried + outcome.touched + outcome.later);
            }
        }
        outcome.planned = cold;
        if let Some((sample, cycles)) = known.trust.blind(known.cycle() + 1) {
            acted.blind = Some(Blind { probe: known.probe(self.kernel).name(), sample, cycles });
        }
        acted.processor_time += self.pacer.processor_time().saturating_sub(start);
        act.acted = acted;
    }

    /// How many percent of its size a compressed copy of what is cold takes, where swap keeps such copies in memory and that is
    /// more than the task allows.
    fn compresses(&self, act: &Act, known: &mut ProcessHistory) -> Option<u64> {
        let most = self.settings.most_ratio?;
        let now = self.pacer.now();
        let machine = self.machine.figures(self.kernel, now).ok()?;
        if !machine.memory.swap_in_memory {
            return None;
        }
        if known.compressing.is_due(now) {
            let (selection, cold) = self.pick(act, u64::MAX);
            if cold < COMPRESSED_LEAST {
                return None;
            }
            let plan = Plan::new(&act.ranks, &act.histogram, selection);
            // What cannot be read is not known not to compress. Whether the process is gone shows when its pages are to leave.
            let mut reader = self.kernel.readers.attach(self.process).ok()?;
            known.compressing.sample(&plan, &mut *reader, self.pacer).ok()?;
        }
        known.compressing.is_too_little(most)
    }

    /// The coldest, of which `may` bytes may leave; and bytes that are cold.
    fn pick(&self, act: &Act, may: u64) -> (Selection, u64) {
        let most = may.min(self.history.bytes_within(ACT_LONGEST));
        policy::pick(self.settings.cold, act.limits.idle_cycles, most, &act.histogram, &act.figures)
    }

    /// What leaves of `plan`. Returns whether nothing but the room held it back.
    fn leave(
        &self,
        act: &Act,
        plan: &Plan<'_>,
        known: &mut ProcessHistory,
        attached: &mut Attached,
        (acted, pages): (&mut Acted, &mut Pages),
    ) -> bool {
        let Some((sample, first)) = &act.sample else {
            if act.way == Way::Nothing {
                return false;
            }
            self.move_out(attached, act.looked, (acted, pages), |budget, tools| {
                act::swap_out(plan, Budget { bytes: act.may.min(act.rest), ..budget }, tools)
            });
            return true;
        };
        let trial = if act.is_tried() { self.trial(sample, first, attached, acted) } else { None };
        let stays = trial.is_none_or(|trial| self.judge(trial, known, act.limits.paused));
        if acted.outcome.ended.is_some() || matches!(act.way, Way::SampleAlone(_)) {
            return false;
        }
        if !stays {
            acted.outcome.over_budget += plan.bytes().saturating_sub(sample.bytes());
            return false;
        }
        // Without evidence, as the kernel kept all of the sample, no more may leave than the largest sample.
        let most = if trial.is_some() { u64::MAX } else { sample.bytes().max(UNPROVEN_MOST) };
        let left = act.may.min(act.rest).saturating_sub(acted.outcome.applied);
        let before = acted.outcome.over_budget;
        self.move_out(attached, act.looked, (acted, pages), |budget, tools| {
            act::swap_out_rest(plan, sample, Budget { bytes: left.min(most), ..budget }, tools)
        });
        if most < left && !acted.swap_off {
            acted.outcome.later += acted.outcome.over_budget - before;
            acted.outcome.over_budget = before;
        }
        trial.is_some()
    }

    /// What became of `sample`, which was watched.
    fn trial(
        &self,
        sample: &Sample,
        first: &Outcome,
        attached: &mut Attached,
        acted: &mut Acted,
    ) -> Option<Trial> {
        if self.pacer.pace() == Pace::Stop {
            acted.outcome.ended = Some(Ended::Stopped);
            return None;
        }
        act::watched(sample, first, &mut *attached.mover).unwrap_or_else(|error| {
            acted.outcome.ended = Some(Ended::Process(error));
            None
        })
    }

    /// Takes note of what a sample showed. Returns whether it stayed out.
    fn judge(&self, trial: Trial, known: &mut ProcessHistory, paused: bool) -> bool {
        let stays = known.trust.tried(known.cycle(), trial);
        if !stays {
            known.next_probe(self.kernel);
        } else if paused {
            self.history.stayed_out();
        }
        stays
    }

    /// Moves by `each`, which has a budget in time, and takes note of what left and what stayed. Returns its outcome.
    fn move_out(
        &self,
        attached: &mut Attached,
        looked: Duration,
        (acted, pages): (&mut Acted, &mut Pages),
        each: impl FnOnce(Budget, &mut Tools<'_>) -> Outcome,
    ) -> Outcome {
        let (mut left, mut kept) = (PageSetBuilder::default(), PageSetBuilder::default());
        let Attached { probe, mover, waiting } = attached;
        let is_clear = !probe.looks_without_clearing();
        let mut mover = Eased {
            mover: &mut **mover,
            waiting,
            process: self.process,
            table: &*self.kernel.processes,
            throttle: &self.history.throttle,
            pacer: self.pacer,
        };
        let mut tools = Tools {
            mover: &mut mover,
            probe: if is_clear { None } else { Some(&mut **probe) },
            fresh_until: looked + FRESH,
            throttle: &self.history.throttle,
            given: &mut left,
            kept: &mut kept,
            pacer: self.pacer,
        };
        let budget = Budget { bytes: 0, until: Some(self.pacer.now() + ACT_LONGEST) };
        let before = self.machine.figures(self.kernel, self.pacer.now());
        let stuck_before = self.history.stuck_before(before.map_or(0, |machine| machine.memory.swap_stuck));
        let mut outcome = each(budget, &mut tools);
        let now = if outcome.tried > 0 { self.kernel.memory.state().ok() } else { None };
        if let Some(memory) = &now {
            self.history.stuck_after(memory.swap_stuck);
        }
        if let Some(memory) = now.filter(|memory| memory.swap_stuck > 0) {
            acted.swap_fails = true;
            let still_there = memory.swap_stuck.saturating_sub(stuck_before).min(outcome.applied);
            outcome.applied -= still_there;
            outcome.over_budget += still_there;
        }
        if outcome.stayed > 0 && now.is_some_and(|now| self.history.has_lost_swap(&now)) {
            acted.swap_off = true;
            outcome.over_budget += std::mem::take(&mut outcome.stayed);
            kept = PageSetBuilder::default();
        }
        acted.left += outcome.applied;
        self.machine.left(outcome.applied);
        acted.outcome.append(outcome.clone());
        pages.left = std::mem::take(&mut pages.left).joined(left.finish());
        pages.kept = std::mem::take(&mut pages.kept).joined(kept.finish());
        outcome
    }
}

/// What leaves by `evidence`, where `may` bytes may.
const fn way(evidence: Evidence, may: u64) -> Way {
    match evidence {
        _ if may == 0 => Way::Whole,
        Evidence::Enough => Way::Whole,
        Evidence::Sample(bytes) => Way::SampleFirst(bytes),
        Evidence::SampleAlone(bytes) => Way::SampleAlone(bytes),
        Evidence::Blind => Way::Nothing,
    }
}
