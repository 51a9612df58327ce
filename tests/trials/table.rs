//! What the runs came to, as a table in Markdown, and what is to hold of it.

use std::fmt;
use std::fs;
use std::time::Duration;

use anyhow::Result;
use etmem_testkit::size::MIB;

use crate::Plan;
use crate::loads::Load;
use crate::run::{ALONE, Minute, Speed, WATCHED};
use crate::stores::VALUE_BYTES;

/// Least throughput, as a share of that without the daemon.
const THROUGHPUT: f64 = 0.97;
/// Greatest p99.9, as a multiple of that without the daemon.
const P999: f64 = 1.2;
/// Longest time for a snapshot, as a multiple of that without the daemon.
const SNAPSHOT: f64 = 1.15;
/// Longest time for a marking, as a multiple of that without the daemon.
const MARKING: f64 = 1.3;
/// What other programs' use of memory may make of `MemAvailable`, in bytes.
const UNSTEADY: f64 = 16.0 * MIB as f64;

fn mib(bytes: f64) -> f64 {
    bytes / MIB as f64
}

/// The machine, the settings, and the head of the table.
pub(crate) fn head(swap: &str, plan: &Plan) -> Result<()> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("Linux {}, {swap}, etmem {}", kernel.trim(), env!("CARGO_PKG_VERSION"));
    println!(
        "loop=3 interval=1 sleep=1 T=1, all else by default; {} minutes each, {} rounds. Two servers are asked in turn, half a second \
         each. etmemd watches the first, from minute 1 on; figures of memory are of that one.\n",
        plan.minutes, plan.rounds
    );
    println!(
        "| load | round | minute | requests a second | alone | share | p99, µs | alone | p99.9, µs | alone | resident, MiB | out, MiB | net, MiB | \
         available, MiB | snapshot or marking | alone | refaulted, MiB | etmemd's time | others' share of a processor |\n\
         |{}",
        " --- |".repeat(19)
    );
    Ok(())
}

/// A minute of a round.
pub(crate) fn row(load: &Load, round: u32, minute: &Minute) -> String {
    let Minute { number, speed, resident, out, net, available, refaulted, others, price, said: _ } = minute;
    let [watched, alone] = speed;
    let took = |speed: &Speed| {
        let took = speed.snapshot.or(speed.marking);
        took.map_or(String::new(), |took| format!("{:.2} s", took.as_secs_f64()))
    };
    format!(
        "| {} | {round} | {number} | {:.0} | {:.0} | {:.1} % | {} | {} | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {} | {:.2} | \
         {:.2} s | {:.0} % |",
        load.name,
        watched.requests_per_second,
        alone.requests_per_second,
        throughput(minute) * 100.0,
        watched.p99,
        alone.p99,
        watched.p999,
        alone.p999,
        mib(*resident),
        mib(*out),
        mib(*net),
        mib(*available),
        took(watched),
        took(alone),
        mib(*refaulted),
        price.as_secs_f64(),
        others * 100.0
    )
}

/// A figure of minute `minute` of each round, of those that have it. Two servers alike are not: what one has over the other before etmemd
/// watches it, it has after that.
fn beside_before(rounds: &[Vec<Minute>], minute: usize, figure: fn(&Minute) -> f64) -> [f64; 3] {
    spread(rounds.iter().filter_map(|round| Some(figure(round.get(minute)?) / figure(round.first()?))))
}

/// Requests a second, as a share of those of the server that is left alone.
fn throughput(minute: &Minute) -> f64 {
    minute.speed[WATCHED].requests_per_second / minute.speed[ALONE].requests_per_second.max(1.0)
}

/// p99.9, as a multiple of that of the server that is left alone.
fn tail(minute: &Minute) -> f64 {
    minute.speed[WATCHED].p999 as f64 / minute.speed[ALONE].p999.max(1) as f64
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

    /// Of the median of `rounds`: by one or two nothing is said against it.
    fn of_rounds(rounds: usize, holds: bool, text: String) -> Self {
        Self::new((holds || rounds >= 3).then_some(holds), text)
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

/// What is to hold of how long `what` took with etmemd beside without, if that was seen.
fn took(load: &str, what: &str, most: f64, times: [Option<Duration>; 2]) -> Option<Verdict> {
    let [watched, alone] = times.map(|took| Some(took?.as_secs_f64()));
    let (watched, alone) = watched.zip(alone)?;
    Some(Verdict::new(
        watched <= alone * most,
        format!("{load}: {what} took {watched:.2} s, at most {most} times {alone:.2}"),
    ))
}

/// What is to hold, minute by minute.
pub(crate) fn verdicts(load: &Load, rounds: &[Vec<Minute>]) -> Vec<Verdict> {
    let minutes = rounds.iter().map(Vec::len).min().unwrap_or(0);
    let mut verdicts = Vec::new();
    let of = |minute: usize, figure: fn(&Minute) -> f64| {
        spread(rounds.iter().filter_map(|round| round.get(minute)).map(figure))
    };
    for minute in 1..minutes {
        let name = format!("{}, minute {minute}", load.name);
        let [least, share, most] = beside_before(rounds, minute, throughput);
        verdicts.push(Verdict::of_rounds(
            rounds.len(),
            share >= THROUGHPUT,
            format!(
                "{name}: {:.1} % of the throughput ({:.1} to {:.1}), at least {:.0}",
                share * 100.0,
                least * 100.0,
                most * 100.0,
                THROUGHPUT * 100.0
            ),
        ));
        let [least, times, most] = beside_before(rounds, minute, tail);
        verdicts.push(Verdict::of_rounds(
            rounds.len(),
            times <= P999,
            format!("{name}: {times:.2} times the p99.9 ({least:.2} to {most:.2}), at most {P999}"),
        ));
        let [_, net, _] = of(minute, |minute| minute.net);
        // Pages of the server's own come and go.
        if net < -4.0 * MIB as f64 {
            verdicts.push(Verdict::new(false, format!("{name}: saves {:.0} MiB net", mib(net))));
        }
        let snapshot = |number: usize| {
            let mut all: Vec<Duration> =
                rounds.iter().filter_map(|round| round[minute].speed[number].snapshot).collect();
            all.sort();
            all.get(all.len() / 2).copied()
        };
        let snapshots = [snapshot(WATCHED), snapshot(ALONE)];
        let had_one = snapshots[WATCHED].is_some();
        verdicts.extend(took(&name, "a snapshot", SNAPSHOT, snapshots));
        for after in (minute..minutes).take(if had_one { 2 } else { 0 }) {
            let available = of(after, |minute| minute.available)[1];
            verdicts.push(Verdict::new(
                available >= -UNSTEADY,
                format!(
                    "{}, minute {after}, after a snapshot: {:.0} MiB more are available than at the beginning",
                    load.name,
                    mib(available)
                ),
            ));
        }
    }
    let longest = |number: usize| {
        let watched = rounds.iter().flatten().filter(|minute| minute.number > 0);
        watched.filter_map(|minute| minute.speed[number].marking).max()
    };
    verdicts.extend(took(load.name, "the longest marking", MARKING, [longest(WATCHED), longest(ALONE)]));
    let data = (load.keys * VALUE_BYTES) as f64;
    let last = |figure: fn(&Minute) -> f64| minutes.checked_sub(1).map_or(0.0, |last| of(last, figure)[1]);
    let out = last(|minute| minute.out) / data;
    verdicts.push(Verdict::new(
        out >= load.out_at_least,
        format!(
            "{}, at the end: {:.1} % of the data is out, at least {:.0}; {:.0} MiB saved net",
            load.name,
            out * 100.0,
            load.out_at_least * 100.0,
            mib(last(|minute| minute.net))
        ),
    ));
    verdicts
}
