//! One cycle of a slide task.
//!
//! ```text
//! find processes -> is there a need, and room? -> look `loop` times -> who came back? -> which pages are cold?
//!                -> page them out, at a rate -> what really left?
//! ```

use super::memory::Memory;
use super::settings::Settings;
use crate::engine::Work;
use crate::report::{Effort, ProcessReport, ProcessResult, Scanned, StepReport};
use crate::turns::Turns;
use etmem_core::act::{self, Tools};
use etmem_core::feedback::PageSetBuilder;
use etmem_core::guard::{self, Bound, Room};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::mover::SwapOut;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessError, ProcessId, ProcessMemory};
use etmem_core::kernel::wishes::Wishes;
use etmem_core::plan::{Budget, Outcome, Plan};
use etmem_core::policy::{self, Hold};
use etmem_core::scan::{self, Looking, ScanEnd, Wanted};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The longest that a cycle moves pages of one process: what is known of them ages meanwhile.
const ACT_LONGEST: Duration = Duration::from_secs(10);

/// How long after the scan pages leave without being looked at once more: as long as the shortest observation window.
const FRESH: Duration = Duration::from_secs(1);

/// The work of a slide task.
#[derive(Debug)]
pub struct SlideWork {
    settings: Settings,
    turns: Turns,
    memory: Memory,
    /// The kernel was told the watermarks of the swap cache.
    watermarks_set: AtomicBool,
}

impl SlideWork {
    /// The work that `settings` describe, taking turns with the other scanners of `turns`.
    #[must_use]
    pub fn new(settings: Settings, turns: Turns) -> Self {
        let memory = Memory::new(&settings);
        Self { settings, turns, memory, watermarks_set: AtomicBool::new(false) }
    }

    fn process(&self, process: ProcessId, kernel: &Kernel, pacer: &dyn Pacer) -> ProcessResult {
        self.try_process(process, kernel, pacer).unwrap_or_else(|end| match end {
            End::Held(hold) => ProcessResult::Held(hold),
            End::Lost(error) => ProcessResult::Lost(error),
            End::Stopped => ProcessResult::Stopped,
        })
    }

    fn try_process(
        &self,
        process: ProcessId,
        kernel: &Kernel,
        pacer: &dyn Pacer,
    ) -> Result<ProcessResult, End> {
        let settings = &self.settings;
        let memory = kernel.memory.state()?;
        policy::room(&memory)?;
        policy::gate(settings.gates, &memory, &kernel.processes.memory(process)?)?;
        self.room(process, kernel, &memory)?;

        let mut turn = self.turns.take(process, pacer).ok_or(End::Stopped)?;
        // Before the scan, so that both are bound to the program that is scanned: should it be replaced in
        // between, nothing moves.
        let mut mover = kernel.mover.attach(process)?;
        let mut probe = kernel.probe.attach(process)?;
        let begun = pacer.now();
        // Dropped with what is known of the process where the cycle ends early: its pages may be others by then.
        let mut known = self.memory.take(process);
        let continues = turn.is_armed() && known.was_whole;
        let wanted = Wanted { is_wanted: scan::is_swappable, flags: &settings.vm_flags, without: &[] };
        let seen = Looking::new(process, &*kernel.mappings, wanted, pacer).cycle(
            &mut *probe,
            settings.schedule,
            continues,
            scan::Effort {
                processor_percent: Some(settings.looking_percent),
                slice: Some(known.slice(settings)),
                resume: known.resume,
            },
        )?;
        let looked = pacer.now();
        turn.leave_armed(looked);
        let armed_since = turn.armed_since().filter(|_| continues && seen.is_whole()).unwrap_or(begun);
        let window = looked.saturating_sub(armed_since);

        let settled = known.settle(&seen, settings, self.memory.paused_for());
        let figures = kernel.processes.memory(process)?;
        let exact = kernel.probe.is_page_exact();
        let (came_back, limits) = self.memory.account(&mut known, &settled, exact, figures, pacer.now());
        let now = kernel.memory.state().map_err(End::from);
        let room = now.and_then(|memory| self.room(process, kernel, &memory)).map(|room| match limits {
            limits if limits.paused => Room { bytes: 0, bound: Bound::Paused },
            limits => room.or(limits.bytes.unwrap_or(u64::MAX), Bound::Probation),
        });

        let ranks = settled.ranks.histogram();
        let per_cycle = self.memory.per_cycle(limits.halvings, ACT_LONGEST);
        let may = room.as_ref().map_or(0, |room| room.bytes);
        let (selection, cold) = policy::pick(settings.cold, limits.bar, may.min(per_cycle), &ranks, &figures);
        let plan = Plan::new(&settled.ranks, &ranks, selection);
        let mut given = PageSetBuilder::default();
        let moving = pacer.processor_time();
        let can_glance = probe.looks_without_clearing();
        let budget = Budget { bytes: may, until: Some(pacer.now() + ACT_LONGEST) };
        let (mut outcome, rehearsal) = if settings.dry_run {
            let (outcome, rehearsal) = act::rehearse(&plan, budget);
            (outcome, Some(rehearsal))
        } else {
            let mut tools = Tools {
                mover: &mut *mover,
                probe: if can_glance { Some(&mut *probe) } else { None },
                fresh_until: looked + FRESH,
                throttle: &self.memory.throttle,
                halvings: limits.halvings,
                given: &mut given,
                pacer,
            };
            (act::swap_out(&plan, budget, &mut tools), None)
        };
        let moving = pacer.processor_time().saturating_sub(moving);
        outcome.over_budget += cold.saturating_sub(may);
        outcome.later += cold.min(may).saturating_sub(plan.bytes());
        outcome.planned = cold;
        let before = figures;
        let figures = kernel.processes.memory(process).unwrap_or(before);
        let after = if can_glance && outcome.ended.is_none() && some_stayed(&before, &figures, &outcome) {
            Looking::glance(&mut *probe, &seen.ranges).ok()
        } else {
            None
        };
        let (left, stayed) = self.memory.left(&mut known, given.finish(), after.as_ref(), figures);
        // What was refused is still there as well, and is told of already.
        let stayed = stayed.saturating_sub(outcome.refused);
        let swap_cache = self.reclaim_swap_cache(kernel, &mut *mover);
        self.memory.rest(seen.unrested, settings);
        self.memory.put_back(process, known);
        swap_cache?;

        let bound = match room {
            Ok(room) => (outcome.over_budget > 0).then_some(room.bound),
            // What has come up since the scan began.
            Err(End::Held(hold)) => return Ok(ProcessResult::Held(hold)),
            Err(end) => return Err(end),
        };
        Ok(ProcessResult::Scanned(Scanned {
            present: ranks.total() + settled.held,
            window,
            outcome,
            rehearsal,
            bound,
            stayed,
            locked: seen.locked,
            feedback: Box::new(self.memory.feedback(&settled, came_back, left, limits)),
            effort: Effort { moving, ..Effort::of(&seen) },
        }))
    }

    /// How much of `process` may leave now.
    fn room(&self, process: ProcessId, kernel: &Kernel, memory: &MemoryState) -> Result<Room, End> {
        let groups = kernel.groups.limits(process)?;
        Ok(guard::room(self.settings.guards, memory, kernel.pressure.pressure()?, groups)?)
    }

    /// Keeps the swap cache between the project's watermarks, where the kernel can be told to.
    fn reclaim_swap_cache(&self, kernel: &Kernel, mover: &mut dyn SwapOut) -> Result<(), ProcessError> {
        let (Some(marks), Some(swap_cache)) = (self.settings.swapcache_watermarks, mover.swap_cache()) else {
            return Ok(());
        };
        if policy::swap_cache_is_above(marks.high.get(), &kernel.memory.state()?) {
            if !self.watermarks_set.swap(true, Ordering::Relaxed) {
                swap_cache.set_watermarks(marks.low.get(), marks.high.get())?;
            }
            swap_cache.reclaim()?;
        }
        Ok(())
    }

    /// Works on `processes`, so many at once as the task allows.
    fn all(&self, processes: &[ProcessId], kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let next = AtomicUsize::new(0);
        let take_on = || {
            let mut reports = Vec::new();
            while let Some(&process) = processes.get(next.fetch_add(1, Ordering::Relaxed)) {
                let stopped = pacer.pace() == Pace::Stop;
                let result =
                    if stopped { ProcessResult::Stopped } else { self.process(process, kernel, pacer) };
                reports.push(ProcessReport { process, result });
            }
            reports
        };
        let helpers = self.settings.threads.min(processes.len()).saturating_sub(1);
        let help = || (take_on(), pacer.processor_time());
        let mut report = thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(help)).collect();
            let mut report = StepReport { processes: take_on(), ..StepReport::default() };
            for helper in helpers {
                match helper.join() {
                    Ok((more, processor_time)) => {
                        report.processes.extend(more);
                        report.processor_time += processor_time;
                    }
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            report
        });
        report.processes.sort_by_key(|report| report.process);
        report
    }
}

impl Work for SlideWork {
    fn wishes(&self) -> Wishes {
        self.settings.wishes
    }

    fn notes(&self, kernel: &Kernel) -> Vec<String> {
        let task = &self.settings.task;
        let mut notes = Vec::new();
        if let Some(wanted) = self.settings.threads_wanted {
            notes.push(format!(
                "task {task}: max_threads={wanted} is more than this machine takes; {} are used",
                self.settings.threads
            ));
        }
        if self.settings.dry_run {
            notes.push(format!("task {task}: dry_run=yes: it looks and plans, and moves nothing"));
        }
        if self.settings.swapcache_watermarks.is_some() && !kernel.mover.reaches_swap_cache() {
            notes.push(format!(
                "task {task}: swapcache watermarks have no effect: only the mover etmem (openEuler's module etmem_swap) can \
                 reclaim the swap cache, and this is {}",
                kernel.mover.name()
            ));
        }
        if let Ok(found) = kernel.processes.find(&self.settings.target)
            && found.is_empty()
        {
            notes.push(format!("task {task}: no {} yet; waiting for it", self.settings.target));
        }
        if let Ok(memory) = kernel.memory.state()
            && let Err(hold) = policy::room(&memory)
        {
            notes.push(format!("task {task}: {hold}"));
        }
        notes
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let before = pacer.processor_time();
        let mut report = match kernel.processes.find(&self.settings.target) {
            Ok(found) => {
                self.turns.forget_all_but(&found);
                self.memory.forget_all_but(&found);
                self.memory.begin();
                self.all(&found, kernel, pacer)
            }
            Err(error) => StepReport { fault: Some(error), ..StepReport::default() },
        };
        report.processor_time += pacer.processor_time().saturating_sub(before);
        report
    }

    fn sets_in_kernel(&self, kernel: &Kernel) -> bool {
        self.settings.swapcache_watermarks.is_some() && kernel.mover.reaches_swap_cache()
    }

    fn end(&mut self, kernel: &Kernel) -> Result<(), ProcessError> {
        let was_set = std::mem::take(self.watermarks_set.get_mut());
        if was_set { kernel.mover.leave_swap_cache_alone() } else { Ok(()) }
    }

    fn period(&self) -> Duration {
        self.memory.period(self.settings.sleep)
    }
}

/// Whether the kernel refused a part, or less of a process left than it took, so that it is worth a look what stayed; the
/// kernel's own figures are a little behind.
const fn some_stayed(before: &ProcessMemory, after: &ProcessMemory, outcome: &Outcome) -> bool {
    let gone = before.resident.saturating_sub(after.resident);
    let applied = outcome.applied;
    outcome.refused > 0 || gone + applied / 64 + (1 << 20) < applied
}

/// Why a process's cycle ended early.
#[derive(Debug)]
enum End {
    Held(Hold),
    Lost(ProcessError),
    Stopped,
}

impl From<Hold> for End {
    fn from(hold: Hold) -> Self {
        Self::Held(hold)
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
