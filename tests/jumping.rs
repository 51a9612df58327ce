//! A hot set that jumps about, on real memory: what came back stays, and the program keeps its pace.
//!
//! `make soak` runs the long one, ten minutes: a program of 1 GiB whose hot 128 MiB jump every 20 s for three minutes, with
//! feedback and without.
//!
//! What a program's pace is held against is its own, once the task has stopped: how fast 128 MiB can be touched at random
//! depends on where they lie in the machine's memory, by a quarter and more, so another program's pace, or the same
//! program's before its pages had come back, tells little. Another program does the same beside it all the time, so that
//! what slows both is left out.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use etmem_testkit::daemon::{ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::pagemap::{stat_field, status_bytes};
use etmem_testkit::size::MIB;
use etmem_testkit::stage::Stage;
use etmem_testkit::trial::{for_soak, run_in_turn, trial_or_skip};
use etmem_testkit::workload::{Mark, Options, Workload};

const SWAP: usize = 512 * MIB;
const LARGE_SWAP: usize = 1280 * MIB;
/// Least share of the untouched pace that is left with feedback.
const PACE: f64 = 0.9;

fn main() -> ExitCode {
    let needs = |swap| [Need::Root, Need::Bpf, Need::Swap(swap)];
    run_in_turn(vec![
        trial_or_skip("what_came_back_stays", &needs(SWAP), short),
        trial_or_skip(&for_soak("a_hot_set_that_jumps_for_three_minutes", 10), &needs(LARGE_SWAP), long)
            .with_ignored_flag(true),
    ])
}

/// A program whose hot part jumps; each part of its memory is hot in its turn.
struct Jumping {
    memory: usize,
    hot: usize,
    swap: usize,
    jumps: usize,
    every: Duration,
    /// How long it stays at each place once it is left alone, for its pace; `None` if that is not asked.
    left_alone: Option<Duration>,
}

const SHORT: Jumping = Jumping {
    memory: 128 * MIB,
    hot: 16 * MIB,
    swap: SWAP,
    jumps: 5,
    every: Duration::from_secs(2),
    // Over so short a time, a machine that does something else as well tells nothing.
    left_alone: None,
};
const LONG: Jumping = Jumping {
    memory: 1024 * MIB,
    hot: 128 * MIB,
    swap: LARGE_SWAP,
    jumps: 9,
    every: Duration::from_secs(20),
    left_alone: Some(Duration::from_secs(10)),
};

/// What a run told.
#[derive(Debug)]
struct Run {
    fetched_back: u64,
    swapped: usize,
    /// Of the pace that it has when left alone.
    kept: Option<Kept>,
}

/// Shares of a pace.
#[derive(Debug)]
struct Kept {
    /// Touches in a second.
    touches: f64,
    /// The same, of what the other program kept of its pace.
    beside: f64,
    /// Touches in a second of its own processor time, of what the other program kept of those.
    by_processor_time: f64,
}

fn short() -> Result<()> {
    jumps(&SHORT).map(drop)
}

fn long() -> Result<()> {
    let kept = jumps(&LONG)?.kept;
    ensure!(kept.as_ref().is_some_and(|kept| kept.by_processor_time >= PACE), "{kept:?} of its pace");
    Ok(())
}

/// The run with feedback, which was compared with one without.
fn jumps(jumping: &Jumping) -> Result<Run> {
    let on = run(jumping, "max_refault=0.2")?;
    let off = run(jumping, "max_refault=none")?;
    for (name, run) in [("feedback on", &on), ("feedback off", &off)] {
        print!(
            "{name:<13} fetched back {:>7} pages, in swap at the end {:>4} MiB",
            run.fetched_back,
            run.swapped / MIB
        );
        match &run.kept {
            Some(Kept { touches, beside, by_processor_time }) => println!(
                ", touches {:.1} % of those when left alone, beside another program's {:.1} %, by processor time {:.1} %",
                touches * 100.0,
                beside * 100.0,
                by_processor_time * 100.0
            ),
            None => println!(),
        }
    }
    ensure!(off.fetched_back > 0, "this is no test of feedback: {off:?}");
    // Without it, what came back goes again; with it, each page comes back once at most, and the last ones stay.
    // What is fetched back in so short a time depends on when the first surprises come; that less is out at the end does not.
    ensure!(on.swapped < off.swapped, "{on:?}, without feedback {off:?}");
    Ok(on)
}

/// The target of a task with this line, and another program that does the same.
fn run(jumping: &Jumping, line: &str) -> Result<Run> {
    let stage = Stage::with_swap(jumping.swap)?;
    // Short rests would change a pace.
    let judged = jumping.left_alone.is_some();
    let options = match judged {
        true => Options::new(jumping.memory, jumping.hot),
        false => Options::gentle(jumping.memory, jumping.hot),
    };
    let mut pair =
        Pair { stage: &stage, target: stage.workload(&options)?, other: stage.workload(&options)? };
    let pid = pair.target.pid();
    let file = if judged { ProjectFile::new("p") } else { ProjectFile::brisk("p") };
    let file = file.task_with("t", TaskKind::Pid(pid), &["T=1", line]);
    stage.daemon.add(&file.to_string())?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    if !judged {
        // So that there is something to come back.
        stage.wait_until_cold_is_out(pair.target.footprint())?;
    }
    let fetched = stat_field(pid, 12)?;
    let with_task = pair.visit(jumping.jumps, jumping.every)?;
    let fetched_back = stat_field(pid, 12)? - fetched;
    let swapped = status_bytes(pid, "VmSwap")?;
    stage.daemon.must(&["project", "stop", "-n", "p"])?;
    if line != "max_refault=none" {
        let log = stage.daemon.log();
        ensure!(log.contains("more came back than max_refault or max_stall allows"), "log:\n{log}");
        let times =
            log.lines().filter(|line| line.contains("WARN") && line.contains("nothing moves")).count();
        ensure!(times <= 1, "said {times} times:\n{log}");
    }
    // Which fetches back all that is still out.
    ensure!(pair.target.verify()? == jumping.memory);
    let Some(dwell) = jumping.left_alone else { return Ok(Run { fetched_back, swapped, kept: None }) };

    let places = jumping.memory / jumping.hot;
    let alone = pair.visit(places, dwell)?;
    // The visits went on where those before them ended.
    let same_place = |visit: usize| &alone[(visit + alone.len() - jumping.jumps % places) % places];
    let sum = |what: fn(&Visit) -> f64| {
        let now: f64 = with_task.iter().map(what).sum();
        let then: f64 = (0..with_task.len()).map(|visit| what(same_place(visit))).sum();
        now / then
    };
    let kept = Kept {
        touches: sum(|visit| visit.touches),
        beside: sum(|visit| visit.touches) / sum(|visit| visit.others_touches),
        by_processor_time: sum(|visit| visit.by_processor_time) / sum(|visit| visit.others_by_processor_time),
    };
    Ok(Run { fetched_back, swapped, kept: Some(kept) })
}

/// The target and the other program.
struct Pair<'a> {
    stage: &'a Stage,
    target: Workload,
    other: Workload,
}

/// Touches in a second while both were at one place, and in a second of their own processor time.
#[derive(Debug)]
struct Visit {
    touches: f64,
    by_processor_time: f64,
    others_touches: f64,
    others_by_processor_time: f64,
}

impl Pair<'_> {
    /// Both stay where they are for `stay`, and jump; `times` times.
    fn visit(&mut self, times: usize, stay: Duration) -> Result<Vec<Visit>> {
        let mut visits = Vec::new();
        for _ in 0..times {
            let look = |workload: &Workload| Mark::look(&self.stage.clock, workload);
            let before = (look(&self.target)?, look(&self.other)?);
            self.stage.pass(stay)?;
            let (target, other) = (look(&self.target)?.since(before.0)?, look(&self.other)?.since(before.1)?);
            visits.push(Visit {
                touches: target.touches,
                by_processor_time: target.touches_per_processor_second(),
                others_touches: other.touches,
                others_by_processor_time: other.touches_per_processor_second(),
            });
            self.target.jump()?;
            self.other.jump()?;
        }
        Ok(visits)
    }
}
