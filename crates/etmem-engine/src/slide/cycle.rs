//! One cycle of a slide task over one process.
//!
//! ```text
//! is there a need, and room? -> look `loop` times -> what refaulted? -> which pages are cold? -> page them out, at a rate
//!                            -> what really left?
//! ```

use super::history::{ProcessHistory, TaskHistory};
use super::report::{Effort, History, Scanned};
use super::settings::Settings;
use super::swap_cache::SwapCacheKeeper;
use crate::report::{ProcessReport, ProcessResult};
use crate::scan_locks::{ScanLock, ScanLocks};
use crate::so_far::SharedSoFar;
use etmem_core::act::{self, Rehearsal, Tools};
use etmem_core::feedback::{PageSet, PageSetBuilder, RefaultLimits};
use etmem_core::guard::{self, Bound, Room, SkipReason};
use etmem_core::heat::HeatMap;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::mover::SwapOut;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::probe::AccessProbe;
use etmem_core::kernel::process::{ProcessError, ProcessId, ProcessMemory};
use etmem_core::plan::{Budget, Outcome, Plan};
use etmem_core::policy;
use etmem_core::scan::{self, Looks, Observed, ScanEnd, Wanted};
use std::time::Duration;

/// The longest that a cycle moves pages of one process: what is known of them ages meanwhile.
const ACT_LONGEST: Duration = Duration::from_secs(10);

/// How long after the scan pages leave without being looked at once more: as long as the shortest observation window.
const FRESH: Duration = Duration::from_secs(1);

/// Why a process's cycle ended early.
#[derive(Debug)]
pub(super) enum End {
    Skipped(SkipReason),
    Lost(ProcessError),
    Stopped,
}

/// What a cycle works with.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProcessCycle<'a> {
    pub(super) settings: &'a Settings,
    pub(super) scan_locks: &'a ScanLocks,
    pub(super) history: &'a TaskHistory,
    pub(super) swap_cache: &'a SwapCacheKeeper,
    pub(super) so_far: &'a SharedSoFar,
    pub(super) process: ProcessId,
    pub(super) kernel: &'a Kernel,
    pub(super) pacer: &'a dyn Pacer,
}

/// What looks at the process, and what moves its pages.
struct Attached {
    probe: Box<dyn AccessProbe>,
    mover: Box<dyn SwapOut>,
}

/// A process that is looked at.
pub(super) struct Watched<'a> {
    cycle: ProcessCycle<'a>,
    scan_lock: ScanLock<'a>,
    attached: Attached,
    looks: Looks<'a>,
    /// When the cycle began.
    begun: Duration,
    /// Since when touches count, where that was before.
    armed_since: Option<Duration>,
    /// Whether touches count only from the beginning on.
    fresh: bool,
    looked: bool,
}

/// What was given to the mover.
struct Acted {
    /// Bytes that could have been.
    present: u64,
    outcome: Outcome,
    rehearsal: Option<Rehearsal>,
    given: PageSet,
    processor_time: Duration,
}

impl<'a> ProcessCycle<'a> {
    /// Whether memory is short, the process is worth it, and there is room for what might leave.
    pub(super) fn is_needed(self) -> Result<Self, Box<ProcessReport>> {
        let stopped = self.pacer.pace().or_stopped().map_err(|_| End::Stopped);
        stopped.and_then(|()| self.is_there_a_need()).map_err(|end| self.ended(end))?;
        Ok(self)
    }

    /// Keeps other scanners away from the process.
    pub(super) fn lock(self) -> Result<(Self, ScanLock<'a>), Box<ProcessReport>> {
        let scan_lock = self.scan_locks.take(self.process, &*self.kernel.processes, self.pacer);
        scan_lock.map(|lock| (self, lock)).ok_or_else(|| self.ended(End::Stopped))
    }

    /// Makes ready to look at the process.
    pub(super) fn begin((cycle, lock): (Self, ScanLock<'a>)) -> Result<Watched<'a>, Box<ProcessReport>> {
        cycle.attach(lock).map_err(|end| cycle.ended(end))
    }

    fn attach(self, scan_lock: ScanLock<'a>) -> Result<Watched<'a>, End> {
        let Self { settings, process, kernel, pacer, .. } = self;
        let begun = pacer.now();
        // Before the scan, so that both are bound to the program that is scanned: should it be replaced in
        // between, nothing moves.
        let mover = kernel.moving.out()?.attach(process)?;
        let mut attached = Attached { probe: kernel.probe.attach(process)?, mover };
        let (was_whole, slice) = self.history.looks_at(process);
        let armed_since = scan_lock.armed_since().filter(|_| was_whole);
        let wanted = Wanted { is_wanted: settings.picks(), flags: &settings.vm_flags, without: &[] };
        let mut looks = Looks::new(process, &*kernel.mappings, wanted);
        let fresh = looks.begin(&mut *attached.probe, armed_since.is_some(), slice, pacer)?;
        Ok(Watched { cycle: self, scan_lock, attached, looks, begun, armed_since, fresh, looked: false })
    }

    /// The report of a cycle that ended early.
    fn ended(&self, end: End) -> Box<ProcessReport> {
        let result = match end {
            End::Skipped(reason) => ProcessResult::Skipped(reason),
            End::Lost(error) => {
                // What is known of its pages goes with it: they are others by now.
                if matches!(error, ProcessError::Exited | ProcessError::Replaced) {
                    drop(self.history.take(self.process));
                }
                ProcessResult::Lost(error)
            }
            End::Stopped => ProcessResult::Stopped,
        };
        Box::new(ProcessReport::new(self.process, result))
    }

    /// What of it leaves, after the looks.
    fn act_on(
        &self,
        observed: &Observed,
        attached: &mut Attached,
        looked: Duration,
        window: Duration,
    ) -> Result<Scanned, End> {
        let mut known = self.history.take(self.process);
        let result = self.act_with(&mut known, observed, attached, looked, window);
        self.history.put_back(self.process, known);
        result
    }

    fn act_with(
        &self,
        known: &mut ProcessHistory,
        observed: &Observed,
        attached: &mut Attached,
        looked: Duration,
        window: Duration,
    ) -> Result<Scanned, End> {
        let Self { settings, process, kernel, pacer, .. } = *self;
        let settled = self.history.settle(known, observed);
        let before = kernel.processes.memory(process)?;
        let exact = kernel.probe.is_page_exact();
        let (refaulted, limits) = self.history.account(known, &settled, exact, before, pacer.now());
        let room = self.room_within(limits);
        let may = room.as_ref().map_or(0, |room| room.bytes);

        let Acted { present, outcome, rehearsal, given, processor_time } =
            self.act(&settled.ranks, &before, limits, may, looked, attached);
        let probe = &mut *attached.probe;
        let figures = kernel.processes.memory(process).unwrap_or(before);
        let is_worth_a_look = outcome.ended.is_none() && some_stayed(&before, &figures, &outcome);
        let after = if is_worth_a_look && probe.looks_without_clearing() {
            scan::glance(probe, &observed.ranges).ok()
        } else {
            None
        };
        let (left, stayed) = self.history.left(known, given, after.as_ref(), figures);
        // What was refused is still there as well, and is reported already.
        let stayed = stayed.saturating_sub(outcome.refused);
        let swap_cache = self.swap_cache.keep_within(settings.swapcache_watermarks, kernel);
        swap_cache?;

        // An error is what has come up since the scan began.
        let bound = room?.bound;
        Ok(Scanned {
            present: present + settled.left_alone,
            window,
            bound: (outcome.over_budget > 0).then_some(bound),
            outcome,
            rehearsal,
            stayed,
            locked: observed.locked,
            history: History { refaulted, left, held: settled.left_alone, touched: settled.touched },
            feedback: self.history.feedback(&settled, left),
            effort: Effort::of(observed, processor_time),
        })
    }

    fn is_there_a_need(&self) -> Result<(), End> {
        let memory = self.kernel.memory.state()?;
        guard::swap_has_room(&memory)?;
        guard::gate(self.settings.gates, &memory, &self.kernel.processes.memory(self.process)?)?;
        self.room(&memory)?;
        Ok(())
    }

    /// How much of the process may leave now.
    fn room(&self, memory: &MemoryState) -> Result<Room, End> {
        let groups = self.kernel.groups.limits(self.process)?;
        Ok(guard::room(self.settings.guards, memory, self.kernel.pressure.pressure()?, groups)?)
    }

    /// The same after the looks, and no more than what refaulted allows.
    fn room_within(&self, limits: RefaultLimits) -> Result<Room, End> {
        let room = self.room(&self.kernel.memory.state()?)?;
        Ok(if limits.paused {
            Room { bytes: 0, bound: Bound::Paused }
        } else {
            room.or(limits.bytes.unwrap_or(u64::MAX), Bound::Probation)
        })
    }

    /// Gives the coldest to the mover, at most `may` bytes.
    fn act(
        &self,
        ranks: &HeatMap,
        figures: &ProcessMemory,
        limits: RefaultLimits,
        may: u64,
        looked: Duration,
        attached: &mut Attached,
    ) -> Acted {
        let (settings, pacer) = (self.settings, self.pacer);
        let histogram = ranks.histogram();
        let most = may.min(self.history.bytes_within(ACT_LONGEST));
        let (selection, cold) = policy::pick(settings.cold, limits.idle_cycles, most, &histogram, figures);
        let plan = Plan::new(ranks, &histogram, selection);
        let budget = Budget { bytes: may, until: Some(pacer.now() + ACT_LONGEST) };
        let mut given = PageSetBuilder::default();
        let start = pacer.processor_time();
        let (mut outcome, rehearsal) = if settings.dry_run {
            let (outcome, rehearsal) = act::rehearse(&plan, budget);
            (outcome, Some(rehearsal))
        } else {
            let mut tools = Tools {
                mover: &mut *attached.mover,
                probe: if attached.probe.looks_without_clearing() {
                    Some(&mut *attached.probe)
                } else {
                    None
                },
                fresh_until: looked + FRESH,
                throttle: &self.history.throttle,
                given: &mut given,
                pacer,
            };
            (act::swap_out(&plan, budget, &mut tools), None)
        };
        let processor_time = pacer.processor_time().saturating_sub(start);
        outcome.over_budget += cold.saturating_sub(may);
        outcome.later += cold.min(may).saturating_sub(plan.bytes());
        outcome.planned = cold;
        Acted { present: histogram.total(), outcome, rehearsal, given: given.finish(), processor_time }
    }
}

/// Whether the kernel refused a part, or less of a process left than it took, so that a look at what stayed is worth it. The
/// kernel's own figures lag a little.
const fn some_stayed(before: &ProcessMemory, after: &ProcessMemory, outcome: &Outcome) -> bool {
    let gone = before.resident.saturating_sub(after.resident);
    let applied = outcome.applied;
    outcome.refused > 0 || gone + applied / 64 + (1 << 20) < applied
}

impl Watched<'_> {
    /// Whether touches count only from now on, so that an interval passes before the first look.
    pub(super) const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Processor time that looking has taken so far.
    pub(super) const fn spent(&self) -> Duration {
        self.looks.spent()
    }

    /// Looks once.
    pub(super) fn look(mut self) -> Result<Self, Box<ProcessReport>> {
        match self.looks.look(&mut *self.attached.probe, self.cycle.pacer) {
            Ok(()) => {
                if !std::mem::replace(&mut self.looked, true) {
                    self.cycle.so_far.looked_at(self.looks.present());
                }
                Ok(self)
            }
            Err(end) => Err(self.cycle.ended(end.into())),
        }
    }

    /// Acts on what the looks saw.
    pub(super) fn finish(self) -> Box<ProcessReport> {
        let Self { cycle, mut scan_lock, mut attached, looks, begun, armed_since, .. } = self;
        let looked = cycle.pacer.now();
        scan_lock.leave_armed(looked);
        let observed = looks.finish();
        let since = armed_since.filter(|_| observed.is_whole()).unwrap_or(begun);
        match cycle.act_on(&observed, &mut attached, looked, looked.saturating_sub(since)) {
            Ok(scanned) => Box::new(scanned.report(cycle.process)),
            Err(end) => cycle.ended(end),
        }
    }
}

impl From<SkipReason> for End {
    fn from(reason: SkipReason) -> Self {
        Self::Skipped(reason)
    }
}

impl From<ProcessError> for End {
    fn from(error: ProcessError) -> Self {
        Self::Lost(error)
    }
}

impl From<ScanEnd> for End {
    fn from(end: ScanEnd) -> Self {
        match end {
            ScanEnd::Stopped => Self::Stopped,
            ScanEnd::Process(error) => Self::Lost(error),
        }
    }
}
