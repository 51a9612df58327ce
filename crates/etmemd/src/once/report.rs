//! What became of the processes of a target, or what is known of them, as text and as JSON (`docs/json.md`).

use super::program::{self, Program};
use super::{idle, warm};
use crate::task_show::text::size;
use etmem_core::kernel::process::ProcessId;
use etmem_engine::{Reason, ReasonName};
use serde::Serialize;
use std::fmt::{self, Write};
use std::time::Duration;

/// A command and all that became of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    command: &'static str,
    /// What the target was called.
    target: String,
    #[serde(serialize_with = "seconds")]
    watched_seconds: Duration,
    #[serde(serialize_with = "seconds")]
    seconds: Duration,
    /// What left, or came back.
    moved_bytes: u64,
    processes: Vec<Shown>,
    /// Of a survey.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    programs: Vec<program::Shown>,
    #[serde(skip)]
    surveyed: Vec<Program>,
    /// A survey was ended early.
    #[serde(skip)]
    ended_early: bool,
    /// Why no process was worked on.
    reason: Option<Reason>,
    /// How many of the processes were left alone from the beginning.
    #[serde(skip)]
    refused: usize,
}

/// What became of one process.
#[derive(Debug, Serialize)]
struct Shown {
    pid: u32,
    name: String,
    moved_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swapped_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_record: Option<bool>,
    #[serde(serialize_with = "seconds")]
    seconds: Duration,
    reasons: Vec<Reason>,
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

impl Report {
    pub(super) const fn new(command: &'static str, target: String) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            command,
            target,
            watched_seconds: Duration::ZERO,
            seconds: Duration::ZERO,
            moved_bytes: 0,
            processes: Vec::new(),
            programs: Vec::new(),
            surveyed: Vec::new(),
            ended_early: false,
            reason: None,
            refused: 0,
        }
    }

    /// No process was worked on.
    pub(super) fn refuse(&mut self, reason: Reason) {
        self.reason = Some(reason);
    }

    /// How long its processes were watched.
    pub(super) const fn watched(&mut self, duration: Duration) {
        self.watched_seconds = duration;
    }

    /// How long all but the watching took.
    pub(super) const fn took(&mut self, duration: Duration) {
        self.seconds = duration;
    }

    pub(super) fn paged_out(&mut self, process: ProcessId, name: String, done: idle::Done) {
        self.moved_bytes += done.moved;
        self.refused += usize::from(done.refused);
        self.processes.push(Shown {
            pid: process.pid.get(),
            name,
            moved_bytes: done.moved,
            kept_bytes: Some(done.kept),
            resident_bytes: Some(done.after.resident),
            swapped_bytes: Some(done.after.swapped),
            by_record: None,
            seconds: done.took,
            reasons: done.reasons,
        });
    }

    pub(super) fn brought_back(&mut self, process: ProcessId, name: String, done: warm::Done) {
        self.moved_bytes += done.back;
        self.processes.push(Shown {
            pid: process.pid.get(),
            name,
            moved_bytes: done.back,
            kept_bytes: None,
            resident_bytes: None,
            swapped_bytes: Some(done.wanted.saturating_sub(done.back)),
            by_record: Some(done.by_record),
            seconds: done.took,
            reasons: done.reasons,
        });
    }

    pub(super) fn surveyed(&mut self, programs: Vec<Program>, ended_early: bool) {
        self.programs = programs.iter().map(program::Shown::from).collect();
        (self.surveyed, self.ended_early) = (programs, ended_early);
    }

    /// The status to exit with: 2 if nothing was done, 1 if not all.
    pub(super) fn status(&self) -> u8 {
        // What stays as it is used, locked or shared is not a failure.
        let is_fine = |reason: &Reason| {
            matches!(
                reason.name,
                ReasonName::Locked | ReasonName::Stayed | ReasonName::Refused | ReasonName::Vanished
            )
        };
        if self.reason.is_some() || (self.refused > 0 && self.refused == self.processes.len()) {
            2
        } else if self.command == "survey" {
            // Of many processes some end meanwhile.
            if self.surveyed.is_empty() { 2 } else { u8::from(self.ended_early) }
        } else {
            u8::from(!self.processes.iter().flat_map(|process| &process.reasons).all(is_fine))
        }
    }

    pub(super) fn json(&self) -> String {
        // Texts and numbers, so it is always JSON.
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{value:#}\n")
    }
}

/// `bytes` in `duration`, and how much that is a second.
fn with_rate(bytes: u64, duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let mut text = format!("{} in {seconds:.2} s", size(bytes));
    if bytes > 0 && seconds > 0.0 {
        let rate = bytes as f64 / seconds / f64::from(1 << 20);
        // To a String, which takes all.
        let _ = write!(text, " ({rate:.0} MiB/s)");
    }
    text
}

impl Report {
    fn fmt_survey(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.processes {
            for reason in &one.reasons {
                writeln!(f, "process {} ({}): {}: {}", one.pid, one.name, reason.name, reason.text)?;
            }
        }
        for program in &self.surveyed {
            writeln!(f, "{program}")?;
        }
        if self.ended_early {
            f.write_str("ended early: this is what was known by then\n\n")?;
        }
        let (watched, used) = (self.watched_seconds.as_secs_f64(), self.seconds.as_secs_f64());
        let percent = if watched > 0.0 { used * 100.0 / watched } else { 0.0 };
        writeln!(f, "the survey took {percent:.1} % of a processor for {watched:.0} s")?;
        let configurations = self.surveyed.iter().filter_map(Program::configuration);
        for (number, configuration) in configurations.enumerate() {
            if number == 0 {
                f.write_str("\n# What does it (a file each, mode 0600: etmem obj add -f FILE; etmem project start -n PROJECT):\n")?;
            }
            write!(f, "\n{configuration}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.reason {
            return writeln!(f, "nothing was done: {}", reason.text);
        }
        if self.command == "survey" {
            return self.fmt_survey(f);
        }
        let idle = self.command == "idle";
        let (did, sum) = if idle { ("out", "paged out") } else { ("back", "brought back") };
        for one in &self.processes {
            write!(
                f,
                "process {} ({}): {did} {}",
                one.pid,
                one.name,
                with_rate(one.moved_bytes, one.seconds)
            )?;
            if let Some(kept) = one.kept_bytes {
                write!(f, ", {} stay as they were touched", size(kept))?;
            }
            if let Some(resident) = one.resident_bytes {
                write!(f, ", {} resident now", size(resident))?;
            }
            if one.by_record == Some(false) {
                f.write_str(", without a record: all that was in swap")?;
            }
            f.write_str("\n")?;
            for reason in &one.reasons {
                writeln!(f, "  {}: {}", reason.name, reason.text)?;
            }
        }
        let (count, plural) = (self.processes.len(), if self.processes.len() == 1 { "" } else { "es" });
        write!(f, "{sum}: {} of {count} process{plural}", with_rate(self.moved_bytes, self.seconds))?;
        if idle {
            write!(f, ", after {} s of watching", self.watched_seconds.as_secs())?;
        }
        f.write_str("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::{Pid, ProcessMemory};

    const MIB: u64 = 1 << 20;

    fn process() -> ProcessId {
        ProcessId { pid: Pid::new(7).unwrap(), start_time: 1 }
    }

    fn paged_out(reasons: Vec<Reason>) -> Report {
        let mut report = Report::new("idle", "process 7".to_owned());
        report.watched(Duration::from_secs(30));
        report.took(Duration::from_secs(2));
        let after = ProcessMemory { resident: 101 * MIB, swapped: 900 * MIB, ..ProcessMemory::default() };
        let took = Duration::from_millis(1500);
        let done =
            idle::Done { moved: 900 * MIB, kept: 100 * MIB, after, took, reasons, ..idle::Done::default() };
        report.paged_out(process(), "redis".to_owned(), done);
        report
    }

    #[test]
    fn how_long_and_how_much() {
        let report = paged_out(Vec::new());
        assert_eq!(
            report.to_string(),
            "process 7 (redis): out 900.0 MiB in 1.50 s (600 MiB/s), 100.0 MiB stay as they were touched, 101.0 MiB resident now\n\
             paged out: 900.0 MiB in 2.00 s (450 MiB/s) of 1 process, after 30 s of watching\n"
        );
        assert_eq!(report.status(), 0);
        let value: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(value["moved_bytes"], 900 * MIB);
        assert_eq!(value["watched_seconds"], 30.0);
        let one = &value["processes"][0];
        assert_eq!(
            (&one["pid"], &one["seconds"], &one["kept_bytes"]),
            (&7.into(), &1.5.into(), &(100 * MIB).into())
        );
        assert!(value["reason"].is_null() && one.get("by_record").is_none());
    }

    #[test]
    fn why_not_more_decides_the_status() {
        for (name, status) in [(ReasonName::Locked, 0), (ReasonName::NoRoom, 1), (ReasonName::Stopped, 1)] {
            let report = paged_out(vec![Reason::new(name, "why")]);
            assert_eq!(report.status(), status, "{name}");
            assert!(report.to_string().contains(&format!("\n  {name}: why\n")), "{report}");
        }
        let mut report = Report::new("idle", "process 7".to_owned());
        let refused = || idle::Done::not(Reason::new(ReasonName::NoSwap, "why"));
        report.paged_out(process(), "redis".to_owned(), refused());
        assert_eq!(report.status(), 2, "it was not even begun");
        report.paged_out(process(), "redis".to_owned(), idle::Done::default());
        assert_eq!(report.status(), 1);
        let mut report = Report::new("warm", "process 7".to_owned());
        report.refuse(Reason::new(ReasonName::NoProcess, "there is no process 7"));
        assert_eq!(
            (report.status(), report.to_string()),
            (2, "nothing was done: there is no process 7\n".to_owned())
        );
    }

    #[test]
    fn what_came_back_without_a_record_says_so() {
        let mut report = Report::new("warm", "process 7".to_owned());
        let done = warm::Done { wanted: 8 * MIB, back: 6 * MIB, ..warm::Done::default() };
        report.brought_back(process(), "redis".to_owned(), done);
        assert!(report.to_string().starts_with(
            "process 7 (redis): back 6.0 MiB in 0.00 s, without a record: all that was in swap\n"
        ));
        let value: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        let one = &value["processes"][0];
        assert_eq!((&one["by_record"], &one["swapped_bytes"]), (&false.into(), &(2 * MIB).into()));
    }
}
