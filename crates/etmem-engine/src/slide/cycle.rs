//! One cycle of a slide task over one process.
//!
//! ```text
//! is there a need, and room? -> look `loop` times -> what refaulted? -> which pages are cold?
//!                               -> (engine tiers: cool ones to the slow node, others to the fast one) -> do programs give them back?
//!                               -> page the rest out, at a rate (a sample first: does it come back?) -> what really left?
//! ```

use super::acting::{ACT_LONGEST, Act, Acted, Actor, Attached, FRESH};
use super::cooling::{Cooled, Placing};
use super::easing::Waiting;
use super::history::{SwapFigures, TaskHistory};
use super::machine::{Machine, MachineFigures};
use super::not_looked_at::NotLookedAt;
use super::report::{Effort, History, Scanned};
use super::second_copies::Out;
use super::settings::Settings;
use crate::reason::ReasonName;
use crate::report::{ProcessReport, ProcessResult};
use crate::scan_locks::{ScanLock, ScanLocks};
use crate::so_far::SharedSoFar;
use etmem_core::address::PAGE_SIZE;
use etmem_core::feedback::{RefaultLimits, Settled};
use etmem_core::guard::{self, Bound, Room, SkipReason};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{JustForked, ProcessError, ProcessId, ProcessMemory};
use etmem_core::policy;
use etmem_core::scan::{Looks, Observed, ScanEnd, Wanted, leave_out_forked};
use std::time::Duration;

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
    pub(super) so_far: &'a SharedSoFar,
    pub(super) machine: &'a Machine,
    pub(super) process: ProcessId,
    pub(super) kernel: &'a Kernel,
    pub(super) pacer: &'a dyn Pacer,
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
    /// When it was armed, or looked at last.
    seen: Duration,
    looked: bool,
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
        scan_lock.map(|lock| (self, lock)).map_err(|end| self.ended(end.into()))
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
        let (source, was_whole, slice) = self.history.looks_at(process, kernel);
        let mut attached = Attached { probe: source.attach(process)?, mover, waiting: Waiting::default() };
        let armed_since = scan_lock.armed_since().filter(|_| was_whole);
        let wanted = Wanted { is_wanted: settings.picks(), flags: &settings.vm_flags, without: &[] };
        let mut looks = Looks::new(process, &*kernel.mappings, wanted);
        let fresh = looks.begin(&mut *attached.probe, armed_since.is_some(), slice, pacer)?;
        let seen = pacer.now();
        Ok(Watched {
            cycle: self,
            scan_lock,
            attached,
            looks,
            begun,
            armed_since,
            fresh,
            seen,
            looked: false,
        })
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

    /// What refaulted, and which pages are cold, after the looks.
    fn judge(
        &self,
        mut observed: Observed,
        attached: &mut Attached,
        looked: Duration,
        window: Duration,
    ) -> Result<Judgement, End> {
        let Self { process, kernel, pacer, .. } = *self;
        let start = pacer.processor_time();
        let mut known = self.history.take(process);
        let forked = leave_out_forked(&mut observed.heat, known.suspected(), &mut *attached.mover);
        observed.processor_time += pacer.processor_time().saturating_sub(start);
        known.shares = forked.as_ref().is_ok_and(|bytes| *bytes > 0);
        let forked = match forked {
            Ok(bytes) => bytes,
            Err(error) => {
                self.history.put_back(process, known);
                return Err(error.into());
            }
        };
        let settled = self.history.settle(&mut known, &observed, looked);
        let judged = kernel.processes.memory(process).map(|memory| {
            let machine = SwapFigures {
                swapped_in: self.machine.swapped_in(kernel, pacer.now()),
                memory: &*kernel.memory,
            };
            let exact = known.probe(kernel).is_page_exact();
            let (refaulted, limits) =
                self.history.account(&mut known, &settled, exact, memory, &machine, pacer.now());
            let not_looked_at = NotLookedAt::of(self.settings, &observed, forked, &memory);
            Judgement {
                observed,
                not_looked_at,
                looked,
                window,
                settled,
                refaulted,
                memory,
                limits,
                asked: None,
                cooled: None,
            }
        });
        self.history.put_back(process, known);
        Ok(judged?)
    }

    /// A sample of what may leave leaves.
    fn begin_acting(&self, mut judgement: Judgement, mut attached: Attached) -> Acting {
        let Judgement { looked, memory, limits, asked, .. } = judgement;
        let mut known = self.history.take(self.process);
        let room = self.room_now();
        let free = room.as_ref().map_or(0, |room| room.bytes);
        let ranks = std::mem::take(&mut judgement.settled.ranks);
        // What was given back is among the cold pages, and a last look leaves it out.
        let looked = if asked.is_some() { looked.saturating_sub(FRESH) } else { looked };
        let asked = asked.filter(|asked| asked.wanted > 0);
        let rest = asked.map_or(u64::MAX, |Asked { wanted, given_back }| {
            wanted.saturating_sub(given_back) & !(PAGE_SIZE - 1)
        });
        let rooms = (free, may(&room, limits), rest);
        let act = self.actor().begin_act(ranks, (memory, limits), rooms, looked, &mut known, &mut attached);
        self.history.put_back(self.process, known);
        let given_back = asked.map_or(0, |asked| asked.given_back);
        Acting { judgement, attached, given_back, act }
    }

    /// The rest leaves, as far as the sample stayed out. Where nothing more may, it is said why.
    fn end_acting(&self, acting: Acting) -> (Scanned, Option<End>) {
        let Acting { judgement, mut attached, given_back, mut act } = acting;
        let Judgement { observed, not_looked_at, window, settled, refaulted, cooled, .. } = judgement;
        let limits = self.history.limits_now(act.limits, self.pacer.now());
        let mut known = self.history.take(self.process);
        let room = self.room_now();
        let may = may(&room, limits);
        self.actor().end_act(&mut act, may, &mut known, &mut attached);
        let out = settled.out + act.acted.left;
        // Where nothing may leave, nothing is read either; and a slice is not all of the process.
        let may_free = room.is_ok() && !limits.paused && !act.acted.swap_off && !act.acted.swap_fails;
        let (second_copies, freeing) = if may_free && observed.is_whole() {
            let out = Out { all: out, left: act.acted.left };
            self.actor().free_second_copies(&observed.ranges, out, &mut known, &mut attached)
        } else {
            (0, Duration::ZERO)
        };
        self.kernel.groups.moved_out(self.process, act.acted.left);
        // Where nothing left and nothing was watched, it stands as just before.
        let figures = if act.acted.left > 0 || act.is_tried() {
            self.kernel.processes.memory(self.process).unwrap_or(act.figures)
        } else {
            act.figures
        };
        let present = act.present();
        let Acted {
            mut outcome,
            rehearsal,
            blind,
            compresses_to,
            swap_off,
            swap_fails,
            left,
            processor_time,
        } = act.acted;
        // It was cold when it was seen, and is not there any more.
        outcome.over_budget = outcome.over_budget.saturating_sub(given_back);
        if attached.waiting.is_known() {
            known.waiting = attached.waiting;
        }
        self.history.end(&mut known, figures, out);
        self.history.put_back(self.process, known);

        // No room is what has come up since the scan began.
        let (bound, end) = match room {
            _ if swap_off => (Bound::SwapOff, None),
            _ if swap_fails => (Bound::SwapFails, None),
            _ if blind.is_some() && may > 0 => (Bound::Blind, None),
            _ if compresses_to.is_some() => (Bound::Incompressible, None),
            Ok(room) => (within(room, limits).bound, None),
            Err(end) => (Bound::Swap, Some(end)),
        };
        let placing = cooled.as_ref().map_or(Duration::ZERO, |cooled| cooled.processor_time);
        let scanned = Scanned {
            present: present + settled.left_alone + settled.kept,
            window,
            bound: (outcome.over_budget > 0).then_some(bound),
            blind,
            compresses_to,
            given_back,
            outcome,
            rehearsal,
            locked: observed.locked,
            not_looked_at,
            cooled,
            history: History {
                refaulted,
                left,
                held: settled.left_alone,
                kept: settled.kept,
                touched: settled.touched,
                second_copies,
            },
            saved: self.machine_now().map_or(0, |machine| machine.memory.saved(out)),
            feedback: self.history.feedback(&settled, left, self.pacer.now()),
            effort: Effort::of(&observed, processor_time + placing + freeing),
        };
        (scanned, end)
    }

    const fn actor(&self) -> Actor<'_> {
        let Self { settings, history, machine, process, kernel, pacer, .. } = *self;
        Actor { process, settings, history, machine, kernel, pacer }
    }

    fn is_there_a_need(&self) -> Result<(), End> {
        let machine = self.machine_now()?;
        // Where swap has no room, pages can still go to another node.
        if self.settings.cooling.is_none() {
            guard::swap_has_room(&machine.memory)?;
        }
        let gates = self.settings.gates;
        if !gates.are_open() {
            guard::gate(gates, &machine.memory, &self.kernel.processes.memory(self.process)?)?;
        }
        if self.settings.cooling.is_none() {
            self.room(machine)?;
        }
        Ok(())
    }

    fn machine_now(&self) -> Result<MachineFigures, End> {
        Ok(self.machine.figures(self.kernel, self.pacer.now())?)
    }

    /// How much of the process may leave now.
    fn room_now(&self) -> Result<Room, End> {
        // Asked now that it is to leave: such children live for seconds.
        let forked = self.kernel.processes.just_forked(self.process);
        let waits = self.history.waits_for_child(self.process, forked.is_some(), self.pacer.now());
        if let Some(JustForked { child, parent }) = forked.filter(|_| waits) {
            return Err(SkipReason::JustForked { child, parent }.into());
        }
        self.machine_now().and_then(|machine| self.room(machine))
    }

    /// The same, where the machine stands so.
    fn room(&self, machine: MachineFigures) -> Result<Room, End> {
        let groups = self.kernel.groups.limits(self.process)?;
        Ok(guard::room(self.settings.guards, &machine.memory, machine.pressure?, groups)?)
    }
}

impl<'a> Watched<'a> {
    /// Whether touches count only from now on, so that an interval passes before the first look.
    pub(super) const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Processor time that looking has taken so far.
    pub(super) const fn spent(&self) -> Duration {
        self.looks.spent()
    }

    /// When it was armed, or looked at last.
    pub(super) const fn seen(&self) -> Duration {
        self.seen
    }

    /// Looks once, no earlier than `after` it was seen last.
    pub(super) fn look(mut self, after: Duration) -> Result<Self, Box<ProcessReport>> {
        let pacer = self.cycle.pacer;
        if wait_until(self.seen + after, pacer) == Pace::Stop {
            return Err(self.cycle.ended(End::Stopped));
        }
        match self.looks.look(&mut *self.attached.probe, pacer) {
            Ok(()) => {
                self.seen = pacer.now();
                if !std::mem::replace(&mut self.looked, true) {
                    self.cycle.so_far.looked_at(self.looks.present());
                }
                Ok(self)
            }
            Err(end) => Err(self.cycle.ended(end.into())),
        }
    }

    /// Judges what the looks saw.
    pub(super) fn judge(self) -> Result<Judged<'a>, Box<ProcessReport>> {
        let Self { cycle, mut scan_lock, mut attached, looks, begun, armed_since, seen: looked, .. } = self;
        scan_lock.leave_armed(looked);
        let observed = looks.finish();
        let since = armed_since.filter(|_| observed.is_whole()).unwrap_or(begun);
        let window = looked.saturating_sub(since);
        let judgement =
            cycle.judge(observed, &mut attached, looked, window).map_err(|end| cycle.ended(end))?;
        Ok(Judged { cycle, scan_lock, attached, judgement })
    }
}

/// What is known of a process after the looks.
struct Judgement {
    observed: Observed,
    not_looked_at: NotLookedAt,
    looked: Duration,
    window: Duration,
    settled: Settled,
    refaulted: u64,
    memory: ProcessMemory,
    limits: RefaultLimits,
    /// What came of asking its programs, if any was asked.
    asked: Option<Asked>,
    /// What moved between NUMA nodes, if the task wishes that.
    cooled: Option<Cooled>,
}

/// What was wanted of the programs of a process, and what they gave back.
#[derive(Clone, Copy)]
struct Asked {
    wanted: u64,
    given_back: u64,
}

/// A process of which is known what is cold.
pub(super) struct Judged<'a> {
    cycle: ProcessCycle<'a>,
    scan_lock: ScanLock<'a>,
    attached: Attached,
    judgement: Judgement,
}

impl<'a> Judged<'a> {
    /// Which process.
    pub(super) const fn process(&self) -> ProcessId {
        self.cycle.process
    }

    /// Bytes that would leave now.
    pub(super) fn due(&self) -> u64 {
        let Judgement { settled, memory, limits, .. } = &self.judgement;
        let may = may(&self.cycle.room_now(), *limits);
        let (rule, histogram) = (self.cycle.settings.cold, settled.ranks.histogram());
        policy::pick(rule, limits.idle_cycles, may, &histogram, memory).1.min(may)
    }

    /// Measures what its programs gave back of `wanted` bytes.
    pub(super) fn measure(&mut self, wanted: u64) {
        let Ok(now) = self.cycle.kernel.processes.memory(self.cycle.process) else { return };
        let given_back = now.given_back_since(&self.judgement.memory);
        self.judgement.asked = Some(Asked { wanted, given_back });
        self.judgement.memory = now;
    }

    /// Puts its pages on the NUMA nodes where they belong, if the task wishes that and programs do not wait for memory.
    pub(super) fn place(mut self) -> Result<Self, Box<ProcessReport>> {
        let ProcessCycle { settings, history, process, kernel, pacer, .. } = self.cycle;
        let Some((cooling, numa)) = settings.cooling(kernel) else { return Ok(self) };
        let pressure = self.cycle.machine_now().and_then(|machine| Ok(machine.pressure?));
        if !pressure.is_ok_and(|pressure| guard::is_calm(settings.guards, pressure).is_ok()) {
            return Ok(self);
        }
        let start = pacer.processor_time();
        let mut known = history.take(process);
        let placing = Placing {
            process,
            numa,
            seen: &self.judgement.observed,
            trust: known.trust,
            cycle: known.cycle(),
            most: history.bytes_within(ACT_LONGEST),
            dry_run: settings.dry_run,
            pacer,
        };
        let mut cooled = Cooled::default();
        let done = placing.place(cooling, &mut known.step_down, &mut cooled);
        history.placed(known.step_down.is_news());
        history.put_back(process, known);
        cooled.processor_time = pacer.processor_time().saturating_sub(start);
        history.rest(cooled.processor_time);
        match done {
            // Others can leave memory all the same. A stop shows when they do.
            Ok(()) | Err(ScanEnd::Stopped | ScanEnd::Left(_)) => {}
            Err(ScanEnd::Process(refused @ ProcessError::Refused { .. })) => cooled.refused = Some(refused),
            Err(end @ ScanEnd::Process(ProcessError::Exited | ProcessError::Replaced)) => {
                return Err(self.cycle.ended(end.into()));
            }
        }
        self.judgement.cooled = Some(cooled);
        Ok(self)
    }

    /// Begins to act on what is cold.
    pub(super) fn begin_acting(self) -> Result<Tried<'a>, Box<ProcessReport>> {
        let Self { cycle, scan_lock, attached, judgement } = self;
        let acting = cycle.begin_acting(judgement, attached);
        Ok(Tried { cycle, _scan_lock: scan_lock, acting, since: cycle.pacer.now() })
    }
}

/// What is known between the sample and the rest.
struct Acting {
    judgement: Judgement,
    attached: Attached,
    given_back: u64,
    act: Act,
}

/// A process of which a sample has left, where one was needed.
pub(super) struct Tried<'a> {
    cycle: ProcessCycle<'a>,
    /// Held until its pages have moved.
    _scan_lock: ScanLock<'a>,
    acting: Acting,
    /// Since when the sample is out.
    since: Duration,
}

impl Tried<'_> {
    /// Whether a sample is to be watched.
    pub(super) fn is_tried(&self) -> bool {
        self.acting.act.is_tried()
    }

    /// Since when that is out.
    pub(super) const fn since(&self) -> Duration {
        self.since
    }

    /// Ends the act; one with a sample no earlier than `after` that is out.
    pub(super) fn finish(self, after: Duration) -> Box<ProcessReport> {
        if self.is_tried() {
            // A stop shows in the trial.
            let _ = wait_until(self.since + after, self.cycle.pacer);
        }
        let Self { cycle, acting, _scan_lock, since: _ } = self;
        match cycle.end_acting(acting) {
            (scanned, None) => Box::new(scanned.report(cycle.process)),
            // It was worked on, though nothing may leave memory.
            (scanned, Some(End::Skipped(skipped))) if scanned.cooled.is_some() => {
                let report = scanned.report(cycle.process);
                let reason = report.reason.filter(|reason| reason.name == ReasonName::NodeFull);
                Box::new(ProcessReport { reason: Some(reason.unwrap_or((&skipped).into())), ..report })
            }
            // A sample has left by then, perhaps, and refaults were seen.
            (scanned, Some(end)) => {
                let ProcessReport { figures, feedback, .. } = scanned.report(cycle.process);
                Box::new(ProcessReport { figures, feedback, ..*cycle.ended(end) })
            }
        }
    }
}

/// Waits until the clock is at `then`.
fn wait_until(then: Duration, pacer: &dyn Pacer) -> Pace {
    let left = then.saturating_sub(pacer.now());
    if left.is_zero() { Pace::Continue } else { pacer.pause(left) }
}

/// Bytes that may leave: whole pages.
fn may(room: &Result<Room, End>, limits: RefaultLimits) -> u64 {
    match room {
        Ok(room) if !limits.paused => within(*room, limits).bytes & !(PAGE_SIZE - 1),
        Ok(_) | Err(_) => 0,
    }
}

/// What of `room` refaults leave.
fn within(room: Room, limits: RefaultLimits) -> Room {
    if limits.paused {
        Room { bytes: 0, bound: Bound::Paused }
    } else {
        room.or(limits.bytes.unwrap_or(u64::MAX), limits.bound)
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
            ScanEnd::Left(reason) => Self::Skipped(reason),
        }
    }
}
