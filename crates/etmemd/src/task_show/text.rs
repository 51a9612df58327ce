//! Tasks as text for people.

use super::{ShownRunning, ShownWork};
use crate::rest::{ShownTrigger, WokenBy};
use crate::worker::{Doing, Standing};
use etmem_core::forecast::Told;
use etmem_core::kernel::process::ProcessId;
use etmem_engine::figures::{FOUND, MOVED, REFAULTED, SCANNED, Shown, Unit};
use etmem_engine::forecast::InWords;
use etmem_engine::{Cycle, DeviceReport, GroupReport, ProcessReport, ProcessResult, SoFar, StepReport};
use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

/// Lines about processes that the text has of each task: a person reads no more, and the answer may be asked for every
/// second.
pub(super) const LINES_SHOWN: usize = 20;

impl ShownWork {
    pub(super) fn text(&self) -> String {
        let Self { project, engine, task, target, .. } = self;
        let dry_run = if self.dry_run { ", dry run" } else { "" };
        let mut text = format!("task: {task} (project {project}, engine {engine}{dry_run})\n");
        let mut line = |name: &str, value: String| {
            // A String takes whatever is written to it.
            let _ = writeln!(text, "  {name:<9} {value}");
        };
        let found = self.worked().and_then(ShownRunning::last).map(|cycle| cycle.report.found());
        line("target", found.map_or_else(|| target.to_string(), |found| format!("{target}; {found} found")));
        line("state", self.state_text());
        if let Some(ShownRunning { probe, mover, .. }) = self.worked() {
            line("sees by", probe.to_string());
            line("moves by", mover.to_string());
        }
        if let Some(running) = self.worked() {
            triggers(&running.standing, &mut line);
        }
        if let Some(SoFar { found, looked_at, scanned_bytes }) =
            self.worked().and_then(|running| running.standing.so_far)
        {
            let bytes = size(scanned_bytes);
            line("so far", format!("{looked_at} of {found} processes looked at, {bytes} in memory"));
        }
        if let Some(reason) = self.reason() {
            line("why", reason.text);
        }
        if let Some(running) = self.worked()
            && let Some(cycle) = running.last()
        {
            if let Some(held_back) = held_back(cycle) {
                let _ = writeln!(text, "  {:<9} {held_back}", "feedback");
            }
            if let Some(told) = forecast(cycle) {
                let _ = writeln!(text, "  {:<9} {}", "forecast", InWords(told));
            }
            text.push_str(&table(cycle, &running.standing));
            text.push_str(&devices(&cycle.report));
            text.push_str(&groups(&cycle.report));
            text.push_str(&processes(&cycle.report.processes));
        }
        text
    }

    fn state_text(&self) -> String {
        match self.worked() {
            None => self.state().to_owned(),
            Some(ShownRunning { standing, .. }) => format!(
                "{} for {}, cycle {}, started {} ago",
                self.state(),
                time(standing.lasting),
                standing.status.cycles + u64::from(standing.doing == Doing::Working),
                time(standing.running)
            ),
        }
    }
}

/// Lines about triggers: what began the last cycle, and each that cannot be watched.
fn triggers(standing: &Standing, line: &mut impl FnMut(&str, String)) {
    if let Some(WokenBy { cause, trigger, evidence }) = &standing.woken_by {
        let evidence = evidence.as_ref().map(|evidence| format!(" ({evidence})")).unwrap_or_default();
        let trigger = trigger.as_ref().map(|trigger| format!(" {trigger}{evidence}")).unwrap_or_default();
        line("woken by", format!("{cause}{trigger}"));
    }
    for ShownTrigger { trigger, fault } in &standing.triggers {
        let fault = fault.as_ref().map(|fault| format!(" cannot be watched: {fault}")).unwrap_or_default();
        line("trigger", format!("{trigger}{fault}"));
    }
}

/// The figures of the last cycle beside those of all cycles.
fn table(cycle: &Cycle, standing: &Standing) -> String {
    let mut text = format!("\n  {:<22} {:>12} {:>12}\n", "", "last cycle", "in all");
    let totals = &standing.status.totals;
    let mut rows = totals.clone();
    rows.add_all(&cycle.figures);
    for (row, _) in rows.amounts() {
        let amounts = [cycle.figures.get(row), totals.get(row)];
        if row.shown == Shown::Always || amounts.into_iter().flatten().any(|amount| amount > 0) {
            let [last, all] =
                amounts.map(|amount| amount.map(|amount| shown(row.unit, amount)).unwrap_or_default());
            let line = format!("  {:<22} {last:>12} {all:>12}", row.label);
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

fn shown(unit: Unit, amount: u64) -> String {
    match unit {
        Unit::Bytes => size(amount),
        Unit::Count => amount.to_string(),
        Unit::Time => time(Duration::from_nanos(amount)),
    }
}

/// What became of each device, and why not more.
fn devices(report: &StepReport) -> String {
    let mut text = String::new();
    for DeviceReport { device, text: said, reason, .. } in report.devices.iter().flatten() {
        if text.is_empty() {
            text.push_str("\n  device\n");
        }
        let _ = writeln!(text, "  {device:<9} {said}");
        if let Some(reason) = reason {
            let _ = writeln!(text, "  {:<9} {}", "", reason.text);
        }
    }
    text
}

/// What became of each process, and why not more: those of which the same is to be said share a line.
/// The control groups of a task that names some, a line each: as a whole, or what its processes are together.
fn groups(report: &StepReport) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    for GroupReport { group, text, reason, .. } in report.groups.iter().flatten() {
        let said = text.to_string();
        let reason = reason.as_ref().filter(|reason| !said.contains(&reason.text));
        let reason = reason.map(|reason| format!("\n  {:<9} {}", "", reason.text)).unwrap_or_default();
        lines.push((group.to_string(), said + &reason));
    }
    for (group, figures) in report.by_group() {
        let amount = |row| figures.get(row).unwrap_or(0);
        let mut line = format!("{} processes", amount(&FOUND));
        for row in [&SCANNED, &MOVED, &REFAULTED] {
            line += &format!(", {} {}", row.label, size(amount(row)));
        }
        lines.push((group.to_owned(), line));
    }
    let mut text = String::new();
    if !lines.is_empty() {
        text.push_str("\n  group\n");
    }
    for (group, line) in lines.iter().take(LINES_SHOWN) {
        let _ = writeln!(text, "  {group:<9} {line}");
    }
    if let Some(left) = lines.len().checked_sub(LINES_SHOWN).filter(|left| *left > 0) {
        let _ = writeln!(text, "  and {left} more, which --json shows");
    }
    text
}

fn processes(reports: &[ProcessReport]) -> String {
    let mut lines: Vec<(ProcessId, String, usize)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for ProcessReport { process, result, text, reason, .. } in reports {
        let line = match (result, reason) {
            (ProcessResult::WorkedOn(_), Some(reason)) => format!("{text}\n  {:<9} {}", "", reason.text),
            (_, _) => text.to_string(),
        };
        let place = *places.entry(line.clone()).or_insert(lines.len());
        match lines.get_mut(place) {
            Some((_, _, others)) => *others += 1,
            None => lines.push((*process, line, 0)),
        }
    }
    let mut text = String::new();
    if !lines.is_empty() {
        text.push_str("\n  process\n");
    }
    for (process, line, others) in lines.iter().take(LINES_SHOWN) {
        let others = if *others > 0 { format!(" (and {others} more alike)") } else { String::new() };
        let _ = writeln!(text, "  {process:<9} {line}{others}");
    }
    let left: usize = lines.iter().skip(LINES_SHOWN).map(|(_, _, others)| 1 + others).sum();
    if left > 0 {
        let _ = writeln!(text, "  and {left} more, which --json shows");
    }
    text
}

/// How the task is held back: the same for all its processes, so that of the first is shown.
fn held_back(cycle: &Cycle) -> Option<String> {
    let feedback = cycle.report.processes.iter().find_map(|process| process.feedback.as_ref())?;
    let rate = feedback.bytes_per_second.map(|rate| format!("; at most {}/s leave", size(rate)));
    let refaults = feedback.refaults_per_minute;
    let waited = feedback.stall.map(|stall| {
        let most = feedback.max_stall.map(|most| format!(" of at most {}", most.as_secs_f64() * 1e3));
        format!(", {:.1}{} ms of waiting", stall.as_secs_f64() * 1e3, most.unwrap_or_default())
    });
    let [waited, rate] = [waited, rate].map(Option::unwrap_or_default);
    Some(format!("{}; {refaults} a minute came back{waited}{rate}", feedback.back_off))
}

/// The forecast of the task: the last of its processes knows most.
fn forecast(cycle: &Cycle) -> Option<&Told> {
    let feedback = cycle.report.processes.iter().rev().find_map(|process| process.feedback.as_ref())?;
    feedback.forecast.as_ref()
}

pub(super) fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else if time < Duration::from_secs(100) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} s", time.as_secs())
    }
}

pub(crate) fn size(bytes: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match bytes {
        0 => "0".to_owned(),
        1..0x10_0000 => format!("{} KiB", bytes.div_ceil(1024)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / MIB),
        _ => format!("{:.2} GiB", bytes as f64 / MIB / 1024.0),
    }
}
