//! Tasks as JSON for programs: `docs/json.md` lists the fields.

use super::ShownWork;
use crate::rest::{ShownTrigger, WokenBy};
use etmem_core::kernel::wishes::Choice;
use etmem_engine::{Cycle, Feedback, Figures, Reason, Seconds, SoFar, StepReport};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;

#[derive(Serialize)]
struct Task<'a> {
    project: &'a str,
    engine: &'a str,
    task: &'a str,
    target: Target,
    state: &'static str,
    dry_run: bool,
    reason: Option<Reason>,
    #[serde(flatten)]
    running: Option<Running<'a>>,
}

#[derive(Serialize)]
struct Target {
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Running<'a> {
    tracker: Chosen<'a>,
    mover: Chosen<'a>,
    state_seconds: Seconds,
    running_seconds: Seconds,
    so_far: Option<SoFar>,
    triggers: &'a [ShownTrigger],
    woken_by: Option<&'a WokenBy>,
    cycles: u64,
    last_cycle: Option<LastCycle<'a>>,
    total: &'a Figures,
}

#[derive(Serialize)]
struct Chosen<'a> {
    name: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct LastCycle<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    processes: Vec<Process<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Group<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<Vec<Device<'a>>>,
}

/// A zram device.
#[derive(Serialize)]
struct Device<'a> {
    device: &'a str,
    text: String,
    reason: Option<&'a Reason>,
    figures: &'a Figures,
}

#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    name: Option<String>,
    resident_bytes: Option<u64>,
    swapped_bytes: Option<u64>,
    result: &'static str,
    text: String,
    reason: Option<&'a Reason>,
    figures: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<&'a Feedback>,
}

/// A control group: as a whole, or the processes in it.
#[derive(Serialize)]
struct Group<'a> {
    group: String,
    #[serde(flatten)]
    worked: Option<WorkedGroup<'a>>,
    figures: Cow<'a, Figures>,
}

#[derive(Serialize)]
struct WorkedGroup<'a> {
    result: &'static str,
    text: String,
    reason: Option<&'a Reason>,
}

impl ShownWork {
    pub(super) fn json(&self) -> Value {
        let (kind, value) = self.target.written();
        let running = self.worked().map(|running| {
            let standing = &running.standing;
            Running {
                tracker: chosen(&running.probe),
                mover: chosen(&running.mover),
                state_seconds: Seconds(standing.lasting),
                running_seconds: Seconds(standing.running),
                so_far: standing.so_far,
                triggers: &standing.triggers,
                woken_by: standing.woken_by.as_ref(),
                cycles: standing.status.cycles,
                last_cycle: standing.status.last.as_ref().map(|cycle| self.shown_cycle(cycle)),
                total: &standing.status.totals,
            }
        });
        let task = Task {
            project: self.project.as_str(),
            engine: self.engine.as_str(),
            task: self.task.as_str(),
            target: Target { kind, value },
            state: self.state(),
            dry_run: self.dry_run,
            reason: self.reason(),
            running,
        };
        // Names are texts and numbers finite, so it is always JSON. A value has its fields in alphabetical order.
        serde_json::to_value(&task).unwrap_or_default()
    }

    fn shown_cycle<'a>(&'a self, Cycle { figures, report }: &'a Cycle) -> LastCycle<'a> {
        let table = self.machine.as_ref().map(|machine| machine.processes());
        let processes = report.processes.iter().map(|one| {
            let memory = table.and_then(|table| table.memory(one.process).ok());
            Process {
                pid: one.process.pid.get(),
                name: table.and_then(|table| table.name(one.process)),
                resident_bytes: memory.map(|memory| memory.resident),
                swapped_bytes: memory.map(|memory| memory.swapped),
                result: one.result.word(),
                text: one.text.to_string(),
                reason: one.reason.as_ref(),
                figures: counted(&one.figures),
                feedback: one.feedback.as_ref(),
            }
        });
        LastCycle {
            figures,
            processes: processes.collect(),
            groups: groups(report),
            devices: devices(report),
        }
    }
}

fn chosen(choice: &Choice) -> Chosen<'_> {
    Chosen { name: choice.name, reason: &choice.reason }
}

/// The figures that are not 0: a task may have thousands of processes.
fn counted(figures: &Figures) -> Value {
    let mut figures = serde_json::to_value(figures).unwrap_or_default();
    if let Value::Object(figures) = &mut figures {
        figures.retain(|_, amount| amount.as_f64() != Some(0.0));
    }
    figures
}

/// The devices of a task that works on compressed swap.
fn devices(report: &StepReport) -> Option<Vec<Device<'_>>> {
    let devices = report.devices.as_ref()?.iter().map(|one| Device {
        device: &one.device,
        text: one.text.to_string(),
        reason: one.reason.as_ref(),
        figures: &one.figures,
    });
    Some(devices.collect())
}

/// The control groups of a task that names some.
fn groups(report: &StepReport) -> Option<Vec<Group<'_>>> {
    if let Some(groups) = &report.groups {
        let groups = groups.iter().map(|one| Group {
            group: one.group.to_string(),
            worked: Some(WorkedGroup {
                result: one.result.word(),
                text: one.text.to_string(),
                reason: one.reason.as_ref(),
            }),
            figures: Cow::Borrowed(&one.figures),
        });
        return Some(groups.collect());
    }
    let of_processes = report.by_group();
    let groups = of_processes.into_iter().map(|(group, figures)| Group {
        group: group.to_owned(),
        worked: None,
        figures: Cow::Owned(figures),
    });
    Some(groups.collect()).filter(|groups: &Vec<_>| !groups.is_empty())
}
