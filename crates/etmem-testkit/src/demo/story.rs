//! What the demo does, in the order in which it is told.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::{Pace as Clock, Pacer};

use super::figures::{Figures, Live};
use super::simulated;
use super::verdict::{COLD_OUT, Claim};
use crate::clock::WallClock;
use crate::daemon::instance::path_text;
use crate::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use crate::machine::{self, Need};
use crate::size::{self, MIB};
use crate::swap::SwapGuard;
use crate::workload::{Mark, Options, Pace, Workload};

const MEMORY: usize = 1 << 30;
const HOT: usize = 128 * MIB;
/// The cold part, and room for pages that leave by mistake.
const SWAP: usize = MEMORY + 256 * MIB;
/// Caches, page tables and the processor's clock settle first.
const WARM_UP: Duration = Duration::from_secs(3);
/// Over how long the rate is measured, before and at the end.
const WINDOW: Duration = Duration::from_secs(10);
/// Seconds the live part may take: with what comes before and after, the demo stays below 90 s.
const LIVE_LIMIT: u64 = 60;
const SECOND: Duration = Duration::from_secs(1);

/// Tells the whole story, or where something is missing for that, a simulated one: whether all claims hold.
///
/// # Errors
/// Something that has nothing to do with the claims stands in the way; the message says what.
pub fn main() -> Result<bool> {
    if let Some(missing) = simulated::asked_for() {
        return simulated::tell(&missing);
    }
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    match machine::lacks(&needs) {
        Some(missing) => simulated::tell_where_it_can(&missing),
        None => tell(),
    }
}

fn tell() -> Result<bool> {
    let binaries = Binaries::beside()?;
    let clock = WallClock::new();

    println!("machine   {}", machine::describe());
    let swap = SwapGuard::acquire(SWAP)?;
    println!("swap      {}", swap.describe());
    let mut workload = Workload::start(&binaries.hotcold, &Options::new(MEMORY, HOT))?;
    let daemon = Daemon::start(&binaries)?;
    println!(
        "workload  hotcold, pid {}: {} of memory, {} of it touched at random without pause",
        workload.pid(),
        size::show(MEMORY),
        size::show(HOT)
    );
    println!("daemon    etmemd -s {}, pid {}", daemon.socket(), daemon.pid());

    ensure!(clock.pause(WARM_UP) == Clock::Continue, "stopped");
    println!("\nFor {} s nothing is done, to see how fast the workload is by itself.", WINDOW.as_secs());
    let first = Mark::look(&clock, &workload)?;
    ensure!(clock.pause(WINDOW) == Clock::Continue, "stopped");
    let pace_before = Mark::look(&clock, &workload)?.since(first)?;
    let before = Figures::look(&workload)?;
    println!("{:.2} million touches a second.\n", pace_before.touches / 1e6);

    let config = ProjectFile::new("demo").task("coldest", TaskKind::Pid(workload.pid())).to_string();
    let file = daemon.write("demo.conf", &config)?;
    let file = path_text(&file)?;
    println!("$ cat {file}");
    config.lines().for_each(|line| println!("    {line}"));
    show(&daemon, &["obj", "add", "-f", file])?;
    show(&daemon, &["project", "show", "-n", "demo"])?;
    show(&daemon, &["project", "start", "-n", "demo"])?;
    show(&daemon, &["project", "show", "-n", "demo"])?;

    println!();
    let end = watch(&clock, &workload, pace_before).with_context(|| format!("log:\n{}", daemon.log()))?;
    println!();
    show(&daemon, &["project", "stop", "-n", "demo"])?;
    show(&daemon, &["obj", "del", "-f", file])?;

    table((&before, pace_before), (&end.figures, end.pace));
    println!("\nReading every byte back ...");
    let verified = workload.verify().map_err(|error| error.to_string());
    let claims = [
        Claim::cold_out(end.figures.places.cold.share_swapped()),
        Claim::hot_out(end.hot_out(&before)),
        Claim::rate(end.pace.touches / pace_before.touches),
        Claim::whole(verified, MEMORY),
    ];
    println!();
    claims.iter().for_each(|claim| println!("{claim}"));
    if let Some(note) = disturbed(pace_before, end.pace) {
        println!("\n{note}");
    }
    let all = claims.iter().all(Claim::holds);
    println!(
        "\n{} s in all; {}.",
        clock.now().as_secs(),
        if all { "all of it holds" } else { "NOT all of it holds" }
    );
    if !all {
        println!("\nThe daemon's log:\n{}", daemon.log());
    }
    Ok(all)
}

fn show(daemon: &Daemon, words: &[&str]) -> Result<()> {
    println!("$ etmem {} -s {}", words.join(" "), daemon.socket());
    daemon.must(words)?.lines().for_each(|line| println!("    {}", line.trim_end()));
    Ok(())
}

/// What the live part ended with.
struct End {
    figures: Figures,
    /// How fast the workload was over the last seconds.
    pace: Pace,
    /// Most hot pages that were out at one look.
    hot_out_most: usize,
}

impl End {
    /// Share of the hot pages that left at any time. A page that came back between two looks was fetched by a
    /// fault, so the faults count as well.
    fn hot_out(&self, before: &Figures) -> f64 {
        let fetched = self.figures.fetched_back.saturating_sub(before.fetched_back);
        let left = fetched.max(self.hot_out_most as u64);
        left as f64 / self.figures.places.hot.pages().max(1) as f64
    }
}

/// Prints a line each second until the cold memory was out, and the workload as fast as it has to be, for as long as the
/// rate is measured. Both have [`LIVE_LIMIT`] to come true: a machine that does something else as well, or whose processor
/// other machines use, lets the workload go faster and slower whether or not it is watched, but a daemon that slows its
/// target does so in every window.
fn watch(clock: &WallClock, workload: &Workload, before: Pace) -> Result<End> {
    let mut marks = vec![Mark::look(clock, workload)?];
    let mut hot_out_most = 0;
    let mut out_since = None;
    for seconds in 1..=LIVE_LIMIT {
        ensure!(clock.pause(SECOND) == Clock::Continue, "stopped");
        let mark = Mark::look(clock, workload)?;
        let now = mark.since(marks[marks.len() - 1])?;
        marks.push(mark);
        let figures = Figures::look(workload)?;
        hot_out_most = hot_out_most.max(figures.places.hot.swapped);
        println!("{}", Live { seconds, figures, now, before });
        if out_since.is_none() && figures.places.cold.share_swapped() >= COLD_OUT {
            out_since = Some(seconds);
        }
        let long_enough = out_since.is_some_and(|since| seconds >= since + WINDOW.as_secs());
        let pace = last_pace(&marks)?;
        let fast_enough = Claim::rate(pace.touches / before.touches).holds();
        if long_enough && fast_enough || seconds == LIVE_LIMIT {
            return Ok(End { figures, pace, hot_out_most });
        }
    }
    unreachable!("the last second returns")
}

fn last_pace(marks: &[Mark]) -> Result<Pace> {
    let window = usize::try_from(WINDOW.as_secs())?;
    marks[marks.len() - 1].since(marks[marks.len().saturating_sub(window + 1)])
}

/// What to say when other programs had more of the machine in one of the two windows than in the other: then the
/// rates tell of them as well.
fn disturbed(before: Pace, after: Pace) -> Option<String> {
    ((before.processor - after.processor).abs() > 0.05).then(|| {
        format!(
            "Other programs took processor time from the workload: it had {:.0} % of a processor before and {:.0} % at \
             the end, so the two rates are not quite comparable. By its own processor time it touches {:.1} % of before.",
            before.processor * 100.0,
            after.processor * 100.0,
            after.touches_per_processor_second() / before.touches_per_processor_second() * 100.0,
        )
    })
}

fn table((before, pace_before): (&Figures, Pace), (after, pace_after): (&Figures, Pace)) {
    let mib = |bytes: usize| format!("{} MiB", bytes / MIB);
    let pages = |count: usize| format!("{count} pages");
    let millions = |touches: f64| format!("{:.2} M", touches / 1e6);
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let rows = [
        ("resident", mib(before.resident), mib(after.resident)),
        ("in swap", mib(before.swapped), mib(after.swapped)),
        ("cold, in memory", pages(before.places.cold.present), pages(after.places.cold.present)),
        ("cold, in swap", pages(before.places.cold.swapped), pages(after.places.cold.swapped)),
        ("hot, in memory", pages(before.places.hot.present), pages(after.places.hot.present)),
        ("hot, in swap", pages(before.places.hot.swapped), pages(after.places.hot.swapped)),
        ("fetched back by a fault", before.fetched_back.to_string(), after.fetched_back.to_string()),
        ("touches a second", millions(pace_before.touches), millions(pace_after.touches)),
        ("share of a processor", percent(pace_before.processor), percent(pace_after.processor)),
        ("the machine's memory available", mib(before.available), mib(after.available)),
    ];
    println!("\n  {:<32} {:>16} {:>16}", "", "before", "after");
    rows.iter().for_each(|(what, before, after)| println!("  {what:<32} {before:>16} {after:>16}"));
}
