//! One cycle of a slide task over one process.
//!
//! ```text
//! is there a need, and room? -> look `loop` times -> what refaulted? -> which pages are cold? -> page them out, at a rate
//!                               (a sample first: does it come back?)     -> what really left?
//! ```

use super::acting::{Acted, Acting, Attached, Given};
use super::history::{ProcessHistory, TaskHistory};
use super::report::{Effort, History, Scanned};
use super::settings::Settings;
use crate::report::{ProcessReport, ProcessResult};
use crate::scan_locks::{ScanLock, ScanLocks};
use etmem_core::address::PAGE_SIZE;
use etmem_core::feedback::RefaultLimits;
use etmem_core::guard::{self, Bound, Room, SkipReason};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::probe::AccessProbe;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::scan::{self, Looks, Observed, ScanEnd, Wanted};
use std::time::Duration;

/// Why a process's cycle ended early.
#[derive(Debug)]
pub(super) enum End {
    Skipped(SkipReason),
    Lost(ProcessError),
    Stopped,
}

/// What a cycle works with.
#[derive(Debug)]
pub(super) struct ProcessCycle<'a> {
    pub(super) settings: &'a Settings,
    pub(super) scan_locks: &'a ScanLocks,
    pub(super) history: &'a TaskHistory,
    pub(super) process: ProcessId,
    pub(super) kernel: &'a Kernel,
    pub(super) pacer: &'a dyn Pacer,
}

/// What the looks saw.
struct Scan {
    observed: Observed,
    /// When the last look was.
    looked: Duration,
    /// How long touches were watched for.
    window: Duration,
}

impl ProcessCycle<'_> {
    /// The whole of it.
    pub(super) fn run(&self) -> ProcessReport {
        let result = match self.scan_and_act() {
            Ok(scanned) => return scanned.report(self.process),
            Err(End::Skipped(reason)) => ProcessResult::Skipped(reason),
            Err(End::Lost(error)) => ProcessResult::Lost(error),
            Err(End::Stopped) => ProcessResult::Stopped,
        };
        ProcessReport::new(self.process, result)
    }

    fn scan_and_act(&self) -> Result<Scanned, End> {
        self.is_there_a_need()?;
        let mut scan_lock = self.scan_locks.take(self.process, self.pacer).ok_or(End::Stopped)?;
        let mut known = self.history.take(self.process);
        let result = self.scan_and_act_with(&mut scan_lock, &mut known);
        // Dropped with what is known of the process where that is gone: its pages are others by now.
        let is_gone = matches!(result, Err(End::Lost(ProcessError::Exited | ProcessError::Replaced)));
        if !is_gone {
            self.history.put_back(self.process, known);
        }
        result
    }

    fn scan_and_act_with(
        &self,
        scan_lock: &mut ScanLock<'_>,
        known: &mut ProcessHistory,
    ) -> Result<Scanned, End> {
        let Self { settings, history, process, kernel, pacer, .. } = *self;
        // Before the scan, so that both are bound to the program that is scanned: should it be replaced in
        // between, nothing moves.
        let mover = kernel.moving.out()?.attach(process)?;
        let source = known.probe(kernel);
        let mut attached = Attached { probe: source.attach(process)?, mover };
        let Scan { observed, looked, window } = self.look(scan_lock, &mut *attached.probe, known)?;

        let settled = self.history.settle(known, &observed);
        let before = kernel.processes.memory(process)?;
        let swapped_in = kernel.memory.swapped_in();
        let exact = source.is_page_exact();
        let (refaulted, limits) =
            self.history.account(known, &settled, exact, before, swapped_in, pacer.now());
        let room = self.room_now();
        let may = match &room {
            // Whole pages.
            Ok(room) if !limits.paused => within(*room, limits).bytes & !(PAGE_SIZE - 1),
            Ok(_) | Err(_) => 0,
        };
        let free = room.as_ref().map_or(0, |room| room.bytes);
        let acting = Acting { settings, history, kernel, pacer };
        let given = Given { ranks: &settled.ranks, figures: &before, limits, free, may, looked };
        let Acted { present, outcome, rehearsal, blind, swap_off, left, processor_time } =
            acting.act(&given, known, &mut attached);
        self.history.end(known, kernel.processes.memory(process).unwrap_or(before), settled.out + left);
        self.history.rest(observed.unrested);

        // An error is what has come up since the scan began.
        let bound = if swap_off {
            Bound::SwapOff
        } else if blind.is_some() && may > 0 {
            Bound::Blind
        } else {
            within(room?, limits).bound
        };
        Ok(Scanned {
            present: present + settled.left_alone + settled.kept,
            window,
            bound: (outcome.over_budget > 0).then_some(bound),
            blind,
            outcome,
            rehearsal,
            locked: observed.locked,
            history: History {
                refaulted,
                left,
                held: settled.left_alone,
                kept: settled.kept,
                touched: settled.touched,
            },
            feedback: self.history.feedback(&settled, left),
            effort: Effort::of(&observed, processor_time),
        })
    }

    /// Whether memory is short, the process is worth it, and there is room for what might leave.
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

    /// The same after the looks.
    fn room_now(&self) -> Result<Room, End> {
        self.room(&self.kernel.memory.state()?)
    }

    /// Looks as often as a cycle does.
    fn look(
        &self,
        scan_lock: &mut ScanLock<'_>,
        probe: &mut dyn AccessProbe,
        known: &ProcessHistory,
    ) -> Result<Scan, End> {
        let (settings, pacer) = (self.settings, self.pacer);
        let begun = pacer.now();
        let continues = scan_lock.is_armed() && known.was_whole;
        let wanted = Wanted { is_wanted: scan::is_swappable, flags: &settings.vm_flags, without: &[] };
        let observed = Looks::new(self.process, &*self.kernel.mappings, wanted).cycle(
            probe,
            settings.schedule,
            continues,
            self.history.scan_budget(known),
            pacer,
        )?;
        let looked = pacer.now();
        scan_lock.leave_armed(looked);
        let armed_since =
            scan_lock.armed_since().filter(|_| continues && observed.is_whole()).unwrap_or(begun);
        Ok(Scan { observed, looked, window: looked.saturating_sub(armed_since) })
    }
}

/// What of `room` refaults leave.
fn within(room: Room, limits: RefaultLimits) -> Room {
    if limits.paused {
        Room { bytes: 0, bound: Bound::Paused }
    } else {
        room.or(limits.bytes.unwrap_or(u64::MAX), Bound::Probation)
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
