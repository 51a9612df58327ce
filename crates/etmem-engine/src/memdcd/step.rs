//! A cycle of a memdcd task: its processes are looked at together, then the decider receives what was seen of each.

use super::message::Messages;
use super::report::Sent;
use crate::contract::{MOST_WATCHED, TaskRunner, gone, notes_on_target};
use crate::report::{ProcessReport, ProcessResult, StepReport};
use crate::scan_locks::{ScanLock, ScanLocks};
use etmem_core::heat::HeatMap;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::decider::{AbstractName, Unanswered};
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::probe::AccessProbe;
use etmem_core::kernel::process::{ProcessId, Target};
use etmem_core::kernel::wishes::Wishes;
use etmem_core::scan::{self, Looks, ScanEnd, Schedule, Slice, Wanted};
use std::time::Duration;

/// How long a decider may take for one message and its answer. Etmem 1.x names this time and waits for ever.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What a memdcd task asks for.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) task: String,
    pub(super) target: Target,
    pub(super) schedule: Schedule,
    /// Time between two cycles.
    pub(super) sleep: Duration,
    /// Where the decider listens.
    pub(super) socket: AbstractName,
    /// Flags that a mapping must have.
    pub(super) vm_flags: Vec<VmFlag>,
    pub(super) wishes: Wishes,
}

/// The work of a memdcd task.
#[derive(Debug)]
pub(super) struct MemdcdRunner {
    pub(super) settings: Settings,
    pub(super) scan_locks: ScanLocks,
}

/// A process that is looked at.
struct Watched<'a> {
    process: ProcessId,
    lock: ScanLock<'a>,
    probe: Box<dyn AccessProbe>,
    looks: Looks<'a>,
    begun: Duration,
    /// Whether touches count only from the beginning on.
    fresh: bool,
}

impl MemdcdRunner {
    /// Looks at `processes`, which share their windows, and reports each to the decider.
    fn together(&self, processes: &[ProcessId], kernel: &Kernel, pacer: &dyn Pacer, report: &mut StepReport) {
        let Schedule { loops, interval } = self.settings.schedule;
        // One after the other in the order of their numbers, as all engines do, so that no two wait for each other.
        let begun: Vec<_> = processes.iter().map(|process| self.begin(*process, kernel, pacer)).collect();
        let mut watched = keep(begun, report);
        // A stop shows in the next look, at each process.
        if watched.iter().any(|one| one.fresh) {
            let _ = pacer.pause(interval);
        }
        for look in 1..=loops {
            watched = keep(watched.into_iter().map(|one| one.look(pacer)).collect(), report);
            if look < loops && !watched.is_empty() {
                let _ = pacer.pause(interval);
            }
        }
        let mut is_silent = false;
        for one in watched {
            let done = self.tell(one, is_silent, kernel, pacer);
            is_silent |= done.text.value::<Sent>().is_some_and(Sent::is_silence);
            report.processes.push(done);
        }
    }

    /// Makes ready to look at `process`.
    fn begin<'a>(
        &'a self,
        process: ProcessId,
        kernel: &'a Kernel,
        pacer: &dyn Pacer,
    ) -> Result<Watched<'a>, Box<ProcessReport>> {
        let lock = self.scan_locks.take(process, &*kernel.processes, pacer);
        let lock = lock.map_err(|end| Box::new(ProcessReport::new(process, result_of(end))))?;
        let lost = |error| Box::new(ProcessReport::new(process, ProcessResult::Lost(error)));
        let begun = lock.armed_since().unwrap_or_else(|| pacer.now());
        let mut probe = kernel.probe.attach(process).map_err(lost)?;
        let flags = &self.settings.vm_flags;
        let wanted = Wanted { is_wanted: scan::is_anonymous, flags, without: &[] };
        let mut looks = Looks::new(process, &*kernel.mappings, wanted);
        let fresh = looks.begin(&mut *probe, lock.is_armed(), Slice::default(), pacer).map_err(lost)?;
        Ok(Watched { process, lock, probe, looks, begun, fresh })
    }

    /// Reports what was seen of a process to the decider, unless that was silent before in this cycle.
    fn tell(
        &self,
        watched: Watched<'_>,
        is_silent: bool,
        kernel: &Kernel,
        pacer: &dyn Pacer,
    ) -> ProcessReport {
        let Watched { process, mut lock, looks, begun, .. } = watched;
        let now = pacer.now();
        lock.leave_armed(now);
        let observed = looks.finish();
        let mut sent = Sent::new(self.settings.socket.clone(), now.saturating_sub(begun));
        sent.scanned = observed.heat.histogram().total();
        sent.ended = match is_silent {
            true => self.count_only(process, &observed.heat, &mut sent),
            false => self.send(process, &observed.heat, kernel, pacer, &mut sent).err(),
        };
        if sent.ended == Some(Unanswered::Stopped) {
            return ProcessReport::new(process, ProcessResult::Stopped);
        }
        sent.report(process)
    }

    fn send(
        &self,
        process: ProcessId,
        heat: &HeatMap,
        kernel: &Kernel,
        pacer: &dyn Pacer,
        sent: &mut Sent,
    ) -> Result<(), Unanswered> {
        let messages = Messages::new(process.pid, heat);
        sent.wanted = messages.left();
        for message in messages {
            kernel.deciders.ask(&self.settings.socket, &message.bytes[..], ANSWER_LIMIT, pacer)?;
            sent.messages += 1;
            sent.memory += message.memory;
        }
        Ok(())
    }

    /// The decider did not answer about another process: one wait a cycle is enough.
    fn count_only(&self, process: ProcessId, heat: &HeatMap, sent: &mut Sent) -> Option<Unanswered> {
        sent.wanted = Messages::new(process.pid, heat).left();
        (sent.wanted > 0)
            .then(|| Unanswered::Late { name: self.settings.socket.clone(), limit: ANSWER_LIMIT })
    }
}

impl Watched<'_> {
    /// Looks once.
    fn look(mut self, pacer: &dyn Pacer) -> Result<Self, Box<ProcessReport>> {
        match self.looks.look(&mut *self.probe, pacer) {
            Ok(()) => Ok(self),
            Err(end) => Err(Box::new(ProcessReport::new(self.process, result_of(end)))),
        }
    }
}

/// What is said of a process whose scan ended early.
fn result_of(end: ScanEnd) -> ProcessResult {
    match end {
        ScanEnd::Stopped => ProcessResult::Stopped,
        ScanEnd::Process(error) => ProcessResult::Lost(error),
        ScanEnd::Left(reason) => ProcessResult::Skipped(reason),
    }
}

/// Those that go on; the others are reported.
fn keep<'a>(all: Vec<Result<Watched<'a>, Box<ProcessReport>>>, report: &mut StepReport) -> Vec<Watched<'a>> {
    let mut watched = Vec::with_capacity(all.len());
    for one in all {
        match one {
            Ok(one) => watched.push(one),
            Err(ended) => report.processes.push(*ended),
        }
    }
    watched
}

impl TaskRunner for MemdcdRunner {
    fn wishes(&self) -> Wishes {
        self.settings.wishes
    }

    fn notes(&self, kernel: &Kernel) -> Vec<String> {
        notes_on_target(&self.settings.task, &self.settings.target, kernel)
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let before = pacer.processor_time();
        let mut report = StepReport::default();
        match kernel.processes.find(&self.settings.target) {
            Ok(found) => {
                self.scan_locks.forget_all_but(&found);
                report.gone = gone(&found, &self.settings.target, kernel);
                for some in found.chunks(MOST_WATCHED) {
                    self.together(some, kernel, pacer, &mut report);
                }
                report.processes.sort_by_key(|one| one.process);
            }
            Err(error) => report.fault = Some(error),
        }
        report.processor_time = pacer.processor_time().saturating_sub(before);
        report
    }

    fn period(&self) -> Duration {
        self.settings.sleep
    }
}

#[cfg(test)]
#[path = "../../tests/unit/memdcd.rs"]
mod tests;
