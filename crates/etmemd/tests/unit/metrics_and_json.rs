//! What `task show --json` has and what metrics have are the same, but for a list that is closed.

use super::*;
use crate::task_show::task_show;
use etmem_core::feedback::BackOff;
use etmem_core::forecast::{Offer, Stage, Swept, Told};
use etmem_core::kernel::pressure::Share;
use etmem_engine::{Feedback, SoFar};
use etmem_wire::TaskForm;
use serde_json::Value;

/// Numbers and words of the JSON, by path, and the metric that says the same.
const SAME: &[(&str, &str)] = &[
    ("state", "etmem_task_up"),
    ("cycles", "etmem_task_cycles_total"),
    ("dry_run", "etmem_task_dry_run"),
    ("running_seconds", "etmem_task_running_seconds"),
    ("last_cycle.processes[].reason.name", "etmem_last_cycle_processes"),
    (FEEDBACK_WAY, "etmem_task_held_back"),
    ("last_cycle.processes[].feedback.came_back_percent_per_minute", "etmem_task_refault_ratio"),
    ("last_cycle.processes[].feedback.max_refault_percent_per_minute", "etmem_task_max_refault_ratio"),
    ("last_cycle.processes[].feedback.stall_ms_per_minute", "etmem_task_stall_ratio"),
    ("last_cycle.processes[].feedback.max_stall_ms_per_minute", "etmem_task_max_stall_ratio"),
    ("last_cycle.processes[].feedback.refault_cost_us", "etmem_task_refault_cost_seconds"),
    ("last_cycle.processes[].feedback.working_set_bytes", "etmem_task_working_set_bytes"),
    ("last_cycle.processes[].feedback.out_bytes", "etmem_last_cycle_out_bytes"),
    ("last_cycle.processes[].feedback.rate_bytes_per_second", "etmem_task_rate_bytes_per_second"),
    ("last_cycle.processes[].feedback.ability_bytes_per_second", "etmem_task_ability_bytes_per_second"),
    ("last_cycle.processes[].feedback.forecast.age_seconds", "etmem_task_age_seconds"),
    ("last_cycle.processes[].feedback.forecast.watched_seconds", "etmem_task_watched_seconds"),
    (
        "last_cycle.processes[].feedback.forecast.forecast_percent_per_minute",
        "etmem_task_forecast_refault_ratio",
    ),
    ("last_cycle.processes[].feedback.forecast.truth_percent_per_minute", "etmem_task_real_refault_ratio"),
    ("last_cycle.processes[].feedback.forecast.may_leave_bytes", "etmem_task_may_leave_bytes"),
];

const FEEDBACK_WAY: &str = "last_cycle.processes[].feedback.back_off";

/// What of the JSON is no metric, by the beginning of its path, and why.
const JSON_ONLY: &[(&str, &str)] = &[
    ("project", "a label"),
    ("engine", "a label"),
    ("task", "a label"),
    ("target.", "words of the configuration"),
    ("reason.", "words: etmem_task_up and etmem_last_cycle_processes say it in numbers"),
    ("tracker.", "words of a choice that is made at the start"),
    ("mover.", "words of a choice that is made at the start"),
    ("state_seconds", "a state lasts for seconds, a scrape comes each 15 s"),
    ("so_far.", "of the cycle under way: the same are figures of the last cycle when it is over"),
    ("last_cycle.processes[].pid", "of one process: each new one would be a new time series"),
    ("last_cycle.processes[].result", "of one process"),
    ("last_cycle.processes[].text", "of one process"),
    ("last_cycle.processes[].reason.text", "words of one process"),
    ("last_cycle.processes[].figures.", "of one process; last_cycle has the sums"),
    (
        "last_cycle.processes[].feedback.forecast.stage",
        "a word: etmem_task_may_leave_bytes is there while one is limited",
    ),
    ("last_cycle.processes[].feedback.forecast.swept.", "found once in hours; the log says it"),
    ("last_cycle.processes[].feedback.forecast.offers[].", "a list of ages that differs from cycle to cycle"),
];

/// Metrics that no task has.
const METRICS_ONLY: &[(&str, &str)] =
    &[("etmem_build_info", "of the daemon"), ("etmem_daemon_", "of the daemon")];

/// A task of which all is known.
fn known() -> ShownWork {
    let hundredths = Share::of_hundredths;
    let told = Told {
        age: Some(Duration::from_secs(180)),
        watched: Duration::from_secs(600),
        forecast: hundredths(5),
        truth: hundredths(4),
        stage: Stage::First(5 << 20),
        swept: Some(Swept {
            period: Some(Duration::from_secs(15)),
            hold: Duration::from_secs(1),
            rare: false,
        }),
        offers: vec![Offer {
            age: Duration::from_secs(120),
            idle: 1 << 20,
            per_minute: hundredths(60),
            of_goal: hundredths(300),
        }],
    };
    let feedback = Feedback {
        back_off: BackOff::Trial,
        refaults_per_minute: hundredths(12),
        max_refault: Some(0.2),
        stall: Some(Duration::from_micros(1500)),
        max_stall: Some(Duration::from_millis(60)),
        refault_cost: Some(Duration::from_micros(6)),
        working_set: 7 << 20,
        out: 0,
        bytes_per_second: Some(40 << 20),
        ability_bytes_per_second: Some(400 << 20),
        forecast: Some(told),
    };
    let mut of_cycle =
        report(vec![ProcessResult::WorkedOn("scanned"), ProcessResult::Skipped(SkipReason::SwapFull)]);
    of_cycle.processes[0].feedback = Some(feedback);
    let mut standing = standing(vec![of_cycle], Doing::Resting);
    standing.so_far = Some(SoFar { found: 2, looked_at: 1, scanned_bytes: 1 << 20 });
    shown(Some(standing))
}

/// The paths to all that is neither null nor a container.
fn leaves(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.insert(path.to_owned());
        }
        Value::Array(values) => values.iter().for_each(|value| leaves(&format!("{path}[]"), value, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            let dot = if path.is_empty() { "" } else { "." };
            leaves(&format!("{path}{dot}{name}"), value, found);
        }),
    }
}

/// The metric that says what is at `path`; none if it is on the list of what metrics leave out.
fn metric_of(path: &str) -> Option<String> {
    if let Some((_, metric)) = SAME.iter().find(|(one, _)| *one == path) {
        return Some((*metric).to_owned());
    }
    if JSON_ONLY.iter().any(|(begin, _)| path.starts_with(begin)) {
        return None;
    }
    if let Some(figure) = path.strip_prefix("total.") {
        return Some(format!("etmem_{figure}_total"));
    }
    let figure = path.strip_prefix("last_cycle.").filter(|figure| !figure.contains(['.', '[']));
    Some(format!(
        "etmem_last_cycle_{}",
        figure.unwrap_or_else(|| panic!("{path} is no metric, and not on the list"))
    ))
}

#[test]
fn every_figure_of_the_json_is_a_metric_and_the_other_way_round() {
    let task = known();
    let mut paths = BTreeSet::new();
    // A task that does nothing has a reason of its own.
    let json = task_show(&task.project, &[known(), shown(None)], TaskForm::Json);
    for line in json.lines() {
        leaves("", &serde_json::from_str(line).expect("JSON"), &mut paths);
    }
    let of_json: BTreeSet<String> = paths.iter().filter_map(|path| metric_of(path)).collect();
    for (path, _) in SAME {
        assert!(paths.contains(*path), "{path} is not in the JSON:\n{json}");
    }
    for (begin, _) in JSON_ONLY {
        assert!(
            paths.iter().any(|path| path.starts_with(begin)),
            "{begin} is not in the JSON: take it off the list"
        );
    }

    let text = metrics(std::slice::from_ref(&task), &[], MetricsForm::OpenMetrics);
    let names = samples(&text).into_iter().filter_map(|line| line.split(['{', ' ']).next());
    let of_metrics: BTreeSet<String> = names
        .filter(|name| !METRICS_ONLY.iter().any(|(begin, _)| name.starts_with(begin)))
        .map(str::to_owned)
        .collect();
    assert_eq!(of_json, of_metrics);
    for (name, value) in [("refault_ratio", "0.0012"), ("max_refault_ratio", "0.002"), ("age_seconds", "180")]
    {
        let line = format!("etmem_task_{name}{{project=\"p\",engine=\"slide\",task=\"t\"}} {value}\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}
