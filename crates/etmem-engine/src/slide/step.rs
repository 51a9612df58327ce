//! One cycle of a slide task.
//!
//! ```text
//! find processes -> is there a need, and room? -> look `loop` times -> which pages are cold? -> page them out
//! ```

use super::settings::Settings;
use crate::engine::Work;
use crate::report::{ProcessReport, ProcessResult, Scanned, StepReport};
use crate::turns::Turns;
use etmem_core::act;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::mover::SwapOut;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::wishes::Wishes;
use etmem_core::plan::{Budget, Plan};
use etmem_core::policy::{self, Hold};
use etmem_core::scan::{self, ScanEnd, Wanted};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The work of a slide task.
#[derive(Debug)]
pub struct SlideWork {
    settings: Settings,
    turns: Turns,
    /// The kernel was told the watermarks of the swap cache.
    watermarks_set: AtomicBool,
}

impl SlideWork {
    /// The work that `settings` describe, taking turns with the other scanners of `turns`.
    #[must_use]
    pub const fn new(settings: Settings, turns: Turns) -> Self {
        Self { settings, turns, watermarks_set: AtomicBool::new(false) }
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
        let memory = kernel.memory.state()?;
        policy::room(&memory)?;
        policy::gate(self.settings.gates, &memory, &kernel.processes.memory(process)?)?;

        let mut turn = self.turns.take(process, pacer).ok_or(End::Stopped)?;
        // Before the scan, so that both are bound to the program that is scanned: should it be replaced in
        // between, nothing moves.
        let mut mover = kernel.mover.attach(process)?;
        let mut probe = kernel.probe.attach(process)?;
        let armed_since = turn.armed_since().unwrap_or_else(|| pacer.now());
        let heat = scan::observe(
            process,
            &*kernel.mappings,
            Wanted { is_wanted: scan::is_swappable, flags: &self.settings.vm_flags, without: &[] },
            &mut *probe,
            self.settings.schedule,
            turn.is_armed(),
            pacer,
        )?;
        let seen = pacer.now();
        turn.leave_armed(seen);

        let histogram = heat.histogram();
        let selection = policy::cold(self.settings.cold, &histogram, &kernel.processes.memory(process)?);
        let plan = Plan::new(&heat, &histogram, selection);
        let budget = Budget { bytes: kernel.memory.state()?.swap_free };
        let window = seen.saturating_sub(armed_since);
        let scanned = Scanned { present: histogram.total(), window, ..Scanned::default() };
        if self.settings.dry_run {
            let (outcome, rehearsal) = act::rehearse(&plan, budget);
            return Ok(ProcessResult::Scanned(Scanned { outcome, rehearsal: Some(rehearsal), ..scanned }));
        }
        let outcome = act::swap_out(&plan, budget, &mut *mover, pacer);
        self.reclaim_swap_cache(kernel, &mut *mover)?;
        Ok(ProcessResult::Scanned(Scanned { outcome, ..scanned }))
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
                self.all(&found, kernel, pacer)
            }
            Err(error) => StepReport { fault: Some(error), ..StepReport::default() },
        };
        report.processor_time += pacer.processor_time().saturating_sub(before);
        report
    }

    fn period(&self) -> Duration {
        self.settings.sleep
    }
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
