//! A step of a slide task: its processes are found, and each has its cycle, up to `max_threads` of them at once.

use super::cycle::{Judged, ProcessCycle, Tried, Watched};
use super::history::TaskHistory;
use super::machine::Machine;
use super::report::{age_event, back_off_event};
use super::resting::Rest;
use super::settings::Settings;
use super::swap_cache::SwapCacheKeeper;
use super::{acting, asking, remembered};
use crate::contract::{
    EngineError, MOST_WATCHED, TaskRunner, gone, name_groups, note_on_swap, notes_on_target,
};
use crate::report::{Event, Level, Line, ProcessReport, StepReport};
use crate::scan_locks::ScanLocks;
use crate::so_far::SharedSoFar;
use etmem_config::{ProjectSection, TaskSection};
use etmem_core::feedback::BackOff;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{ProcessError, ProcessId, Target};
use etmem_core::kernel::wishes::Wishes;
use etmem_core::scan::Schedule;
use parking_lot::Mutex;
use std::thread;
use std::time::Duration;

/// The work of a slide task.
#[derive(Debug)]
pub struct SlideRunner {
    settings: Settings,
    scan_locks: ScanLocks,
    history: TaskHistory,
    swap_cache: SwapCacheKeeper,
    so_far: SharedSoFar,
    machine: Machine,
    /// How the last cycle found the task held back.
    back_off: BackOff,
    /// The age at which pages leave, as it was said last.
    age: Option<Duration>,
    rest: Rest,
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
            so_far: SharedSoFar::default(),
            machine: Machine::default(),
            back_off: BackOff::None,
            age: None,
            rest: Rest::default(),
        }
    }

    /// Works on `processes`, as many at a time as can be watched at once.
    fn all(&self, processes: &[ProcessId], kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        self.so_far.begin(processes.len());
        let mut report = StepReport::default();
        for some in processes.chunks(MOST_WATCHED) {
            self.together(some, kernel, pacer, &mut report);
        }
        report.processes.sort_by_key(|report| report.process);
        report
    }

    /// Works on `processes`, which share their windows: all are armed, one wait, all are looked at. What is armed first is looked at
    /// first, so that its window is over while others are still armed.
    fn together(&self, processes: &[ProcessId], kernel: &Kernel, pacer: &dyn Pacer, report: &mut StepReport) {
        let Self { settings, scan_locks, history, so_far, machine, .. } = self;
        let Schedule { loops, interval } = settings.schedule;
        let loops = if self.rest.is_on() { 1 } else { loops };
        let cycle =
            |process| ProcessCycle { settings, scan_locks, history, so_far, machine, process, kernel, pacer };
        let cycles = processes.iter().copied().map(cycle).collect();
        let needed = self.side_by_side(cycles, ProcessCycle::is_needed, pacer, report);
        // One after the other in the order of their numbers, as all engines do, so that no two wait for each other.
        let mut locked = Vec::with_capacity(needed.len());
        for cycle in needed {
            match cycle.lock() {
                Ok(one) => locked.push(one),
                Err(stopped) => report.processes.push(*stopped),
            }
        }
        let mut watched = self.side_by_side(locked, ProcessCycle::begin, pacer, report);
        let spent = |watched: &[Watched<'_>]| -> Duration { watched.iter().map(Watched::spent).sum() };
        let mut rested = Duration::ZERO;
        // Returns how long after it was seen each may be looked at. A stop shows in the next look, at each process.
        let mut wait = |watched: &[Watched<'_>]| {
            let spent = spent(watched);
            let rest = history.rest_after(spent.saturating_sub(std::mem::replace(&mut rested, spent)));
            wait_after(watched.first().map(Watched::seen), interval, rest, pacer)
        };
        let is_fresh = watched.iter().any(Watched::is_fresh);
        let mut after = if is_fresh { wait(&watched) } else { Duration::ZERO };
        for look in 1..=loops {
            watched = self.side_by_side(watched, |one| one.look(after), pacer, report);
            if look < loops && !watched.is_empty() {
                after = wait(&watched);
            }
        }
        history.rest(spent(&watched).saturating_sub(rested));
        let look_up_again = || {
            machine.forget();
            kernel.groups.renew();
        };
        look_up_again();
        let judged = self.side_by_side(watched, Watched::judge, pacer, report);
        let mut judged = self.side_by_side(judged, Judged::place, pacer, report);
        if let Some(wait) = settings.ask.filter(|_| !settings.dry_run) {
            asking::ask(&mut judged, wait, kernel, pacer);
            look_up_again();
        }
        let tried = self.side_by_side(judged, Judged::begin_acting, pacer, report);
        let since = tried.iter().find(|one| one.is_tried()).map(Tried::since);
        // A stop shows at each process.
        let after =
            since.map(|since| wait_after(Some(since), acting::watch(interval), Duration::ZERO, pacer));
        if after.is_some() {
            look_up_again();
        }
        let finish = |one: Tried<'_>| Err(one.finish(after.unwrap_or_default()));
        self.side_by_side::<_, ()>(tried, finish, pacer, report);
        machine.forget();
    }

    /// Does `work` on each of `items`, up to `max_threads` of them at once, in their order. What ends is reported, the others go on.
    fn side_by_side<T: Send, U: Send>(
        &self,
        items: Vec<T>,
        work: impl Fn(T) -> Result<U, Box<ProcessReport>> + Sync,
        pacer: &dyn Pacer,
        report: &mut StepReport,
    ) -> Vec<U> {
        let threads = self.settings.threads.min(items.len());
        let next = Mutex::new(items.into_iter().enumerate());
        let take_on = || {
            let (mut done, mut ended) = (Vec::new(), Vec::new());
            loop {
                let item = next.lock().next();
                match item.map(|(number, item)| (number, work(item))) {
                    None => break (done, ended),
                    Some((number, Ok(item))) => done.push((number, item)),
                    Some((_, Err(report))) => ended.push(report),
                }
            }
        };
        let help = || (take_on(), pacer.processor_time());
        let mut all = thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(help)).collect();
            let (mut all, ended) = take_on();
            report.processes.extend(ended.into_iter().map(|one| *one));
            for helper in helpers {
                match helper.join() {
                    Ok(((done, ended), processor_time)) => {
                        all.extend(done);
                        report.processes.extend(ended.into_iter().map(|one| *one));
                        report.processor_time += processor_time;
                    }
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            all
        });
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, item)| item).collect()
    }
}

/// Waits until `interval` after what happened first of a row, and for `rest` at least. Returns how long ago that is by then: as
/// long after each of the row comes what follows.
fn wait_after(first: Option<Duration>, interval: Duration, rest: Duration, pacer: &dyn Pacer) -> Duration {
    let now = pacer.now();
    let first = first.unwrap_or(now);
    let left = interval.saturating_sub(now.saturating_sub(first)).max(rest);
    if !left.is_zero() {
        let _ = pacer.pause(left);
    }
    pacer.now().saturating_sub(first)
}

impl TaskRunner for SlideRunner {
    fn wishes(&self) -> Wishes {
        Wishes { between: self.settings.cooling.is_some(), ..self.settings.wishes }
    }

    fn target(&self) -> Option<&Target> {
        Some(&self.settings.target)
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
        notes.extend(notes_on_target(task, &self.settings.target, kernel));
        notes.extend(note_on_swap(task, kernel));
        notes
    }

    fn prepare(&mut self, kernel: &Kernel) -> Result<(), EngineError> {
        self.settings.cooling(kernel).map_or(Ok(()), |(cooling, numa)| cooling.check(&*numa.nodes))
    }

    fn decisions(&self, kernel: &Kernel) -> Vec<String> {
        let cooling = self.settings.cooling(kernel);
        let pairs = cooling.map_or_else(Vec::new, |(cooling, numa)| cooling.decided(&*numa.nodes));
        pairs.iter().map(|pair| format!("task {}: {pair}", self.settings.task)).collect()
    }

    fn change(&mut self, project: &ProjectSection, task: &TaskSection) {
        // Those that cannot be read were refused before.
        if let Ok(newer) = self.settings.renewed(project, task)
            && self.settings.can_become(&newer)
        {
            self.history.change(&newer);
            self.settings = newer;
        }
    }

    fn so_far(&self) -> SharedSoFar {
        self.so_far.clone()
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let before = pacer.processor_time();
        let mut report = match kernel.processes.find(&self.settings.target) {
            Ok(found) => {
                self.scan_locks.forget_all_but(&found);
                self.history.forget_all_but(&found);
                self.machine.forget();
                let machine = self.machine.figures(kernel, pacer.now());
                self.history.begin(machine.ok().map(|machine| machine.memory));
                kernel.groups.renew();
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
        name_groups(&mut report, &self.settings.target, kernel);
        report.processor_time += pacer.processor_time().saturating_sub(before);
        let before = std::mem::replace(&mut self.back_off, self.history.back_off(pacer.now()));
        report.events.extend(back_off_event(before, self.back_off));
        if let Some(told) = self.history.told(pacer.now()) {
            let before = std::mem::replace(&mut self.age, told.age);
            report.events.extend(age_event(before, &told));
            // Without an age, what a page counts within a cycle decides; and nodes and the swap cache are kept in each.
            let may = self.back_off == BackOff::None
                && !self.settings.dry_run
                && self.settings.cooling.is_none()
                && self.settings.swapcache_watermarks.is_none();
            report.events.extend(self.rest.ended(&report, may, pacer.now()));
        }
        report
    }

    fn remembered(&mut self, kernel: &Kernel, always: bool) -> Option<Vec<u8>> {
        if always || self.history.is_news() { remembered::write(&self.history, kernel) } else { None }
    }

    fn recall(&mut self, remembered: &[u8], gap: Duration, kernel: &Kernel) -> Result<(), String> {
        remembered::read(&mut self.history, remembered, gap, kernel)
    }

    fn asks(&self) -> bool {
        self.settings.ask.is_some() && !self.settings.dry_run
    }

    fn sets_in_kernel(&self, kernel: &Kernel) -> bool {
        self.settings.swapcache_watermarks.is_some() && kernel.swap_cache.is_some()
    }

    fn end(&mut self, kernel: &Kernel) -> Result<(), ProcessError> {
        self.swap_cache.release(kernel)
    }

    fn period(&self) -> Duration {
        self.history.period(self.settings.sleep).max(self.rest.wait())
    }
}
