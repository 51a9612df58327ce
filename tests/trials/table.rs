//! What the runs came to, as a table in Markdown, and what is to hold of it.

use std::fmt;
use std::fs;
use std::time::Duration;

use anyhow::Result;
use etmem_testkit::size::MIB;

use crate::Plan;
use crate::loads::Load;
use crate::run::Minute;
use crate::stores::VALUE_BYTES;

/// Least throughput, as a share of that without the daemon.
const THROUGHPUT: f64 = 0.97;
/// Greatest p99.9, as a multiple of that without the daemon.
const P999: f64 = 1.2;
/// Longest time for a snapshot, as a multiple of that without the daemon.
const SNAPSHOT: f64 = 1.15;
/// Longest time for a marking, as a multiple of that without the daemon.
const MARKING: f64 = 1.3;
/// Rounds without the daemon that differ by more than this say nothing of one with it.
const COMPARABLE: f64 = 0.06;

fn mib(bytes: f64) -> f64 {
    bytes / MIB as f64
}

/// The machine, the settings, and the head of the table.
pub(crate) fn head(swap: &str, plan: &Plan) -> Result<()> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("Linux {}, {swap}, etmem {}", kernel.trim(), env!("CARGO_PKG_VERSION"));
    println!(
        "loop=3 interval=1 sleep=1 T=1, all else by default; {} minutes each, {} rounds, with etmemd and without in turn\n",
        plan.minutes, plan.rounds
    );
    println!(
        "| load | round | etmemd | minute | requests a second | p99, µs | p99.9, µs | resident, MiB | out, MiB | net, MiB | \
         available, MiB | snapshot or marking | \
         refaulted, MiB | etmemd's time | others' share of a processor |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    Ok(())
}

/// A minute of a run.
pub(crate) fn row(load: &Load, round: u32, with_daemon: bool, minute: &Minute) -> String {
    let Minute {
        number,
        requests_per_second,
        p99,
        p999,
        resident,
        out,
        net,
        available,
        snapshot,
        marking,
        refaulted,
        others,
        price,
        said: _,
    } = minute;
    format!(
        "| {} | {round} | {} | {number} | {requests_per_second:.0} | {p99} | {p999} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {:.2} | {:.2} s | \
         {:.0} % |",
        load.name,
        if with_daemon { "yes" } else { "no" },
        mib(*resident),
        mib(*out),
        mib(*net),
        mib(*available),
        snapshot.or(*marking).map_or(String::new(), |took| format!("{:.2} s", took.as_secs_f64())),
        mib(*refaulted),
        price.as_secs_f64(),
        others * 100.0
    )
}

/// What became of something that is to hold.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// None: it cannot be said.
    holds: Option<bool>,
    text: String,
}

impl Verdict {
    fn new(holds: impl Into<Option<bool>>, text: String) -> Self {
        Self { holds: holds.into(), text }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.holds == Some(false)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.holds {
            Some(true) => "holds",
            Some(false) => "DOES NOT HOLD",
            None => "cannot be compared",
        };
        write!(f, "{word}: {}", self.text)
    }
}

/// The least, the median, and the most of `figures`.
fn spread(figures: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let at = |at: usize| figures.get(at).copied().unwrap_or(0.0);
    [at(0), at(figures.len() / 2), at(figures.len().saturating_sub(1))]
}

/// Whether `with` is at most `most` times the median without, unless the rounds without differ by more than that themselves; there is
/// nothing that one round could be compared with.
fn at_most([least, bare, largest]: [f64; 3], rounds: usize, with: f64, most: f64) -> Option<bool> {
    let holds = with <= bare * most;
    (holds || (rounds > 1 && largest <= least * most)).then_some(holds)
}

/// What is to hold of how long `what` took in each round, with the daemon and without, if that was seen.
fn took(load: &str, what: &str, most: f64, times: [impl Iterator<Item = Duration>; 2]) -> Option<Verdict> {
    let [with, without] = times.map(|times| times.map(|took| took.as_secs_f64()).collect::<Vec<_>>());
    if with.is_empty() || without.is_empty() {
        return None;
    }
    let rounds = without.len();
    let ([_, took, _], alone) = (spread(with.into_iter()), spread(without.into_iter()));
    let [least, bare, largest] = alone;
    Some(Verdict::new(
        at_most(alone, rounds, took, most),
        format!(
            "{load}: {what} took {took:.2} s, at most {most} times {bare:.2} ({least:.2} to {largest:.2})"
        ),
    ))
}

/// What is to hold, minute by minute.
pub(crate) fn verdicts(load: &Load, without: &[Vec<Minute>], with: &[Vec<Minute>]) -> Vec<Verdict> {
    let name = load.name;
    let minutes = with.iter().map(Vec::len).min().unwrap_or(0);
    let mut verdicts = Vec::new();
    for minute in 0..minutes {
        let figures = |runs: &[Vec<Minute>], figure: fn(&Minute) -> f64| {
            spread(runs.iter().map(|run| figure(&run[minute])))
        };
        let rate = |minute: &Minute| minute.requests_per_second;
        let ([least, bare, most], [_, throughput, _]) = (figures(without, rate), figures(with, rate));
        let share = throughput / bare;
        // A difference of the rounds alone says nothing against it, and nothing for it; one round has none to compare it with.
        let is_comparable = share >= THROUGHPUT || (without.len() > 1 && (most - least) / bare <= COMPARABLE);
        verdicts.push(Verdict::new(
            is_comparable.then_some(share >= THROUGHPUT),
            format!(
                "{name}, minute {}: {:.1} % of the throughput, at least {:.0} (rounds without it differ by {:.1} %)",
                minute + 1,
                share * 100.0,
                THROUGHPUT * 100.0,
                (most - least) / bare * 100.0
            ),
        ));
        let tail = |minute: &Minute| minute.p999 as f64;
        let (alone, [_, tail, _]) = (figures(without, tail), figures(with, tail));
        let [least, bare, most] = alone;
        verdicts.push(Verdict::new(
            at_most(alone, without.len(), tail, P999),
            format!(
                "{name}, minute {}: p99.9 {tail:.0} µs, at most {P999} times {bare:.0} (rounds without it: {least:.0} to {most:.0})",
                minute + 1
            ),
        ));
        let [_, net, _] = figures(with, |minute| minute.net);
        // Pages of the server's own come and go.
        if net < -4.0 * MIB as f64 {
            verdicts.push(Verdict::new(
                false,
                format!("{name}, minute {}: saves {:.0} MiB net", minute + 1, mib(net)),
            ));
        }
    }
    for minute in 0..minutes {
        let [with, without] = [with, without].map(|runs| runs.iter().map(|run| &run[minute]));
        let snapshot = |minute: &Minute| minute.snapshot;
        let name = format!("{name}, minute {}", minute + 1);
        verdicts.extend(took(
            &name,
            "a snapshot",
            SNAPSHOT,
            [with, without].map(|all| all.filter_map(snapshot)),
        ));
    }
    let longest = |run: &Vec<Minute>| run.iter().filter_map(|minute| minute.marking).max();
    verdicts.extend(took(
        name,
        "the longest marking",
        MARKING,
        [with, without].map(|runs| runs.iter().filter_map(longest)),
    ));
    for minute in (0..minutes).filter(|minute| with[0][*minute].snapshot.is_some()) {
        for after in (minute..minutes).take(2) {
            let available = |runs: &[Vec<Minute>]| spread(runs.iter().map(|run| run[after].available))[1];
            let (with, without) = (available(with), available(without));
            verdicts.push(Verdict::new(
                with >= without,
                format!(
                    "{name}, minute {}, after a snapshot: {:.0} MiB more are available than before, {:.0} without it",
                    after + 1,
                    mib(with),
                    mib(without)
                ),
            ));
        }
    }
    let data = (load.keys * VALUE_BYTES) as f64;
    let last = |figure: fn(&Minute) -> f64| spread(with.iter().filter_map(|run| run.last()).map(figure))[1];
    let out = last(|minute| minute.out) / data;
    verdicts.push(Verdict::new(
        out >= load.out_at_least,
        format!(
            "{name}, at the end: {:.1} % of the data is out, at least {:.0}; {:.0} MiB saved net",
            out * 100.0,
            load.out_at_least * 100.0,
            mib(last(|minute| minute.net))
        ),
    ));
    verdicts
}
