//! `kill -9` of the daemon at 200 random moments of start, scan, move and stop, here and in a virtual machine with Debian's 6.12:
//! it starts again each time, nothing that it set is left set, and no target is stopped or damaged.
//!
//! A [`series`] is one daemon after another on one socket, with one target; several series run side by side. Each [`round`] of a
//! series brings the daemon into a phase, kills it, and starts the next one. The [`plan`] says when: a phase, and a share of the
//! time that the phase takes when nothing is killed. It is the same in every run. After each kill, [`leftovers`] looks for
//! anything that is still set; at the end, [`report`] prints what the kills met. One round alone:
//!
//! ```text
//! ETMEM_KILLED=damon-1:17 cargo test --workspace --test killed -- --ignored 6.12
//! ```

mod damon;
mod leftovers;
mod plan;
mod process;
mod report;
mod round;
mod series;
mod target;

use std::env;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Machine, trial};
use etmem_testkit::machine::{Need, describe};
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{for_soak, run_in_turn, trial_or_skip};
use round::Kill;
use series::{Kind, Series, SeriesId};
use target::Target;

/// Names one round: `SERIES:NUMBER`.
const ONE: &str = "ETMEM_KILLED";
/// Several times what it takes on a machine that does nothing else.
const LABORATORY_SECONDS: u64 = 800;
const SWAP: usize = 160 * MIB;

/// How many kills of which series, on this machine. DAMON is left to the virtual machine.
const HERE: [(SeriesId, usize); 4] = [
    (SeriesId(Kind::Slide, 1), 70),
    (SeriesId(Kind::Background, 1), 55),
    (SeriesId(Kind::Modules, 1), 45),
    (SeriesId(Kind::Isolated, 1), 30),
];
const LABORATORY: [(SeriesId, usize); 4] = [
    (SeriesId(Kind::Slide, 1), 38),
    (SeriesId(Kind::Slide, 2), 38),
    (SeriesId(Kind::Background, 1), 44),
    (SeriesId(Kind::Damon, 1), 80),
];
const _: () = assert!(sum(&HERE) == 200 && sum(&LABORATORY) == 200);

const fn sum(rounds: &[(SeriesId, usize)]) -> usize {
    match rounds {
        [] => 0,
        [(_, count), rest @ ..] => *count + sum(rest),
    }
}

fn main() -> ExitCode {
    let in_the_laboratory = |one: &str, binaries: &Binaries| play(binaries, &LABORATORY, only(Some(one))?);
    if let Some(status) = guest::story(in_the_laboratory) {
        return status;
    }
    let needs = [
        Need::Root,
        Need::Bpf,
        Need::Swap(SWAP),
        Need::FakeProc,
        Need::Program("gcc"),
        Need::Package("glib-2.0"),
    ];
    let machine = Machine { modules: &["zram", "lz4"], seconds: LABORATORY_SECONDS, ..Machine::of("6.12") };
    let missing = laboratory::lacks(machine.kernel);
    run_in_turn(vec![
        trial_or_skip("at_200_moments_here", &needs, || {
            play(Binaries::build()?, &HERE, only(asked().as_deref())?)
        }),
        trial(&for_soak("at_200_moments_on_linux_6.12", 5), missing.as_deref(), move || boot(machine))
            .with_ignored_flag(true),
    ])
}

/// The round that the environment asks for alone.
fn asked() -> Option<String> {
    env::var(ONE).ok()
}

/// The series and the round that are asked for alone.
fn only(asked: Option<&str>) -> Result<Option<(SeriesId, usize)>> {
    let Some(text) = asked.filter(|text| !text.is_empty()) else { return Ok(None) };
    let (name, number) = text.split_once(':').with_context(|| format!("{ONE}={text}: not SERIES:NUMBER"))?;
    let series = HERE.iter().chain(&LABORATORY).find(|(id, _)| id.to_string() == name);
    let (id, _) = series.with_context(|| format!("{ONE}={text}: there is no series {name}"))?;
    Ok(Some((*id, number.parse()?)))
}

fn boot(machine: Machine) -> Result<()> {
    let one = asked().unwrap_or_default();
    only(Some(&one))?;
    guest::boot(machine, &one)
}

/// What a series has come to.
#[derive(Debug)]
struct Outcome {
    series: Series,
    kills: Vec<Kill>,
    failed: Option<String>,
}

fn play(binaries: &Binaries, plan: &[(SeriesId, usize)], only: Option<(SeriesId, usize)>) -> Result<()> {
    // Daemons in the background become children of this process, which then can wait for them.
    nix::sys::prctl::set_child_subreaper(true).context("cannot take over orphans")?;
    let clock = WallClock::new();
    let swap = SwapGuard::acquire(SWAP)?;
    println!("{}; swap: {}", describe(), swap.describe());
    let folder = tempfile::Builder::new().prefix("etmem-test-").tempdir()?;
    let settings = leftovers::settings();
    ensure!(!settings.is_empty(), "no setting of the kernel can be read");
    let mut all_series = Vec::new();
    for (id, rounds) in plan.iter().filter(|(id, _)| only.is_none_or(|(one, _)| one == *id)) {
        let target = Target::of(*id, binaries, folder.path())?;
        all_series.push((Series::new(*id, target, binaries)?, *rounds));
    }
    ensure!(!all_series.is_empty(), "the series that is asked for is not here, but in the other test");
    println!("{:?}: {} targets have their memory", clock.now(), all_series.len());

    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let threads: Vec<_> = all_series
            .into_iter()
            .map(|(series, rounds)| scope.spawn(move || kill_again_and_again(series, rounds, only)))
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "panicked")).collect::<Result<_, _>>()
    })
    .map_err(anyhow::Error::msg)?;

    report::print(
        &outcomes.iter().map(|outcomes| (&outcomes.series, &outcomes.kills[..])).collect::<Vec<_>>(),
        clock.now(),
    );
    let failed: Vec<String> = outcomes.into_iter().filter_map(|outcomes| outcomes.failed).collect();
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    leftovers::no_programs()?;
    let now = leftovers::settings();
    let changed: Vec<&String> =
        settings.iter().filter(|(file, text)| now.get(*file) != Some(text)).map(|(file, _)| file).collect();
    ensure!(changed.is_empty(), "settings of the kernel have changed: {changed:?}");
    Ok(())
}

/// All rounds of a series, or one: the first that fails is the last.
fn kill_again_and_again(mut series: Series, rounds: usize, only: Option<(SeriesId, usize)>) -> Outcome {
    let mut kills = Vec::new();
    let numbers = match only {
        Some((_, number)) => number..number + 1,
        None => 0..rounds,
    };
    let failed = rounds_of(&mut series, numbers, &mut kills).err().map(|error| {
        let log = |daemon: &Option<process::DaemonProcess>| {
            daemon.as_ref().map(|daemon| daemon.log()).unwrap_or_default()
        };
        format!(
            "{error:#}\nlog of the one before:\n{}log of the last:\n{}",
            log(&series.before),
            log(&series.daemon)
        )
    });
    Outcome { series, kills, failed }
}

fn rounds_of(series: &mut Series, numbers: std::ops::Range<usize>, kills: &mut Vec<Kill>) -> Result<()> {
    let id = series.id;
    let as_it_was = series.target.fingerprint()?;
    round::measure(series).with_context(|| format!("series {id}, before the first kill"))?;
    for number in numbers {
        let moment = plan::moment(id.seed(), number, series.kind.phases());
        let kill = round::play(series, number, moment).with_context(|| {
            let (phase, length) = (moment.phase, series.length(moment.phase));
            format!(
                "series {id}, round {number}, seed {}: killed in {} at {} of {length:?}; again by {ONE}={id}:{number}",
                moment.seed,
                phase.name(),
                moment.share
            )
        })?;
        kills.push(kill);
    }
    series.end().with_context(|| format!("series {id}, after the last kill"))?;
    series.target.verify()?;
    ensure!(series.target.fingerprint()? == as_it_was, "the target of series {id} is not as it was");
    Ok(())
}
