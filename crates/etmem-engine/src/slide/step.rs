//! A step of a slide task: its processes are found, and each has its cycle, up to `max_threads` of them at once.

use super::cycle::ProcessCycle;
use super::history::TaskHistory;
use super::report::back_off_event;
use super::settings::Settings;
use super::swap_cache::SwapCacheKeeper;
use crate::contract::{TaskRunner, gone, no_process_yet};
use crate::report::{Event, Level, Line, ProcessReport, ProcessResult, StepReport};
use crate::scan_locks::ScanLocks;
use etmem_core::feedback::BackOff;
use etmem_core::guard;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::wishes::Wishes;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// The work of a slide task.
#[derive(Debug)]
pub struct SlideRunner {
    settings: Settings,
    scan_locks: ScanLocks,
    history: TaskHistory,
    swap_cache: SwapCacheKeeper,
    /// How the last cycle found the task held back.
    back_off: BackOff,
}

impl SlideRunner {
    /// The work that `settings` describe, in turn with the other scanners that share these locks.
    #[must_use]
    pub fn new(settings: Settings, scan_locks: ScanLocks) -> Self {
        let history = TaskHistory::new(&settings);
        Self {
            settings,
            scan_locks,
            history,
            swap_cache: SwapCacheKeeper::default(),
            back_off: BackOff::None,
        }
    }

    fn process(&self, process: ProcessId, kernel: &Kernel, pacer: &dyn Pacer) -> ProcessReport {
        let Self { settings, scan_locks, history, swap_cache: _, back_off: _ } = self;
        ProcessCycle { settings, scan_locks, history, process, kernel, pacer }.run()
    }

    /// Works on `processes`, up to `max_threads` of them at once.
    fn all(&self, processes: &[ProcessId], kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let next = AtomicUsize::new(0);
        let take_on = || {
            let mut reports = Vec::new();
            while let Some(&process) = processes.get(next.fetch_add(1, Ordering::Relaxed)) {
                let stopped = pacer.pace() == Pace::Stop;
                reports.push(if stopped {
                    ProcessReport::new(process, ProcessResult::Stopped)
                } else {
                    self.process(process, kernel, pacer)
                });
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

impl TaskRunner for SlideRunner {
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
        if self.settings.swapcache_watermarks.is_some() && kernel.swap_cache.is_none() {
            notes.push(format!(
                "task {task}: swapcache watermarks have no effect: only openEuler's module etmem_swap can reclaim the \
                 swap cache, and it is not loaded"
            ));
        }
        if let Ok(found) = kernel.processes.find(&self.settings.target)
            && found.is_empty()
        {
            notes.push(no_process_yet(task, &self.settings.target, kernel));
        }
        if let Ok(memory) = kernel.memory.state()
            && let Err(reason) = guard::swap_has_room(&memory)
        {
            notes.push(format!("task {task}: {reason}"));
        }
        notes
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let before = pacer.processor_time();
        let mut report = match kernel.processes.find(&self.settings.target) {
            Ok(found) => {
                self.scan_locks.forget_all_but(&found);
                self.history.forget_all_but(&found);
                self.history.begin(kernel.memory.state().ok());
                StepReport {
                    gone: gone(&found, &self.settings.target, kernel),
                    ..self.all(&found, kernel, pacer)
                }
            }
            Err(error) => StepReport { fault: Some(error), ..StepReport::default() },
        };
        // Each cycle, also while nothing leaves.
        if let Err(error) = self.swap_cache.keep_within(self.settings.swapcache_watermarks, kernel) {
            report.events.push(Event::once(Level::Error, "swap_cache", Line::new(error)));
        }
        report.processor_time += pacer.processor_time().saturating_sub(before);
        let before = std::mem::replace(&mut self.back_off, self.history.back_off());
        report.events.extend(back_off_event(before, self.back_off));
        report
    }

    fn sets_in_kernel(&self, kernel: &Kernel) -> bool {
        self.settings.swapcache_watermarks.is_some() && kernel.swap_cache.is_some()
    }

    fn end(&mut self, kernel: &Kernel) -> Result<(), ProcessError> {
        self.swap_cache.release(kernel)
    }

    fn period(&self) -> Duration {
        self.history.period(self.settings.sleep)
    }
}
