//! A command from its arguments to its exit status.

use super::drawing;
use super::idle::{self, Idle};
use super::merging;
use super::options::{self, Asked, What};
use super::program::Program;
use super::record::{Records, Without};
use super::recording;
use super::replay;
use super::report::Report;
use super::stage::{Once, Progress, find, print, refused};
use super::survey::Survey;
use super::warm::{self, Warm};
use super::watch::stopped;
use super::whereabouts;
use etmem_core::guard::Guards;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::pressure::Share;
use etmem_core::kernel::process::{ProcessId, Target};
use etmem_engine::{Reason, ReasonName};
use std::collections::HashMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

/// Most pressure under which pages leave, as of a task (`max_pressure`).
const MOST_PRESSURE: Share = Share::of_percent(20);

/// Does what `arguments` ask for; the status to exit with.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    match arguments.get(1).and_then(|first| first.to_str()) {
        Some("--report") => return drawing::run(arguments),
        Some("--replay") => return replay::run(arguments),
        Some("--where") => return whereabouts::run(arguments),
        Some(merging::OPTION) => return merging::run(arguments),
        _ => {}
    }
    let asked = match options::parse(arguments) {
        Ok(asked) => asked,
        Err(error) => return options::refuse(&error),
    };
    let command = match &asked.what {
        What::Idle { .. } => "idle",
        What::Warm => "warm",
        What::Survey { .. } => "survey",
        What::Record { file, looking } => return recording::run(&asked, file, *looking),
    };
    let mut report = Report::new(command, asked.target.to_string());
    if let Err(reason) =
        Once::new(&asked.roots, &asked.target).and_then(|once| once.work(&asked, &mut report))
    {
        report.refuse(reason);
    }
    let text = if asked.json { report.json() } else { report.to_string() };
    print(&text, report.status())
}

impl Once {
    fn work(&self, asked: &Asked, report: &mut Report) -> Result<(), Reason> {
        let processes = find(&*self.kernel.processes, &asked.target)?;
        let records = Records::new(&self.folder);
        records.tidy(&*self.kernel.processes);
        match asked.what {
            // It has a report of its own.
            What::Record { .. } => Ok(()),
            What::Idle { keep, swap_use } => self.page_out(processes, keep, swap_use, &records, report),
            What::Warm => {
                self.bring_back(processes, &records, report);
                Ok(())
            }
            What::Survey { length, sample } => self.survey(&processes, length, sample, report),
        }
    }

    fn survey(
        &self,
        processes: &[ProcessId],
        length: Duration,
        sample: bool,
        report: &mut Report,
    ) -> Result<(), Reason> {
        let (pacer, progress, claims) = (&*self.pacer, Progress::new(), self.claims()?);
        let readers = &self.readers;
        let survey = Survey {
            kernel: &self.kernel,
            claims: &claims,
            readers,
            pacer,
            progress: &progress,
            length,
            sample,
        };
        // Some have ended at the end.
        let names: HashMap<ProcessId, String> =
            processes.iter().map(|process| (*process, self.name(*process))).collect();
        let name = |process: ProcessId| names.get(&process).cloned().unwrap_or_default();
        let (begun, used) = (pacer.now(), pacer.processor_time());
        let (found, pace) = survey.look(processes);
        report.watched(pacer.now().saturating_sub(begun));
        report.took(pacer.processor_time().saturating_sub(used));
        let (mut programs, unknown) = Program::all(found, name);
        for program in &mut programs {
            program.has_namesakes = self.has_namesakes(program);
        }
        for (process, reason) in unknown {
            report.paged_out(process, name(process), idle::Done::not(reason));
        }
        report.surveyed(programs, pace == Pace::Stop);
        Ok(())
    }

    /// Whether a task by the name of `program` would find others.
    fn has_namesakes(&self, program: &Program) -> bool {
        let named = self.kernel.processes.find(&Target::Comm(program.name.as_str().into()));
        let other =
            |process: &ProcessId| !program.processes.contains(process) && self.name(*process) == program.name;
        named.map_or(true, |all| all.iter().any(other))
    }

    fn page_out(
        &self,
        processes: Vec<ProcessId>,
        keep: Duration,
        swap_use_percent: u8,
        records: &Records,
        report: &mut Report,
    ) -> Result<(), Reason> {
        let claims = self.claims()?;
        let (pacer, progress) = (&*self.pacer, Progress::new());
        let guards = Guards { swap_use_percent, pressure: Some(MOST_PRESSURE) };
        let idle = Idle { kernel: &self.kernel, claims: &claims, pacer, progress: &progress, keep, guards };
        let begun = pacer.now();
        let watched: Vec<_> = processes.into_iter().map(|process| (process, idle.watch(process))).collect();
        let count = watched.iter().filter(|(_, watched)| watched.is_ok()).count();
        let line =
            |left: Duration| format!("watching what {count} of them touch: {} s left", left.as_secs() + 1);
        let pace = if count == 0 { Pace::Continue } else { progress.wait(keep, pacer, line) };
        let start = pacer.now();
        report.watched(start.saturating_sub(begun));
        for (process, watched) in watched {
            let mut done = match watched {
                Ok(_) if pace == Pace::Stop => idle::Done::not(stopped()),
                Ok(watched) => idle.page_out(watched),
                Err(reason) => idle::Done::not(reason),
            };
            if !done.ranges.is_empty()
                && let Err(error) = records.add(process, &done.ranges)
            {
                let text = format!(
                    "what went out could not be recorded ({error}): etmem warm brings back all that is in swap"
                );
                done.reasons.push(refused(text));
            }
            report.paged_out(process, self.name(process), done);
        }
        report.took(pacer.now().saturating_sub(start));
        Ok(())
    }

    fn bring_back(&self, processes: Vec<ProcessId>, records: &Records, report: &mut Report) {
        let (pacer, progress) = (&*self.pacer, Progress::new());
        let threads = available_parallelism().map_or(1, |count| count.get().min(2));
        let warm = Warm { kernel: &self.kernel, readers: &self.readers, pacer, progress: &progress, threads };
        let start = pacer.now();
        for (process, record) in warm::in_order(processes, records) {
            let note = match &record {
                Err(Without::OfAnother) => {
                    let text = "the record was of another process that had this pid, and is removed";
                    Some(Reason::new(ReasonName::PidReused, text))
                }
                Err(Without::Unreadable(why)) => Some(refused(format!("the record cannot be used: {why}"))),
                Ok(_) | Err(Without::None) => None,
            };
            let mut done = warm.bring_back(process, record);
            if done.by_record && done.reasons.is_empty() {
                records.forget(process.pid);
            }
            done.reasons.extend(note);
            report.brought_back(process, self.name(process), done);
        }
        report.took(pacer.now().saturating_sub(start));
    }
}
