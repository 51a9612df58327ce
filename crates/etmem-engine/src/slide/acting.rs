//! The act of a cycle: a sample first where the probe is not trusted with the process yet, then the rest.

use super::history::{ProcessHistory, TaskHistory};
use super::report::Blind;
use super::settings::Settings;
use etmem_core::act::{self, Rehearsal, Sample, Tools, Trial};
use etmem_core::feedback::{Evidence, PageSetBuilder, RefaultLimits, SAMPLE_LEAST};
use etmem_core::heat::HeatMap;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::mover::SwapOut;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::probe::AccessProbe;
use etmem_core::kernel::process::ProcessMemory;
use etmem_core::plan::{Budget, Outcome, Plan};
use etmem_core::policy;
use std::time::Duration;

/// The longest that a cycle moves pages of one process: what is known of them ages meanwhile.
const ACT_LONGEST: Duration = Duration::from_secs(10);

/// How long after the scan pages leave without being looked at once more: as long as the shortest observation window.
const FRESH: Duration = Duration::from_secs(1);

/// How long a sample is watched: as long as the time between two looks, within these bounds.
const WATCH_SHORTEST: Duration = Duration::from_secs(1);
const WATCH_LONGEST: Duration = Duration::from_secs(10);

/// What looks at the process, and what moves its pages.
pub(super) struct Attached {
    pub(super) probe: Box<dyn AccessProbe>,
    pub(super) mover: Box<dyn SwapOut>,
}

/// Moves pages of one process for a task.
pub(super) struct Acting<'a> {
    pub(super) settings: &'a Settings,
    pub(super) history: &'a TaskHistory,
    pub(super) kernel: &'a Kernel,
    pub(super) pacer: &'a dyn Pacer,
}

/// Most bytes that leave where all of a sample stayed in memory, so that it shows nothing.
const UNPROVEN_MOST: u64 = 8 << 20;

/// What an act works with.
pub(super) struct Given<'a> {
    /// The pages that may go.
    pub(super) ranks: &'a HeatMap,
    pub(super) figures: &'a ProcessMemory,
    pub(super) limits: RefaultLimits,
    /// Bytes that there is room for.
    pub(super) free: u64,
    /// Bytes that may leave, after what refaulted.
    pub(super) may: u64,
    /// When the last look was.
    pub(super) looked: Duration,
}

/// What came of an act.
pub(super) struct Acted {
    /// Bytes that could have been moved.
    pub(super) present: u64,
    pub(super) outcome: Outcome,
    pub(super) rehearsal: Option<Rehearsal>,
    /// Why the probe is not trusted with the process.
    pub(super) blind: Option<Blind>,
    /// Swap was taken away meanwhile.
    pub(super) swap_off: bool,
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

impl Acting<'_> {
    /// Gives the coldest to the mover, as far as there is room and evidence.
    pub(super) fn act(
        &self,
        given: &Given<'_>,
        known: &mut ProcessHistory,
        attached: &mut Attached,
    ) -> Acted {
        let (settings, pacer) = (self.settings, self.pacer);
        let Given { ranks, figures, limits, free, may, .. } = *given;
        let histogram = ranks.histogram();
        let present = histogram.total();
        let eases = limits.paused && free > 0 && !settings.dry_run && self.history.may_sample(pacer.now());
        let room = if eases { free } else { may };
        let most = room.min(self.history.bytes_within(ACT_LONGEST));
        let (selection, cold) = policy::pick(settings.cold, limits.idle_cycles, most, &histogram, figures);
        let plan = Plan::new(ranks, &histogram, selection);
        // Only what was not touched is evidence of anything.
        let idle = Plan::new(ranks, &histogram, policy::untouched(selection));
        let idle_bytes = policy::untouched_bytes(&histogram).min(cold);
        let start = pacer.processor_time();
        let mut acted = Acted {
            present,
            outcome: Outcome::default(),
            rehearsal: None,
            blind: None,
            swap_off: false,
            left: 0,
            processor_time: Duration::ZERO,
        };
        let way = if eases {
            Way::SampleAlone(SAMPLE_LEAST)
        } else {
            way(known.trust.evidence(known.cycle(), idle_bytes, present), may)
        };
        if settings.dry_run {
            let (outcome, rehearsal) = act::rehearse(&plan, Budget { bytes: may, until: None });
            (acted.outcome, acted.rehearsal) = (outcome, Some(rehearsal));
        } else if self.leave(way, (&plan, &idle), room, given, known, attached, &mut acted) && may > 0 {
            known.trust.acted(idle_bytes, present);
        }
        acted.processor_time = pacer.processor_time().saturating_sub(start);
        let outcome = &mut acted.outcome;
        match way {
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
        acted
    }

    /// What leaves of `plan`, the `idle` pages of which make a sample, by `way`, at most `room` bytes. Returns whether nothing but the room held it back.
    #[expect(clippy::too_many_arguments, reason = "one call, which has all of them at hand")]
    fn leave(
        &self,
        way: Way,
        (plan, idle): (&Plan<'_>, &Plan<'_>),
        room: u64,
        given: &Given<'_>,
        known: &mut ProcessHistory,
        attached: &mut Attached,
        acted: &mut Acted,
    ) -> bool {
        let bytes = match way {
            Way::Whole => {
                self.move_out(known, attached, given.looked, acted, |budget, tools| {
                    (act::swap_out(plan, Budget { bytes: room, ..budget }, tools), None)
                });
                return true;
            }
            Way::SampleFirst(bytes) | Way::SampleAlone(bytes) => bytes,
            Way::Nothing => return false,
        };
        let sample = Sample::of(idle, bytes);
        let watch = self.settings.schedule.interval.clamp(WATCH_SHORTEST, WATCH_LONGEST);
        let trial = self.move_out(known, attached, given.looked, acted, |budget, tools| {
            act::try_sample(&sample, watch, Budget { bytes: room, ..budget }, tools)
        });
        let stays = trial.is_none_or(|trial| self.judge(trial, known, given.limits.paused));
        if acted.outcome.ended.is_some() || matches!(way, Way::SampleAlone(_)) {
            return false;
        }
        let rest = plan.bytes().saturating_sub(sample.bytes());
        if !stays {
            acted.outcome.over_budget += rest;
            return false;
        }
        // Without evidence, as the kernel kept all of the sample, no more may leave than the largest sample.
        let most = if trial.is_some() { u64::MAX } else { bytes.max(UNPROVEN_MOST) };
        let (left, before) = (room.saturating_sub(acted.outcome.applied), acted.outcome.over_budget);
        self.move_out(known, attached, given.looked, acted, |budget, tools| {
            (act::swap_out_rest(plan, &sample, Budget { bytes: left.min(most), ..budget }, tools), None)
        });
        if most < left && !acted.swap_off {
            acted.outcome.later += acted.outcome.over_budget - before;
            acted.outcome.over_budget = before;
        }
        trial.is_some()
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

    /// Moves by `each`, which has a budget in time, and takes note of what left and what stayed.
    fn move_out(
        &self,
        known: &mut ProcessHistory,
        attached: &mut Attached,
        looked: Duration,
        acted: &mut Acted,
        each: impl FnOnce(Budget, &mut Tools<'_>) -> (Outcome, Option<Trial>),
    ) -> Option<Trial> {
        let (mut left, mut kept) = (PageSetBuilder::default(), PageSetBuilder::default());
        let is_clear = !attached.probe.looks_without_clearing();
        let mut tools = Tools {
            mover: &mut *attached.mover,
            probe: if is_clear { None } else { Some(&mut *attached.probe) },
            fresh_until: looked + FRESH,
            throttle: &self.history.throttle,
            given: &mut left,
            kept: &mut kept,
            pacer: self.pacer,
        };
        let budget = Budget { bytes: 0, until: Some(self.pacer.now() + ACT_LONGEST) };
        let (mut outcome, trial) = each(budget, &mut tools);
        if outcome.stayed > 0 && self.kernel.memory.state().is_ok_and(|now| self.history.has_lost_swap(&now))
        {
            acted.swap_off = true;
            outcome.over_budget += std::mem::take(&mut outcome.stayed);
            kept = PageSetBuilder::default();
        }
        acted.left += outcome.applied;
        acted.outcome.append(outcome);
        self.history.moved(known, left.finish(), kept.finish());
        trial
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
