//! Paging out all of a process but what was touched lately.
//!
//! ```text
//! is there room? -> arm -> [keep] -> what was touched? -> a sample out: does it come back? -> the rest out -> what really left?
//! ```
//!
//! It is one cycle of slide without its caution in time: nothing is known of the process before, and it leaves as fast as it can. What a
//! daemon respects holds: guards, promises of control groups, a sample first, one scan of a memory at a time.

use super::stage::Progress;
use super::watch::{claim, looks, stopped};
use crate::scan_claims::{CommandClaim, CommandClaims};
use crate::task_show::text::size;
use etmem_core::act::{self, Sample, Tools};
use etmem_core::address::AddressRange;
use etmem_core::feedback::{Evidence, PageSetBuilder, Trust};
use etmem_core::guard::{self, Bound, Guards, Room};
use etmem_core::heat::HeatMap;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::mover::{Moved, Residence, SwapOut};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::AccessProbe;
use etmem_core::kernel::process::{ProcessError, ProcessId, ProcessMemory};
use etmem_core::plan::{Budget, Ended, Outcome, Plan, Selection};
use etmem_core::scan::{Looks, ScanEnd, Slice, Suspected, leave_out_forked};
use etmem_core::throttle::{Rate, Throttle};
use etmem_engine::{Reason, ReasonName};
use std::sync::Mutex;
use std::time::Duration;

/// How long a sample is watched.
const WATCH: Duration = Duration::from_secs(1);

/// With a shorter time to keep, pages in use are expected to leave and to come back, so a sample shows nothing.
const SHORTEST_EVIDENCE: Duration = Duration::from_secs(1);

/// What pages out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Idle<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) claims: &'a CommandClaims,
    pub(super) pacer: &'a dyn Pacer,
    pub(super) progress: &'a Progress,
    pub(super) keep: Duration,
    pub(super) guards: Guards,
}

/// A process that is watched.
#[derive(Debug)]
pub(super) struct Watched<'a> {
    process: ProcessId,
    /// Held until its pages have left.
    _claim: CommandClaim,
    probe: Box<dyn AccessProbe>,
    mover: Box<dyn SwapOut>,
    looks: Looks<'a>,
}

/// What became of a process.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Whether it was left alone from the beginning.
    pub(super) refused: bool,
    /// Bytes that are no longer resident.
    pub(super) moved: u64,
    /// Bytes that stay because they were touched.
    pub(super) kept: u64,
    /// What left, in the order in which it did.
    pub(super) ranges: Vec<AddressRange>,
    /// How long it took, without watching.
    pub(super) took: Duration,
    /// Its memory afterwards.
    pub(super) after: ProcessMemory,
    /// Why not more left.
    pub(super) reasons: Vec<Reason>,
}

impl Done {
    /// Nothing was done, for this reason.
    pub(super) fn not(reason: Reason) -> Self {
        Self { refused: true, reasons: vec![reason], ..Self::default() }
    }
}

impl<'a> Idle<'a> {
    /// Begins to watch `process`.
    ///
    /// # Errors
    /// Why it is left alone.
    pub(super) fn watch(&self, process: ProcessId) -> Result<Watched<'a>, Reason> {
        let Self { kernel, pacer, .. } = *self;
        let lost = |error: ProcessError| Reason::from(&error);
        self.room(process)?;
        let claim = claim(process, kernel, self.claims, pacer)?;
        // Before the scan, so that both are bound to the program that is scanned.
        let mover = kernel.moving.out().and_then(|mover| mover.attach(process)).map_err(lost)?;
        let mut probe = kernel.probe.attach(process).map_err(lost)?;
        let mut looks = looks(process, kernel);
        looks.begin(&mut *probe, false, Slice::default(), pacer).map_err(lost)?;
        Ok(Watched { process, _claim: claim, probe, mover, looks })
    }

    /// How much of `process` may leave.
    fn room(&self, process: ProcessId) -> Result<Room, Reason> {
        let Kernel { memory, pressure, groups, .. } = self.kernel;
        let figures = || Ok((memory.state()?, pressure.pressure()?, groups.limits(process)?));
        let (memory, pressure, groups) = figures().map_err(|error: ProcessError| Reason::from(&error))?;
        guard::room(self.guards, &memory, pressure, groups).map_err(|skip| Reason::from(&skip))
    }

    /// Pages out what of `watched` was not touched since.
    pub(super) fn page_out(&self, watched: Watched<'a>) -> Done {
        let start = self.pacer.now();
        let Watched { process, _claim, mut probe, mover, mut looks } = watched;
        let mut done = Done::default();
        let mut mover = Shown { mover, progress: self.progress, moved: 0 };
        match looks.look(&mut *probe, self.pacer) {
            Ok(()) => {
                let observed = looks.finish();
                if observed.locked > 0 {
                    let text = format!("{} are locked in memory (mlock)", size(observed.locked));
                    done.reasons.push(Reason::new(ReasonName::Locked, text));
                }
                self.leave(process, observed.heat, &mut *probe, &mut mover, &mut done);
            }
            Err(ScanEnd::Stopped) => done.reasons.push(stopped()),
            Err(ScanEnd::Process(error)) => done.reasons.push(Reason::from(&error)),
            Err(ScanEnd::Left(skip)) => done.reasons.push(Reason::from(&skip)),
        }
        done.took = self.pacer.now().saturating_sub(start);
        done.after = self.kernel.processes.memory(process).unwrap_or_default();
        self.kernel.groups.moved_out(process, done.moved);
        done
    }

    fn leave(
        &self,
        process: ProcessId,
        mut heat: HeatMap,
        probe: &mut dyn AccessProbe,
        mover: &mut dyn SwapOut,
        done: &mut Done,
    ) {
        match leave_out_forked(&mut heat, Suspected::All, mover) {
            Ok(0) => {}
            Ok(forked) => {
                let text = format!("{} are shared by copy-on-write with a forked process", size(forked));
                done.reasons.push(Reason::new(ReasonName::Stayed, text));
            }
            Err(error) => return done.reasons.push(Reason::from(&error)),
        }
        let room = match self.room(process) {
            Ok(room) => room,
            Err(reason) => return done.reasons.push(reason),
        };
        let histogram = heat.histogram();
        let plan = Plan::new(&heat, &histogram, Selection::below(1));
        done.kept = histogram.total() - plan.bytes();
        let stuck = || self.kernel.memory.state().map_or(0, |memory| memory.swap_stuck);
        let before = stuck();
        let throttle = Mutex::new(Throttle::new(Rate::Unlimited, None));
        let mut act = Act { idle: self, probe, mover, throttle: &throttle, ranges: Vec::new() };
        let (mut outcome, blind) = act.carry_out(&plan, histogram.total(), room.bytes);
        done.ranges = act.ranges;
        done.kept += outcome.touched;
        let stuck = stuck().saturating_sub(before).min(outcome.applied);
        if stuck > 0 {
            outcome.applied -= stuck;
            let text = format!(
                "writes to swap fail: {} that left are still in memory, in the swap cache",
                size(stuck)
            );
            done.reasons.push(Reason::new(ReasonName::SwapFails, text));
        }
        done.moved = outcome.applied;
        done.reasons.extend(blind);
        done.reasons.extend(reasons(&outcome, room.bound));
    }
}

/// An act on one process.
struct Act<'a, 'b> {
    idle: &'a Idle<'b>,
    probe: &'a mut dyn AccessProbe,
    mover: &'a mut dyn SwapOut,
    throttle: &'a Mutex<Throttle>,
    ranges: Vec<AddressRange>,
}

impl Act<'_, '_> {
    /// Moves `plan`, at most `bytes` of it; a sample first, of which is said if it came back.
    fn carry_out(&mut self, plan: &Plan<'_>, present: u64, bytes: u64) -> (Outcome, Option<Reason>) {
        let mut trust = Trust::default();
        let evidence = trust.evidence(0, plan.bytes(), present);
        let wanted = match evidence {
            _ if self.idle.keep < SHORTEST_EVIDENCE || bytes == 0 => 0,
            Evidence::Enough => 0,
            Evidence::Sample(bytes) | Evidence::SampleAlone(bytes) => bytes,
            Evidence::Blind => 0,
        };
        if wanted == 0 {
            let budget = Budget { bytes, until: None };
            return (self.move_out(|tools| act::swap_out(plan, budget, tools)), None);
        }
        let sample = Sample::of(plan, wanted);
        let mut first =
            self.move_out(|tools| act::leave_sample(&sample, Budget { bytes, until: None }, tools));
        if first.ended.is_some() {
            return (first, None);
        }
        if self.idle.pacer.pause(WATCH) == Pace::Stop {
            first.ended = Some(Ended::Stopped);
            return (first, None);
        }
        match act::watched(&sample, &first, &mut *self.mover) {
            Err(error) => {
                first.ended = Some(Ended::Process(error));
                return (first, None);
            }
            Ok(Some(trial)) if !trust.tried(0, trial) => {
                let text = format!(
                    "of {} that looked idle and left first, {} were back after {} s: the probe {} does not see what touches \
                     this process, so the rest stays",
                    size(trial.left),
                    size(trial.back),
                    WATCH.as_secs(),
                    self.idle.kernel.probe.name()
                );
                return (first, Some(Reason::new(ReasonName::ProbeBlind, text)));
            }
            Ok(_) => {}
        }
        let budget = Budget { bytes: bytes.saturating_sub(first.applied), until: None };
        let rest = self.move_out(|tools| act::swap_out_rest(plan, &sample, budget, tools));
        first.append(rest);
        (first, None)
    }

    fn move_out(&mut self, each: impl FnOnce(&mut Tools<'_>) -> Outcome) -> Outcome {
        let (mut left, mut kept) = (PageSetBuilder::default(), PageSetBuilder::default());
        let looks_again = self.probe.looks_without_clearing();
        let mut tools = Tools {
            mover: &mut *self.mover,
            probe: if looks_again { Some(&mut *self.probe) } else { None },
            fresh_until: Duration::ZERO,
            throttle: self.throttle,
            given: &mut left,
            kept: &mut kept,
            pacer: self.idle.pacer,
        };
        let outcome = each(&mut tools);
        self.ranges.extend(left.finish().into_ranges());
        outcome
    }
}

/// A mover that shows how much has left.
#[derive(Debug)]
struct Shown<'a> {
    mover: Box<dyn SwapOut>,
    progress: &'a Progress,
    moved: u64,
}

impl SwapOut for Shown<'_> {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        self.swap_out_pages(ranges, &[])
    }

    fn swap_out_pages(
        &mut self,
        ranges: &[AddressRange],
        huge: &[AddressRange],
    ) -> Result<Moved, ProcessError> {
        let moved = self.mover.swap_out_pages(ranges, huge)?;
        self.moved += moved.applied;
        self.progress.show(&format_args!("paging out: {}", size(self.moved)));
        Ok(moved)
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
        self.mover.residence(ranges, out)
    }
}

/// Why not all of a plan left.
fn reasons(outcome: &Outcome, bound: Bound) -> Vec<Reason> {
    let Outcome { stayed, refused, over_budget, ended, .. } = outcome;
    let mut reasons = Vec::new();
    let mut add = |bytes: u64, name, text: &dyn Fn(String) -> String| {
        if bytes > 0 {
            reasons.push(Reason::new(name, text(size(bytes))));
        }
    };
    add(*over_budget, ReasonName::NoRoom, &|bytes| format!("{bytes} stay: {bound}"));
    add(*stayed, ReasonName::Stayed, &|bytes| {
        format!("the kernel left {bytes} in memory: shared, pinned or in use")
    });
    add(*refused, ReasonName::Refused, &|bytes| format!("the kernel refuses to page out {bytes}"));
    match ended {
        None => {}
        Some(Ended::Stopped) => reasons.push(stopped()),
        Some(Ended::Process(error)) => reasons.push(Reason::from(error)),
    }
    reasons
}

#[cfg(test)]
#[path = "../../tests/unit/idle.rs"]
mod tests;
