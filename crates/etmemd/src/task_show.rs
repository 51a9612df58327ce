//! The answer to `task show`: how tasks stand, as text for people or as JSON, an object and a line for each.
//!
//! The fields of the JSON are told in `docs/json.md`. Figures come from [`Tally::figures`], which both forms show as it
//! lists them.

#[cfg(test)]
mod tests;

use crate::worker::{Doing, Standing};
use etmem_core::kernel::process::{ProcessId, Target};
use etmem_core::kernel::wishes::Choice;
use etmem_core::name::Name;
use etmem_engine::{
    Amount, Cycle, Feedback, Figure, ProcessReport, ProcessResult, Reason, ReasonName, Tally,
};
use etmem_wire::TaskForm;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

/// Lines about processes that the text has of each task: a person reads no more, and the answer may be asked for every
/// second.
const LINES_SHOWN: usize = 20;

/// A task, to be shown.
#[derive(Debug)]
pub(crate) struct ShownWork {
    /// Its project.
    pub(crate) project: Name,
    /// Its engine.
    pub(crate) engine: Name,
    /// Its name.
    pub(crate) task: Name,
    /// Whose memory it works on.
    pub(crate) target: Target,
    /// Whether it was told to move nothing.
    pub(crate) dry_run: bool,
    /// How it stands, if it was started.
    pub(crate) running: Option<ShownRun>,
}

/// Who works for a task that runs.
#[derive(Debug)]
pub(crate) enum ShownRun {
    /// A worker here.
    Worked(Box<ShownRunning>),
    /// Its engine, a plugin, which tells nothing of it.
    Hosted,
}

/// A task that runs, to be shown.
#[derive(Debug)]
pub(crate) struct ShownRunning {
    /// How it sees, and why so.
    pub(crate) probe: Choice,
    /// How it moves, and why so.
    pub(crate) mover: Choice,
    /// What it has done.
    pub(crate) standing: Standing,
}

/// Figures that the text shows even where they are zero; of the others, most never occur.
const ALWAYS_SHOWN: usize = 7;

/// The answer about `tasks` of `project`.
pub(crate) fn task_show(project: &Name, tasks: &[ShownWork], form: TaskForm) -> String {
    match form {
        TaskForm::Json => tasks.iter().map(|task| format!("{}\n", task.json())).collect(),
        TaskForm::Text if tasks.is_empty() => format!("task: project {project} has none\n"),
        TaskForm::Text => tasks.iter().map(ShownWork::text).collect::<Vec<_>>().join("\n"),
    }
}

impl ShownWork {
    /// What it does, in a word.
    fn state(&self) -> &'static str {
        let running = match &self.running {
            None => return "stopped",
            Some(ShownRun::Hosted) => return "hosted",
            Some(ShownRun::Worked(running)) => running,
        };
        let report = running.last().map(|cycle| &cycle.report);
        match running.standing.doing {
            Doing::Failed => "failed",
            Doing::Working => "working",
            Doing::Resting if report.is_some_and(|report| report.gone.is_some()) => "gone",
            Doing::Resting if report.is_some_and(|report| report.processes.is_empty()) => "waiting",
            Doing::Resting => "resting",
        }
    }

    /// Why nothing can be told of processes, where that is so.
    fn reason(&self) -> Option<Reason> {
        let running = match &self.running {
            None => {
                let text = format!("not started: etmem project start -n {}", self.project);
                return Some(Reason::new(ReasonName::NotStarted, text));
            }
            Some(ShownRun::Hosted) => {
                let text = "its engine is a plugin, which tells nothing of its work here";
                return Some(Reason::new(ReasonName::Hosted, text));
            }
            Some(ShownRun::Worked(running)) => running,
        };
        if running.standing.doing == Doing::Failed {
            let text = "the task has ended by a fault of etmemd, told in its log; stop the project and start it again";
            return Some(Reason::new(ReasonName::Failed, text));
        }
        match running.last() {
            Some(cycle) => cycle.reason(&self.target.to_string()),
            None => Some(Reason::new(ReasonName::FirstCycle, "the first cycle is not over yet")),
        }
    }

    /// How it stands, where a worker works for it.
    fn worked(&self) -> Option<&ShownRunning> {
        match &self.running {
            Some(ShownRun::Worked(running)) => Some(running),
            Some(ShownRun::Hosted) | None => None,
        }
    }

    fn json(&self) -> Value {
        let (kind, value) = self.target.written();
        let mut object = json!({
            "project": self.project.as_str(),
            "engine": self.engine.as_str(),
            "task": self.task.as_str(),
            "target": { "type": kind, "value": value },
            "state": self.state(),
            "dry_run": self.dry_run,
            "reason": reason_json(self.reason()),
        });
        if let Some(running) = self.worked() {
            let Standing { status, doing: _, lasting, running: since_start } = &running.standing;
            object["tracker"] = choice_json(&running.probe);
            object["mover"] = choice_json(&running.mover);
            object["state_seconds"] = seconds(*lasting);
            object["running_seconds"] = seconds(*since_start);
            object["cycles"] = json!(status.cycles);
            object["last_cycle"] = status.last.as_ref().map_or(Value::Null, cycle_json);
            object["total"] = tally_json(&status.totals).into();
        }
        object
    }

    fn text(&self) -> String {
        let Self { project, engine, task, target, .. } = self;
        let dry_run = if self.dry_run { ", dry run" } else { "" };
        let mut text = format!("task: {task} (project {project}, engine {engine}{dry_run})\n");
        let mut line = |name: &str, value: String| {
            // A String takes whatever is written to it.
            let _ = writeln!(text, "  {name:<9} {value}");
        };
        let found = self.worked().and_then(ShownRunning::last).map(|cycle| cycle.report.processes.len());
        line("target", found.map_or_else(|| target.to_string(), |found| format!("{target}; {found} found")));
        line("state", self.state_text());
        if let Some(ShownRunning { probe, mover, .. }) = self.worked() {
            line("sees by", probe.to_string());
            line("moves by", mover.to_string());
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
            text.push_str(&table(cycle, &running.standing));
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

impl ShownRunning {
    fn last(&self) -> Option<&Cycle> {
        self.standing.status.last.as_ref()
    }
}

/// The figures of the last cycle beside those of all cycles.
fn table(cycle: &Cycle, standing: &Standing) -> String {
    let mut text = format!("\n  {:<22} {:>12} {:>12}\n", "", "last cycle", "in all");
    let mut row = |label: &str, last: String, all: String| {
        let line = format!("  {label:<22} {last:>12} {all:>12}");
        text.push_str(line.trim_end());
        text.push('\n');
    };
    let shown = |figure: &Figure| match figure.amount {
        Amount::Bytes(bytes) => size(bytes),
        Amount::Count(count) => count.to_string(),
        Amount::Time(duration) => time(duration),
    };
    for (number, (last, all)) in
        cycle.tally.figures().iter().zip(&standing.status.totals.figures()).enumerate()
    {
        if number < ALWAYS_SHOWN || !all.amount.is_zero() {
            row(last.label, shown(last), shown(all));
        }
    }
    row("took", time(cycle.took), String::new());
    row("touches seen over", time(cycle.window()), String::new());
    text
}

/// What became of each process, and why not more: those of which the same is to be told share a line.
fn processes(reports: &[ProcessReport]) -> String {
    let mut told: Vec<(ProcessId, String, usize)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for ProcessReport { process, result } in reports {
        let line = match (result, result.reason()) {
            (ProcessResult::Scanned(_), Some(reason)) => format!("{result}\n  {:<9} {}", "", reason.text),
            (_, _) => result.to_string(),
        };
        let place = *places.entry(line.clone()).or_insert(told.len());
        match told.get_mut(place) {
            Some((_, _, others)) => *others += 1,
            None => told.push((*process, line, 0)),
        }
    }
    let mut text = String::new();
    if !told.is_empty() {
        text.push_str("\n  process\n");
    }
    for (process, line, others) in told.iter().take(LINES_SHOWN) {
        let others = if *others > 0 { format!(" (and {others} more alike)") } else { String::new() };
        let _ = writeln!(text, "  {process:<9} {line}{others}");
    }
    let left: usize = told.iter().skip(LINES_SHOWN).map(|(_, _, others)| 1 + others).sum();
    if left > 0 {
        let _ = writeln!(text, "  and {left} more, which --json shows");
    }
    text
}

fn cycle_json(cycle: &Cycle) -> Value {
    let mut object = tally_json(&cycle.tally);
    object.insert("took_seconds".to_owned(), seconds(cycle.took));
    object.insert("window_seconds".to_owned(), seconds(cycle.window()));
    let processes = cycle.report.processes.iter().map(process_json).collect();
    object.insert("processes".to_owned(), Value::Array(processes));
    Value::Object(object)
}

fn process_json(report: &ProcessReport) -> Value {
    let result = match &report.result {
        ProcessResult::Scanned(_) => "scanned",
        ProcessResult::Placed(_) => "placed",
        ProcessResult::Elsewhere(_) => "elsewhere",
        ProcessResult::Skipped(_) => "held",
        ProcessResult::Lost(_) => "lost",
        ProcessResult::Stopped => "stopped",
    };
    let mut object = json!({
        "pid": report.process.pid.get(),
        "result": result,
        "text": report.result.to_string(),
        "reason": reason_json(report.result.reason()),
    });
    if let ProcessResult::Scanned(scanned) = &report.result {
        object["feedback"] = feedback_json(&scanned.feedback);
    }
    object
}

fn feedback_json(feedback: &Feedback) -> Value {
    json!({
        "back_off": feedback.back_off.to_string(),
        "came_back_percent_per_minute": f64::from(feedback.came_back_per_minute.hundredths()) / 100.0,
        "working_set_bytes": feedback.working_set,
        "out_bytes": feedback.out,
        "rate_bytes_per_second": feedback.bytes_per_second,
        "ability_bytes_per_second": Some(feedback.ability_bytes_per_second).filter(|bytes| *bytes > 0),
    })
}

/// How the task is held back: the same for all its processes, so that of the first is told.
fn held_back(cycle: &Cycle) -> Option<String> {
    let feedback = cycle.report.processes.iter().find_map(|process| match &process.result {
        ProcessResult::Scanned(scanned) => Some(&scanned.feedback),
        ProcessResult::Placed(_)
        | ProcessResult::Elsewhere(_)
        | ProcessResult::Skipped(_)
        | ProcessResult::Lost(_)
        | ProcessResult::Stopped => None,
    })?;
    let rate = feedback.bytes_per_second.map(|rate| format!("; at most {}/s leave", size(rate)));
    let came_back = feedback.came_back_per_minute;
    Some(format!("{}; {came_back} a minute came back{}", feedback.back_off, rate.unwrap_or_default()))
}

/// Figures by their names, each with its unit.
fn tally_json(tally: &Tally) -> Map<String, Value> {
    let figure = |Figure { name, label: _, amount }: Figure| {
        let name = amount.unit().map_or_else(|| name.to_owned(), |unit| format!("{name}_{unit}"));
        let value = match amount {
            Amount::Bytes(amount) | Amount::Count(amount) => json!(amount),
            Amount::Time(duration) => seconds(duration),
        };
        (name, value)
    };
    tally.figures().into_iter().map(figure).collect()
}

fn reason_json(reason: Option<Reason>) -> Value {
    reason.map_or(Value::Null, |Reason { name, text }| json!({ "name": name.word(), "text": text }))
}

fn choice_json(choice: &Choice) -> Value {
    json!({ "name": choice.name, "reason": choice.reason })
}

/// A time in seconds, to the millisecond.
fn seconds(time: Duration) -> Value {
    json!((time.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else if time < Duration::from_secs(100) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} s", time.as_secs())
    }
}

fn size(bytes: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match bytes {
        0 => "0".to_owned(),
        1..0x10_0000 => format!("{} KiB", bytes.div_ceil(1024)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / MIB),
        _ => format!("{:.2} GiB", bytes as f64 / MIB / 1024.0),
    }
}
