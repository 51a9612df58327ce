//! What the demo does, in the order in which it is shown.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::{Pace as Clock, Pacer};

use super::figures::{Figures, Live};
use super::project::Wanted;
use super::simulated;
use super::verdict::{COLD_OUT, Claim, Verdict};
use crate::clock::WallClock;
use crate::daemon::instance::path_text;
use crate::daemon::{Binaries, Daemon};
use crate::machine::{self, Need};
use crate::size::{self, MIB};
use crate::swap::{SwapGuard, leftover};
use crate::workload::{Mark, Options, Pace, Workload};

const MEMORY: usize = 1 << 30;
const HOT: usize = 128 * MIB;
/// The cold part, and room for pages that leave by mistake.
const SWAP: usize = MEMORY + 256 * MIB;
/// Caches, page tables and the processor's clock settle first.
const WARM_UP: Duration = Duration::from_secs(3);
/// How long the workload is watched before, and after its cold memory has left.
const WINDOW_SECONDS: u16 = 10;
const WINDOW: Duration = Duration::from_secs(WINDOW_SECONDS as u64);
/// Seconds the live part may take: some 20 are enough where the daemon gets a processor when it wants one.
const LIVE_LIMIT: u64 = 120;
const SECOND: Duration = Duration::from_secs(1);

/// Tells the whole story, or where something is missing for that, a simulated one.
///
/// # Errors
/// Something that has nothing to do with the claims stands in the way; the message says what.
pub fn main() -> Result<Verdict> {
    let wanted = Wanted::from_command_line();
    if let Some(missing) = simulated::asked_for() {
        return simulated::tell(&missing, wanted);
    }
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    if let Some(missing) = machine::lacks(&needs) {
        return simulated::tell_where_it_can(&missing, wanted);
    }
    println!("machine   {}", machine::describe());
    if leftover::find().is_ok_and(|setups| !setups.is_empty()) {
        println!("swap      waiting until another demo or test has finished with it, ten minutes at most");
    }
    match SwapGuard::acquire(SWAP) {
        Ok(swap) => tell(&swap, wanted),
        Err(error) => Ok(Verdict::Skipped(format!("there is no swap for the demo now: {error:#}"))),
    }
}

fn tell(swap: &SwapGuard, wanted: Wanted) -> Result<Verdict> {
    println!("swap      {}", swap.describe());
    let binaries = Binaries::beside()?;
    let clock = WallClock::new();
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
    println!("\nFor {} s nothing is done, to see how fast the workload is.", WINDOW.as_secs());
    let first = Mark::look(&clock, &workload)?;
    ensure!(clock.pause(WINDOW) == Clock::Continue, "stopped");
    let pace_before = pace(first, Mark::look(&clock, &workload)?);
    println!("{:.2} million touches a second.\n", pace_before.touches / 1e6);

    let config = wanted.project(workload.pid()).to_string();
    let file = daemon.write("demo.conf", &config)?;
    let file = path_text(&file)?;
    println!("$ cat {file}");
    config.lines().for_each(|line| println!("    {line}"));
    show(&daemon, &["obj", "add", "-f", file])?;
    show(&daemon, &["project", "show", "-n", "demo"])?;
    let before = Figures::look(&clock, &workload)?;
    show(&daemon, &["project", "start", "-n", "demo"])?;
    show(&daemon, &["project", "show", "-n", "demo"])?;

    println!();
    let end =
        watch(&clock, &workload, &before, pace_before).with_context(|| format!("log:\n{}", daemon.log()))?;
    println!();
    show(&daemon, &["project", "stop", "-n", "demo"])?;
    show(&daemon, &["obj", "del", "-f", file])?;

    table((&before, pace_before), (&end.figures, end.pace));
    println!("\nReading every byte back ...");
    let whole = Claim::whole(workload.verify().map_err(|error| error.to_string()), MEMORY);
    let verdict = end.verdict(&before, whole);
    println!(
        "\n{} s in all; {}.",
        clock.now().as_secs(),
        match verdict {
            Verdict::Holds => "all of it holds",
            Verdict::Broken => "NOT all of it holds",
            Verdict::Skipped(_) => "what could be shown holds",
        }
    );
    if verdict == Verdict::Broken {
        println!("\nThe daemon's log:\n{}", daemon.log());
    }
    Ok(verdict)
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
    fn hot_claims(&self, before: &Figures) -> [Claim; 2] {
        let hot = self.figures.places.hot.pages();
        [
            Claim::hot_out(self.hot_out_most as f64 / hot.max(1) as f64),
            Claim::refaults(self.figures.refaults_since(before), hot),
        ]
    }

    /// Prints what is claimed.
    fn verdict(&self, before: &Figures, whole: Claim) -> Verdict {
        let spent = self.figures.shares_since(before);
        let cold_out = self.figures.places.cold.share_swapped();
        let [hot_out, refaults] = self.hot_claims(before);
        let others = [hot_out, refaults, Claim::waited(spent.map(|spent| spent.memory)), whole];
        let verdict = Verdict::of(cold_out, &others, spent);
        println!("\n{}", Claim::cold_out(cold_out).excused_by(&verdict));
        others.iter().for_each(|claim| println!("{claim}"));
        verdict
    }
}

/// Prints a line each second until the cold memory was out for [`WINDOW`], or so much hot memory left that the rest
/// cannot mend it, at most for [`LIVE_LIMIT`].
fn watch(clock: &WallClock, workload: &Workload, before: &Figures, pace_before: Pace) -> Result<End> {
    let mut marks = vec![Mark::look(clock, workload)?];
    let mut hot_out_most = 0;
    let mut out_since = None;
    for seconds in 1.. {
        ensure!(clock.pause(SECOND) == Clock::Continue, "stopped");
        let mark = Mark::look(clock, workload)?;
        let now = pace(marks[marks.len() - 1], mark);
        marks.push(mark);
        let figures = Figures::look(clock, workload)?;
        hot_out_most = hot_out_most.max(figures.places.hot.swapped);
        println!("{}", Live { seconds, figures, now, before: pace_before });
        if out_since.is_none() && figures.places.cold.share_swapped() >= COLD_OUT {
            out_since = Some(seconds);
        }
        let end = End { figures, pace: last_pace(&marks), hot_out_most };
        let long_enough = out_since.is_some_and(|since| seconds >= since + WINDOW.as_secs());
        if long_enough || seconds == LIVE_LIMIT || end.hot_claims(before).iter().any(Claim::is_broken) {
            return Ok(end);
        }
    }
    unreachable!("the last second returns")
}

fn last_pace(marks: &[Mark]) -> Pace {
    let window = marks.len().min(usize::from(WINDOW_SECONDS) + 1);
    pace(marks[marks.len() - window], marks[marks.len() - 1])
}

/// A workload that got no processor for so long that it reported no touch is no fault of the daemon's.
fn pace(from: Mark, to: Mark) -> Pace {
    to.since(from).unwrap_or_default()
}

fn table((before, pace_before): (&Figures, Pace), (after, pace_after): (&Figures, Pace)) {
    let mib = |bytes: usize| format!("{} MiB", bytes / MIB);
    let pages = |count: usize| format!("{count} pages");
    let millions = |touches: f64| format!("{:.2} M", touches / 1e6);
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let [before_own, after_own] = [pace_before, pace_after].map(Pace::touches_per_processor_second);
    let rows = [
        ("resident", mib(before.resident), mib(after.resident)),
        ("in swap", mib(before.swapped), mib(after.swapped)),
        ("cold, in memory", pages(before.places.cold.present), pages(after.places.cold.present)),
        ("cold, in swap", pages(before.places.cold.swapped), pages(after.places.cold.swapped)),
        ("hot, in memory", pages(before.places.hot.present), pages(after.places.hot.present)),
        ("hot, in swap", pages(before.places.hot.swapped), pages(after.places.hot.swapped)),
        ("fetched back by a fault", before.fetched_back.to_string(), after.fetched_back.to_string()),
        ("touches a second", millions(pace_before.touches), millions(pace_after.touches)),
        ("touches a processor second", millions(before_own), millions(after_own)),
        ("share of a processor", percent(pace_before.processor), percent(pace_after.processor)),
        ("the machine's memory available", mib(before.available), mib(after.available)),
    ];
    println!("\n  {:<32} {:>16} {:>16}", "", "before", "after");
    rows.iter().for_each(|(what, before, after)| println!("  {what:<32} {before:>16} {after:>16}"));
}
