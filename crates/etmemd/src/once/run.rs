//! A command from its arguments to its exit status.

use super::idle::{self, Idle, stopped};
use super::options::{self, Asked, What};
use super::program::Program;
use super::record::{Records, Without};
use super::report::Report;
use super::stage::{self, Progress};
use super::survey::Survey;
use super::warm::{self, Warm};
use crate::cleanup_records;
use crate::scan_claims::CommandClaims;
use etmem_core::guard::Guards;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::pressure::Share;
use etmem_core::kernel::process::{ProcessId, ProcessTable, Target};
use etmem_core::kernel::wishes::{Tracker, Wishes};
use etmem_engine::{Reason, ReasonName};
use etmem_linux::choice::Interfaces;
use etmem_linux::pacer::SystemPacer;
use etmem_linux::reader::MachineReaders;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

/// Most pressure under which pages leave, as of a task (`max_pressure`).
const MOST_PRESSURE: Share = Share::of_percent(20);

/// Does what `arguments` ask for; the status to exit with.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let asked = match options::parse(arguments) {
        Ok(asked) => asked,
        Err(error) => {
            eprint!("{error}");
            return ExitCode::from(2);
        }
    };
    let command = match asked.what {
        What::Idle { .. } => "idle",
        What::Warm => "warm",
        What::Survey { .. } => "survey",
    };
    let mut report = Report::new(command, asked.target.to_string());
    if let Err(reason) = Once::new(&asked).and_then(|once| once.work(&asked, &mut report)) {
        report.refuse(reason);
    }
    let text = if asked.json { report.json() } else { report.to_string() };
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that closes its end, such as head(1), has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("etmemd: cannot print what was done: {error}");
            ExitCode::from(3)
        }
        Ok(()) | Err(_) => ExitCode::from(report.status()),
    }
}

/// What a command works with.
struct Once {
    kernel: Kernel,
    pacer: Arc<SystemPacer>,
    readers: MachineReaders,
    folder: PathBuf,
}

fn refused(text: impl ToString) -> Reason {
    Reason::new(ReasonName::KernelRefused, text.to_string())
}

impl Once {
    fn new(asked: &Asked) -> Result<Self, Reason> {
        if !nix::unistd::geteuid().is_root() {
            return Err(refused("it reads and moves the memory of other programs: run it as root"));
        }
        let pacer =
            stage::clock().map_err(|error| refused(format!("signals cannot be received: {error}")))?;
        let interfaces = Interfaces::new(asked.roots.clone());
        let guest = !interfaces.guests(&asked.target).is_empty();
        // What DAMON sets in the kernel has to be recorded, and it does not tell pages apart.
        let trackers = [Tracker::Etmem, Tracker::Bpf, Tracker::Idle];
        let mut chosen = Err("there is no way to see which pages are in use".to_owned());
        for tracker in trackers {
            match interfaces.kernel(&Wishes { tracker, guest, ..Wishes::default() }) {
                Ok(found) => {
                    chosen = Ok(found.kernel);
                    break;
                }
                Err(why_not) => chosen = Err(why_not.to_string()),
            }
        }
        let kernel = chosen.map_err(|why_not| refused(format!("{why_not}; see etmem doctor")))?;
        let readers = MachineReaders(asked.roots.proc.clone());
        Ok(Self { kernel, pacer, readers, folder: cleanup_records::folder() })
    }

    fn work(&self, asked: &Asked, report: &mut Report) -> Result<(), Reason> {
        let processes = find(&*self.kernel.processes, &asked.target)?;
        let records = Records::new(&self.folder);
        records.tidy(&*self.kernel.processes);
        match asked.what {
            What::Idle { keep, swap_use } => self.page_out(processes, keep, swap_use, &records, report),
            What::Warm => {
                self.bring_back(processes, &records, report);
                Ok(())
            }
            What::Survey { length, sample } => self.survey(&processes, length, sample, report),
        }
    }

    fn name(&self, process: ProcessId) -> String {
        self.kernel.processes.name(process).unwrap_or_default()
    }

    fn claims(&self) -> Result<CommandClaims, Reason> {
        CommandClaims::open(&self.folder)
            .map_err(|error| refused(format!("{}: {error}", self.folder.display())))
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
        let (programs, unknown) = Program::all(found, name);
        for (process, reason) in unknown {
            report.paged_out(process, name(process), idle::Done::not(reason));
        }
        report.surveyed(programs, pace == Pace::Stop);
        Ok(())
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

/// The processes of `target`.
fn find(table: &dyn ProcessTable, target: &Target) -> Result<Vec<ProcessId>, Reason> {
    if let Target::Pid(pid) = target {
        table.check(*pid).map_err(|error| Reason::new(ReasonName::NoProcess, error.to_string()))?;
    }
    let found = table.find(target).map_err(|error| Reason::from(&error))?;
    if found.is_empty() {
        let alike = table.alike(target);
        let also = if alike.is_empty() { String::new() } else { format!("; {}", alike.join("; ")) };
        return Err(Reason::new(ReasonName::NoProcess, format!("there is no {target}{also}")));
    }
    Ok(found)
}
