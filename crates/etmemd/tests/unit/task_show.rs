//! What people and programs are shown of a task.

use super::text::{LINES_SHOWN, size, time};
use super::*;
use crate::rest::{ShownTrigger, WokenBy};
use etmem_core::guard::SkipReason;
use etmem_core::kernel::process::{Gone, Pid, ProcessError, ProcessId};
use etmem_core::plan::Outcome;
use etmem_engine::slide::Scanned;
use etmem_engine::{Feedback, KINDS, ProcessReport, ProcessResult, SoFar, StepReport, TaskStatus};
use serde_json::{Value, json};
use std::time::Duration;

const MIB: u64 = 1 << 20;

pub(crate) fn report(results: Vec<ProcessResult>) -> StepReport {
    let processes = (4711..).zip(results).map(|(pid, result)| {
        let process = ProcessId { pid: Pid::new(pid).unwrap(), start_time: 1 };
        if result == SCANNED { scanned().report(process) } else { ProcessReport::new(process, result) }
    });
    let processor_time = Duration::from_millis(12);
    StepReport { processes: processes.collect(), processor_time, ..StepReport::default() }
}

const SCANNED: ProcessResult = ProcessResult::WorkedOn("scanned");

fn scanned() -> Scanned {
    let outcome = Outcome {
        planned: 200 * MIB,
        tried: 150 * MIB,
        applied: 150 * MIB,
        over_budget: 50 * MIB,
        ..Outcome::default()
    };
    let window = Duration::from_secs(3);
    let feedback = Feedback { bytes_per_second: Some(40 * MIB), ..Feedback::default() };
    Scanned { present: 256 * MIB, window, outcome, feedback, ..Scanned::default() }
}

pub(crate) fn shown(running: Option<Standing>) -> ShownWork {
    let choice = |name, reason: &str| Choice { name, reason: reason.to_owned() };
    ShownWork {
        project: Name::new("p").unwrap(),
        engine: Name::new("slide").unwrap(),
        task: Name::new("t").unwrap(),
        target: Target::Comm("mysqld".into()),
        dry_run: false,
        running: running.map(|standing| {
            ShownRun::Worked(Box::new(ShownRunning {
                probe: choice("bpf", "the better one is not here"),
                mover: choice("madvise", "as mover=madvise asks"),
                standing,
            }))
        }),
        machine: None,
    }
}

pub(crate) fn standing(reports: Vec<StepReport>, doing: Doing) -> Standing {
    let mut status = TaskStatus::default();
    for report in reports {
        status.record(report, Duration::from_millis(3250));
    }
    let (lasting, running) = (Duration::from_millis(1500), Duration::from_secs(120));
    Standing { status, doing, lasting, running, so_far: None, triggers: Vec::new(), woken_by: None }
}

#[test]
fn text_for_people() {
    let results = vec![SCANNED, ProcessResult::Skipped(SkipReason::SwapFull)];
    let standing = standing(vec![report(results.clone()), report(results)], Doing::Resting);
    let text = task_show(&Name::new("p").unwrap(), &[shown(Some(standing))], TaskForm::Text);
    assert_eq!(
        text,
        "task: t (project p, engine slide)\n\
         \x20 target    process named mysqld; 2 found\n\
         \x20 state     resting for 1.5 s, cycle 2, started 120 s ago\n\
         \x20 sees by   bpf (the better one is not here)\n\
         \x20 moves by  madvise (as mover=madvise asks)\n\
         \x20 feedback  not held back; 0.00 % a minute came back; at most 40.0 MiB/s leave\n\
         \n\
         \x20                          last cycle       in all\n\
         \x20 processes found                   2            4\n\
         \x20 of them looked at                 1            2\n\
         \x20 scanned                   256.0 MiB    512.0 MiB\n\
         \x20 hot                        56.0 MiB    112.0 MiB\n\
         \x20 cold                      200.0 MiB    400.0 MiB\n\
         \x20 moved out                 150.0 MiB    300.0 MiB\n\
         \x20 came back                         0            0\n\
        \x20 still out                         0\n\
        \x20 saved, net                        0\n\
         \x20 no room, or held back      50.0 MiB    100.0 MiB\n\
         \x20 processor time                12 ms        24 ms\n\
         \x20 took                          3.2 s\n\
         \x20 touches seen over             3.0 s\n\
         \n\
         \x20 process\n\
         \x20 4711      scanned 256 MiB, cold 200 MiB, paged out 150 MiB, no room in swap 51200 KiB\n\
         \x20           51200 KiB of what is cold stay, no room in swap below max_swap_use\n\
         \x20 4712      swap is full, so nothing can be moved out until there is room\n"
    );
}

/// Gauges have no sum, and are of the last cycle.
#[test]
fn what_is_not_looked_at_is_shown_for_the_last_cycle() {
    let slide = KINDS.iter().find(|kind| kind.keys.name == "slide").unwrap();
    let row = |name: &str| *slide.figures.iter().find(|row| row.name == name).unwrap();
    let mut report = report(vec![SCANNED]);
    report.processes[0].figures.add(row("skipped_shared_bytes"), 128 * MIB);
    report.processes[0].figures.add(row("skipped_file_bytes"), 0);
    let shown = shown(Some(standing(vec![report], Doing::Resting)));
    let text = task_show(&shown.project, std::slice::from_ref(&shown), TaskForm::Text);
    assert!(text.contains("\n  shared, not looked at     128.0 MiB\n"), "{text}");
    assert!(!text.contains(row("skipped_file_bytes").label), "{text}");
    assert_eq!(shown.json()["last_cycle"]["skipped_shared_bytes"], json!(128 * MIB));
}

#[test]
fn how_far_the_cycle_under_way_has_come() {
    let so_far = Some(SoFar { found: 46, looked_at: 32, scanned_bytes: 130 * MIB });
    let standing = Standing { so_far, ..standing(Vec::new(), Doing::Working) };
    let task = [shown(Some(standing))];
    let text = task_show(&Name::new("p").unwrap(), &task, TaskForm::Text);
    assert!(text.contains("\n  so far    32 of 46 processes looked at, 130.0 MiB in memory\n"), "{text}");
    let json: Value =
        serde_json::from_str(&task_show(&Name::new("p").unwrap(), &task, TaskForm::Json)).unwrap();
    assert_eq!(json["so_far"], json!({"found": 46, "looked_at": 32, "scanned_bytes": 130 * MIB}));
}

#[test]
fn what_woke_a_task_and_what_cannot_be_watched() {
    let trigger = |trigger: &str, fault: Option<&str>| ShownTrigger {
        trigger: trigger.to_owned(),
        fault: fault.map(ToOwned::to_owned),
    };
    let woken_by = WokenBy {
        cause: "trigger",
        trigger: Some("free 10%".to_owned()),
        evidence: Some("700 MiB are free".to_owned()),
    };
    let standing = Standing {
        triggers: vec![trigger("free 10%", None), trigger("high db", Some("there is no control group db"))],
        woken_by: Some(woken_by),
        ..standing(Vec::new(), Doing::Working)
    };
    let task = [shown(Some(standing))];
    let text = task_show(&Name::new("p").unwrap(), &task, TaskForm::Text);
    let lines = "\n  woken by  trigger free 10% (700 MiB are free)\n  trigger   free 10%\n  trigger   high db cannot be watched: \
                 there is no control group db\n";
    assert!(text.contains(lines), "{text}");
    let json: Value =
        serde_json::from_str(&task_show(&Name::new("p").unwrap(), &task, TaskForm::Json)).unwrap();
    assert_eq!(
        (&json["woken_by"], &json["triggers"]),
        (
            &json!({"cause": "trigger", "trigger": "free 10%", "evidence": "700 MiB are free"}),
            &json!([
                {"trigger": "free 10%", "fault": null},
                {"trigger": "high db", "fault": "there is no control group db"},
            ])
        )
    );
}

#[test]
fn json_for_programs() {
    let results = vec![SCANNED, ProcessResult::Lost(ProcessError::Exited), ProcessResult::Stopped];
    let task = shown(Some(standing(vec![report(results)], Doing::Working)));
    let text = task_show(&Name::new("p").unwrap(), &[task, shown(None)], TaskForm::Json);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [running, stopped] = &lines[..] else { panic!("{text}") };
    let mut of_cycle = running["last_cycle"].clone();
    for kind in ["shared", "forked", "file", "huge_pool", "executable", "flags"] {
        let figure = of_cycle.as_object_mut().unwrap().remove(&format!("skipped_{kind}_bytes"));
        assert_eq!(figure, Some(json!(0)), "{kind}");
    }
    for level in ["out_bytes", "saved_bytes"] {
        assert_eq!(of_cycle.as_object_mut().unwrap().remove(level), Some(json!(0)), "{level}");
    }
    let figures = json!({
        "scanned_bytes": 256 * MIB, "hot_bytes": 56 * MIB, "cold_bytes": 200 * MIB, "moved_bytes": 150 * MIB,
        "skipped_no_room_bytes": 50 * MIB, "window_seconds": 3.0,
    });
    let feedback = json!({
        "back_off": "not held back", "came_back_percent_per_minute": 0.0, "max_refault_percent_per_minute": null, "stall_ms_per_minute": null, "max_stall_ms_per_minute": null, "refault_cost_us": null, "working_set_bytes": 0, "out_bytes": 0,
        "rate_bytes_per_second": 40 * MIB, "ability_bytes_per_second": null, "forecast": null,
    });
    assert_eq!(
        of_cycle,
        json!({
            "found": 3, "looked_at": 1, "scanned_bytes": 256 * MIB, "hot_bytes": 56 * MIB,
            "cold_bytes": 200 * MIB, "moved_bytes": 150 * MIB, "given_back_bytes": 0, "came_back_bytes": 0, "left_alone_bytes": 0,
            "moved_up_bytes": 0, "moved_down_bytes": 0, "skipped_pages": 0, "would_move_bytes": 0,
            "skipped_touched_bytes": 0, "skipped_later_bytes": 0, "skipped_stayed_bytes": 0, "skipped_kept_bytes": 0, "freed_bytes": 0,
            "second_copies_bytes": 0, "skipped_locked_bytes": 0, "skipped_vanished_bytes": 0, "skipped_refused_bytes": 0,
            "skipped_no_room_bytes": 50 * MIB,
            "cpu_seconds": 0.012, "took_seconds": 3.25, "window_seconds": 3.0,
            "processes": [
                {
                    "pid": 4711, "result": "scanned",
                    "text": "scanned 256 MiB, cold 200 MiB, paged out 150 MiB, no room in swap 51200 KiB",
                    "reason": {
                        "name": "no_room",
                        "text": "51200 KiB of what is cold stay, no room in swap below max_swap_use",
                    },
                    "name": null, "resident_bytes": null, "swapped_bytes": null,
                    "figures": figures,
                    "feedback": feedback,
                },
                {
                    "pid": 4712, "result": "lost", "text": "the process exited", "name": null,
                    "resident_bytes": null, "swapped_bytes": null, "figures": {},
                    "reason": { "name": "exited", "text": "the process exited" },
                },
                {
                    "pid": 4713, "result": "stopped", "text": "stopped in mid-scan", "name": null,
                    "resident_bytes": null, "swapped_bytes": null, "figures": {},
                    "reason": { "name": "stopped", "text": "the task was stopped in mid-scan" },
                },
            ],
        })
    );
    assert_eq!(running["total"]["moved_bytes"], 150 * MIB);
    assert_eq!(
        (&running["state"], &running["cycles"], &running["reason"], &running["state_seconds"]),
        (&json!("working"), &json!(1), &Value::Null, &json!(1.5))
    );
    assert_eq!(running["tracker"], json!({ "name": "bpf", "reason": "the better one is not here" }));
    assert_eq!((&stopped["state"], &stopped["reason"]["name"]), (&json!("stopped"), &json!("not_started")));
    assert!(stopped.get("last_cycle").is_none());
}

#[test]
fn states_and_their_reasons() {
    let gone = StepReport { gone: Pid::new(7).map(Gone::Ended), ..report(Vec::new()) };
    for (standing, state, reason) in [
        (None, "stopped", Some("not_started")),
        (Some(standing(Vec::new(), Doing::Working)), "working", Some("first_cycle")),
        (Some(standing(vec![report(Vec::new())], Doing::Resting)), "waiting", Some("no_process")),
        (Some(standing(vec![gone], Doing::Resting)), "gone", Some("process_ended")),
        (Some(standing(vec![report(vec![SCANNED])], Doing::Resting)), "resting", None),
        (Some(standing(vec![report(vec![SCANNED])], Doing::Failed)), "failed", Some("failed")),
    ] {
        let shown = shown(standing);
        assert_eq!((shown.state(), shown.reason().map(|reason| reason.name.word())), (state, reason));
        let text = task_show(&shown.project, std::slice::from_ref(&shown), TaskForm::Text);
        assert!(text.contains(&format!("  state     {state}")), "{text}");
        assert_eq!(text.contains("  why       "), reason.is_some(), "{text}");
    }
}

#[test]
fn many_processes_and_none() {
    let small = |mib: u64| ProcessResult::Skipped(SkipReason::Small { resident: mib * MIB, above: 1 << 30 });
    let results =
        [vec![ProcessResult::Skipped(SkipReason::NoSwap); 70], (1..=23).map(small).collect()].concat();
    let shown = shown(Some(standing(vec![report(results)], Doing::Resting)));
    let text = task_show(&shown.project, std::slice::from_ref(&shown), TaskForm::Text);
    assert!(text.contains("  4711      this machine has no swap"), "{text}");
    assert!(text.contains(" (and 69 more alike)\n  4781      the process has 1 MiB"), "{text}");
    assert!(text.ends_with("  and 4 more, which --json shows\n"), "{text}");
    assert_eq!(text.matches("the process has").count(), LINES_SHOWN - 1);
    assert_eq!(shown.json()["last_cycle"]["processes"].as_array().unwrap().len(), 93);
    assert_eq!(task_show(&shown.project, &[], TaskForm::Text), "task: project p has none\n");
    assert_eq!(task_show(&shown.project, &[], TaskForm::Json), "");
}

#[test]
fn sizes_and_times() {
    for (bytes, text) in [
        (0, "0"),
        (1, "1 KiB"),
        (MIB - 1, "1024 KiB"),
        (MIB, "1.0 MiB"),
        (3 << 29, "1.50 GiB"),
        (u64::MAX, "17179869184.00 GiB"),
    ] {
        assert_eq!(size(bytes), text);
    }
    for (millis, text) in
        [(0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (99_949, "99.9 s"), (100_000, "100 s")]
    {
        assert_eq!(time(Duration::from_millis(millis)), text);
    }
}
