//! The answer to `metrics`: the figures of all tasks, for Prometheus and its kin.
//!
//! ```text
//!  rows of figures            --> a family each, with its type, unit and help --> a sample for each task
//!  what refaults say          -->                    "                        --> the same
//!  counters of the machine    -->                    "                        --> a sample for each device, or one
//! ```
//!
//! A family per row and kind, so that a figure added as a row is a metric without a line here: counters since the start of the task,
//! and what the last cycle found, as gauges. Labels are project, engine and task, never a pid: each new process would be a
//! new time series.
//!
//! The forms: OpenMetrics 1.0 (github.com/prometheus/OpenMetrics), and the text format 0.0.4 of Prometheus.

mod families;
mod feedback;
mod machine;

use crate::task_show::ShownWork;
use etmem_engine::figures::{ROWS, Row, Sums, Unit};
use etmem_engine::{Figures, KINDS};
use etmem_linux::counters::Reading;
use etmem_wire::MetricsForm;
use families::{Families, Family, Kind, Labels};
use std::collections::BTreeMap;
use std::ptr;
use std::time::Duration;

/// The metrics of `tasks`, and of the machine, which counts these.
pub(crate) fn metrics(tasks: &[ShownWork], counters: &[Reading], form: MetricsForm) -> String {
    let mut families = Families::new(form);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    let build = Family { name: "etmem_build", kind: Kind::Info, unit: "", help: "the etmemd that runs" };
    families.add(&build, [(Labels::of(&version), "1".to_owned())]);
    let up = Family {
        name: "etmem_task_up",
        kind: Kind::Gauge,
        unit: "",
        help: "whether the task runs: 1, or 0 for one that was not started or has failed",
    };
    families.add(&up, tasks.iter().map(|task| (of_task(task), u8::from(task.is_up()).to_string())));
    let dry_run = Family {
        name: "etmem_task_dry_run",
        kind: Kind::Gauge,
        unit: "",
        help: "whether the task moves nothing (dry_run=yes): 1 or 0",
    };
    families.add(&dry_run, tasks.iter().map(|task| (of_task(task), u8::from(task.dry_run).to_string())));
    let running = Family {
        name: "etmem_task_running_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        help: "for how long the task has been running",
    };
    families
        .add(&running, tasks.iter().filter_map(|task| Some((of_task(task), seconds(task.running_for()?)))));
    let cycles = Family {
        name: "etmem_task_cycles",
        kind: Kind::Counter,
        unit: "",
        help: "cycles that are over, since the start of the task",
    };
    families.add(&cycles, tasks.iter().filter_map(|task| Some((of_task(task), task.cycles()?.to_string()))));
    let reasons = Family {
        name: "etmem_last_cycle_processes",
        kind: Kind::Gauge,
        unit: "",
        help: "processes of the last cycle, by the reason why not more of their memory was moved; none: all that was cold",
    };
    families.add(&reasons, tasks.iter().flat_map(by_reason));
    for row in rows() {
        add_row(&mut families, tasks, row);
    }
    feedback::add(&mut families, tasks);
    machine::add(&mut families, counters);
    families.finish()
}

/// The rows of all engines, each once.
fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(KINDS.iter().flat_map(|kind| kind.figures)).copied()
}

/// The families of one row.
fn add_row(families: &mut Families, tasks: &[ShownWork], row: &'static Row) {
    let unit = match row.unit {
        Unit::Bytes => "bytes",
        Unit::Time => "seconds",
        Unit::Count => "",
    };
    if row.sums == Sums::Counter {
        let help = format!("since the start of the task: {}", row.help);
        let name = format!("etmem_{}", row.name);
        let samples = tasks
            .iter()
            .filter_map(|task| Some((of_task(task), number(row.unit, known(task.total()?, row)?))));
        families.add(&Family { name: &name, kind: Kind::Counter, unit, help: &help }, samples);
    }
    let help = format!("in the last cycle: {}", row.help);
    let name = format!("etmem_last_cycle_{}", row.name);
    let samples = tasks
        .iter()
        .filter_map(|task| Some((of_task(task), number(row.unit, known(task.last_cycle()?, row)?))));
    families.add(&Family { name: &name, kind: Kind::Gauge, unit, help: &help }, samples);
}

/// How much `row` is, where an engine says so, as in JSON.
fn known(figures: &Figures, row: &'static Row) -> Option<u64> {
    figures.amounts().find(|(one, _)| ptr::eq(*one, row)).and_then(|(_, amount)| amount)
}

fn of_task(task: &ShownWork) -> Labels {
    Labels::of(&[
        ("project", task.project.as_str()),
        ("engine", task.engine.as_str()),
        ("task", task.task.as_str()),
    ])
}

/// How many processes of the last cycle there are with each reason.
fn by_reason(task: &ShownWork) -> Vec<(Labels, String)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in task.process_reasons() {
        *counts.entry(reason.map_or("none", |reason| reason.word())).or_default() += 1;
    }
    let labels = |reason| of_task(task).and("reason", reason);
    counts.into_iter().map(|(reason, count)| (labels(reason), count.to_string())).collect()
}

fn number(unit: Unit, amount: u64) -> String {
    match unit {
        Unit::Bytes | Unit::Count => amount.to_string(),
        Unit::Time => seconds(Duration::from_nanos(amount)),
    }
}

fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

#[cfg(test)]
#[path = "../tests/unit/metrics.rs"]
mod tests;
