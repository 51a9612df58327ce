//! What monitoring receives of tasks.

use super::*;
use crate::task_show::ShownRun;
use crate::task_show::tests::{report, shown, standing};
use crate::worker::Doing;
use etmem_core::guard::SkipReason;
use etmem_core::name::Name;
use etmem_engine::ProcessResult;
use etmem_linux::counters::rows as machine_rows;
use std::collections::BTreeSet;

#[path = "metrics_and_json.rs"]
mod metrics_and_json;

/// A task that runs, one that was not started, and one of a plugin.
fn tasks() -> [ShownWork; 3] {
    let results = vec![ProcessResult::WorkedOn("scanned"), ProcessResult::Skipped(SkipReason::SwapFull)];
    let reports = vec![report(results.clone()), report(results)];
    let running = shown(Some(standing(reports, Doing::Resting)));
    let mut stopped = shown(None);
    stopped.project = Name::new("a\"b\\c").expect("a name");
    let mut hosted = shown(None);
    hosted.running = Some(ShownRun::Hosted);
    hosted.engine = Name::new("plugin").expect("a name");
    [running, stopped, hosted]
}

fn counters() -> Vec<Reading> {
    let reading = |name, level: Option<&str>, kind, amount| {
        let row = machine_rows().iter().find(|row| row.name == name).expect("a row");
        Reading { row, level: level.map(str::to_owned), kind, amount }
    };
    vec![
        reading("level_used", Some("zram0"), None, 4096),
        reading("workingset_refault", None, Some("anon"), 7),
        reading("zswap_max_pool", None, None, 20),
    ]
}

/// The samples of `text`, after a check of its grammar.
fn samples(text: &str) -> BTreeSet<&str> {
    let mut families = BTreeSet::new();
    let mut family = "";
    let mut names = BTreeSet::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (word, name, rest) = (words.next(), words.next(), words.next());
            assert!(rest.is_some_and(|rest| !rest.is_empty()), "{line}");
            if word == Some("TYPE") {
                family = name.expect("a name");
                assert!(families.insert(family), "one family, one place: {line}");
            } else {
                assert!(matches!(word, Some("HELP" | "UNIT")), "{line}");
                assert_eq!(name, Some(family), "{line}");
            }
            continue;
        }
        let (name, rest) = line.split_once(['{', ' ']).expect("a value");
        assert!(
            name.strip_prefix(family).is_some_and(|end| ["", "_total", "_info"].contains(&end)),
            "{line}"
        );
        let (labels, value) = rest.rsplit_once("} ").unwrap_or(("", rest));
        assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
        assert!(!labels.contains("pid"), "{line}");
        assert!(names.insert(line.rsplit_once(' ').expect("a value").0), "one sample, one line: {line}");
    }
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn samples_of_tasks_that_run_and_of_those_that_do_not() {
    let tasks = tasks();
    for form in [MetricsForm::OpenMetrics, MetricsForm::Prometheus] {
        let text = metrics(&tasks, &counters(), form);
        let samples = samples(&text);
        for sample in [
            "etmem_task_up{project=\"p\",engine=\"slide\",task=\"t\"} 1",
            "etmem_task_up{project=\"a\\\"b\\\\c\",engine=\"slide\",task=\"t\"} 0",
            "etmem_task_up{project=\"p\",engine=\"plugin\",task=\"t\"} 1",
            "etmem_task_cycles_total{project=\"p\",engine=\"slide\",task=\"t\"} 2",
            "etmem_moved_bytes_total{project=\"p\",engine=\"slide\",task=\"t\"} 314572800",
            "etmem_last_cycle_moved_bytes{project=\"p\",engine=\"slide\",task=\"t\"} 157286400",
            "etmem_cpu_seconds_total{project=\"p\",engine=\"slide\",task=\"t\"} 0.024",
            "etmem_last_cycle_took_seconds{project=\"p\",engine=\"slide\",task=\"t\"} 3.25",
            "etmem_task_held_back{project=\"p\",engine=\"slide\",task=\"t\",way=\"none\"} 1",
            "etmem_task_held_back{project=\"p\",engine=\"slide\",task=\"t\",way=\"paused\"} 0",
            "etmem_task_rate_bytes_per_second{project=\"p\",engine=\"slide\",task=\"t\"} 41943040",
            "etmem_task_dry_run{project=\"p\",engine=\"slide\",task=\"t\"} 0",
            "etmem_task_running_seconds{project=\"p\",engine=\"slide\",task=\"t\"} 120",
            "etmem_level_used_bytes{level=\"zram0\"} 4096",
            "etmem_workingset_refault_bytes_total{kind=\"anon\"} 7",
            "etmem_zswap_max_pool_ratio 0.2",
            "etmem_last_cycle_processes{project=\"p\",engine=\"slide\",task=\"t\",reason=\"swap_full\"} 1",
        ] {
            assert!(samples.contains(sample), "{sample} in\n{text}");
        }
    }
}

#[test]
fn the_forms_differ_in_their_comments() {
    let [open, older] =
        [MetricsForm::OpenMetrics, MetricsForm::Prometheus].map(|form| metrics(&tasks(), &counters(), form));
    assert!(open.contains("# TYPE etmem_moved_bytes counter\n# UNIT etmem_moved_bytes bytes\n"), "{open}");
    assert!(open.contains("# TYPE etmem_build info\n") && open.ends_with("# EOF\n"), "{open}");
    assert!(older.contains("# TYPE etmem_moved_bytes_total counter\n"), "{older}");
    assert!(older.contains("# TYPE etmem_build_info gauge\n"), "{older}");
    assert!(!older.contains("# EOF") && !older.contains("# UNIT"), "{older}");
    let of_tasks = |text| -> BTreeSet<String> {
        // Processor time goes on meanwhile.
        samples(text)
            .into_iter()
            .filter(|line| !line.starts_with("etmem_daemon"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(of_tasks(&open), of_tasks(&older));
}

#[test]
fn without_tasks_there_is_the_daemon() {
    let text = metrics(&[], &[], MetricsForm::OpenMetrics);
    assert_eq!(samples(&text).len(), 2, "{text}");
}
