//! Feedback over simulated programs: what comes back stays within the goal, whatever the program does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;
#[path = "../scripted/mod.rs"]
mod scripted;
mod simulation;

use program::Program;
use simulation::{Outcome, run};
use std::io::Write;

const GOAL: f64 = 0.2;

fn table(rows: &[(&str, Outcome)]) {
    // Past the capture of the test harness: the figures are of interest where all is well, too.
    let mut out = std::io::stderr();
    let head = "program                      feedback  back, %/min  worst hour  minutes over  out, of oracle's  paused";
    writeln!(out, "\n{head}").unwrap();
    for (name, outcome) in rows {
        writeln!(
            out,
            "{name:<28} {:<8} {:>12.3} {:>11.2} {:>12.1}% {:>16.1}% {:>6.1}%",
            if outcome.goal.is_some() { "on" } else { "off" },
            outcome.rate,
            outcome.worst_hour,
            outcome.minutes_over * 100.0,
            outcome.of_oracle * 100.0,
            outcome.paused * 100.0,
        )
        .unwrap();
    }
}

/// With and without feedback: within the goal with it, and without it would not be.
fn holds(name: &str, program: Program) -> Outcome {
    let (on, off) = (run(program, Some(GOAL)), run(program, None));
    table(&[(name, on.clone()), (name, off.clone())]);
    assert!(on.rate <= GOAL, "{name}: {on:?}");
    assert!(off.rate > GOAL, "{name} is no test of feedback: {off:?}");
    on
}

#[test]
fn steady() {
    let outcome = holds("steady, with warm pages", Program::Steady);
    assert!(outcome.of_oracle >= 0.9, "{outcome:?}");
    // And where nothing is warm, feedback is not in the way.
    let still = run(Program::Still, Some(GOAL));
    table(&[("steady, hot and cold only", still.clone())]);
    assert!(still.of_oracle >= 0.999 && still.refaulted == 0, "{still:?}");
}

#[test]
fn phase_change() {
    holds("another quarter hot each hour", Program::Phases);
}

#[test]
fn scan_through_all_memory() {
    holds("all is read each two hours", Program::Scan);
}

#[test]
fn adversary() {
    holds("touches each that has left", Program::Adversary);
}
