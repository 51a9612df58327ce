//! What there is to show: a row for each task, and below it one for each of its processes and control groups.

use super::answer::{Feedback, Figures, Group, Process, Task};
use super::view::{Sort, View};
use std::cmp::Ordering;

/// A row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    /// Whether it is of a task; else of a part of the task above it.
    pub(super) of_task: bool,
    pub(super) name: String,
    /// What the task does; empty of its parts.
    pub(super) state: String,
    pub(super) resident: Option<u64>,
    /// Touched in the last two minutes.
    pub(super) hot: Option<u64>,
    /// Neither hot nor cold.
    pub(super) warm: Option<u64>,
    /// What was to leave.
    pub(super) cold: Option<u64>,
    pub(super) out: Option<u64>,
    pub(super) saved: Option<u64>,
    /// Refaults of the last minute and their bound, in percent of the working sets.
    pub(super) refaults: Option<(f64, Option<f64>)>,
    /// Share of a processor, on average since the start of the task.
    pub(super) cpu: Option<f64>,
    /// What holds it back; empty if nothing does.
    pub(super) why: String,
}

/// The rows of `tasks`, as `view` asks for them.
pub(super) fn rows(tasks: &[Task], view: &View) -> Vec<Row> {
    let mut blocks: Vec<(Row, Vec<Row>)> = tasks.iter().map(|task| (of_task(task), parts(task))).collect();
    let filter = view.filter.to_lowercase();
    blocks.retain_mut(|(task, parts)| {
        let has =
            |row: &Row| row.name.to_lowercase().contains(&filter) || row.why.to_lowercase().contains(&filter);
        if has(task) {
            return true;
        }
        parts.retain(has);
        !parts.is_empty()
    });
    blocks.sort_by(|(one, _), (other, _)| order(one, other, view));
    let mut all = Vec::new();
    for (task, mut parts) in blocks {
        parts.sort_by(|one, other| order(one, other, view));
        all.push(task);
        if view.parts {
            all.extend(parts);
        }
    }
    all
}

/// The largest first, but names in their own order; what is unknown comes last.
fn order(one: &Row, other: &Row, view: &View) -> Ordering {
    let by_number = |key: fn(&Row) -> Option<u64>| key(other).cmp(&key(one));
    let by_share =
        |key: fn(&Row) -> Option<f64>| key(other).unwrap_or(-1.0).total_cmp(&key(one).unwrap_or(-1.0));
    let order = match view.sort {
        Sort::Name => one.name.cmp(&other.name),
        Sort::Resident => by_number(|row| row.resident),
        Sort::Hot => by_number(|row| row.hot),
        Sort::Warm => by_number(|row| row.warm),
        Sort::Cold => by_number(|row| row.cold),
        Sort::Out => by_number(|row| row.out),
        Sort::Refaults => by_share(|row| row.refaults.map(|(now, _)| now)),
        Sort::Price => by_share(|row| row.cpu),
    };
    let order = if view.reversed { order.reverse() } else { order };
    order.then_with(|| one.name.cmp(&other.name))
}

fn of_task(task: &Task) -> Row {
    let name = format!("{}/{}", task.project, task.task);
    let mut state = format!("{} {}", task.engine, task.state);
    if task.dry_run {
        state.push_str(", dry run");
    }
    let why = task.reason.as_ref().map(|reason| reason.text.clone()).unwrap_or_default();
    let Some(cycle) = &task.last_cycle else {
        return Row { of_task: true, name, state, why, ..Row::default() };
    };
    let feedback = cycle.processes.iter().filter_map(|process| process.feedback.as_ref());
    let working_set =
        feedback.clone().map(|one| one.working_set_bytes).reduce(|sum, one| sum.saturating_add(one));
    let first = feedback.clone().next();
    let held = first.filter(|one| one.back_off != "not held back" && !one.back_off.is_empty());
    let of_processes = cycle.processes.iter().filter_map(|process| process.resident_bytes);
    let resident = of_processes.reduce(|sum, one| sum.saturating_add(one));
    Row {
        of_task: true,
        name,
        state,
        resident: resident.or(Some(cycle.figures.scanned_bytes)),
        saved: Some(cycle.figures.saved_bytes),
        out: Some(cycle.figures.out_bytes),
        refaults: first.map(refaults),
        cpu: (task.running_seconds > 0.0).then(|| task.total.cpu_seconds / task.running_seconds),
        why: if why.is_empty() { held.map(|one| one.back_off.clone()).unwrap_or_default() } else { why },
        ..heat(&cycle.figures, working_set)
    }
}

fn parts(task: &Task) -> Vec<Row> {
    let cycle = task.last_cycle.iter();
    let groups = cycle.clone().flat_map(|cycle| cycle.groups.iter().map(of_group));
    let processes = cycle.flat_map(|cycle| cycle.processes.iter().map(of_process));
    groups.chain(processes).collect()
}

fn of_process(process: &Process) -> Row {
    let Process { pid, name, resident_bytes, swapped_bytes, reason, figures, feedback } = process;
    let name = name.as_deref().map(printable).unwrap_or_default();
    let working_set = feedback.as_ref().map(|feedback| feedback.working_set_bytes);
    Row {
        name: format!("{pid} {name}").trim_end().to_owned(),
        resident: *resident_bytes,
        out: feedback.as_ref().map(|feedback| feedback.out_bytes).or(*swapped_bytes),
        why: reason.as_ref().map(|reason| reason.text.clone()).unwrap_or_default(),
        ..heat(figures, working_set)
    }
}

fn of_group(group: &Group) -> Row {
    let why = group.reason.as_ref().map(|reason| reason.text.clone()).unwrap_or_default();
    let Figures { out_bytes, saved_bytes, .. } = group.figures;
    Row {
        name: printable(&group.group),
        out: Some(out_bytes),
        saved: Some(saved_bytes),
        why,
        ..heat(&group.figures, None)
    }
}

/// How what was scanned divides. Without a working set it is not known what of the rest is hot.
fn heat(figures: &Figures, working_set: Option<u64>) -> Row {
    let Figures { scanned_bytes, hot_bytes, cold_bytes, .. } = *figures;
    if scanned_bytes == 0 {
        return Row::default();
    }
    let stays = scanned_bytes.saturating_sub(cold_bytes);
    let hot = working_set.map_or(hot_bytes, |touched| touched.min(stays));
    Row { hot: Some(hot), warm: working_set.map(|_| stays - hot), cold: Some(cold_bytes), ..Row::default() }
}

fn refaults(feedback: &Feedback) -> (f64, Option<f64>) {
    (feedback.came_back_percent_per_minute, feedback.max_refault_percent_per_minute)
}

/// Programs choose their names: nothing of them may act on a terminal.
fn printable(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}
