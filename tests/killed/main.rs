//! `kill -9` of the daemon at 200 random moments of start, scan, move and stop, here and in a virtual machine with Debian's 6.12:
//! it starts again each time, nothing that it set is left set, and no target is stopped or damaged.
//!
//! Several daemons, each with a socket, folders and a target of its own, are killed side by side ([`lane`]). When each is killed
//! is the same in each run ([`plan`]): a phase, and a share of the time that this phase took before anything was killed.
//! What is looked at afterwards is in [`left`]. Round 17 of one of them alone:
//!
//! ```text
//! ETMEM_KILLED=damon-1:17 cargo test -p etmem-tests --test killed -- --ignored 6.12
//! ```

mod damon;
mod lane;
mod left;
mod plan;
mod round;
mod table;
mod target;
mod victim;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::laboratory::{self, Machine, indented, quoted, trial};
use etmem_testkit::machine::{Need, describe};
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{for_soak, run_in_turn, trial_or_skip};
use lane::{Kind, Lane, Which};
use round::Hit;
use target::Target;

const INSIDE: &str = "inside-the-laboratory";
/// Names one round: `LANE:NUMBER`.
const ONE: &str = "ETMEM_KILLED";
/// Several times what it takes on a machine that does nothing else.
const LABORATORY_SECONDS: u64 = 800;
const SWAP: usize = 160 * MIB;

/// Who is killed how often on this machine: DAMON's files are for those in the laboratory.
const HERE: [(Which, usize); 4] = [
    (Which(Kind::Slide, 1), 70),
    (Which(Kind::Background, 1), 55),
    (Which(Kind::Modules, 1), 45),
    (Which(Kind::Isolated, 1), 30),
];
const LABORATORY: [(Which, usize); 4] = [
    (Which(Kind::Slide, 1), 38),
    (Which(Kind::Slide, 2), 38),
    (Which(Kind::Background, 1), 44),
    (Which(Kind::Damon, 1), 80),
];
const _: () = assert!(sum(&HERE) == 200 && sum(&LABORATORY) == 200);

const fn sum(rounds: &[(Which, usize)]) -> usize {
    match rounds {
        [] => 0,
        [(_, count), rest @ ..] => *count + sum(rest),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if let [word, one, etmemd, etmem, hotcold] = arguments.as_slice()
        && word == INSIDE
    {
        let [etmemd, etmem, hotcold] = [etmemd, etmem, hotcold].map(PathBuf::from);
        let binaries = Binaries { etmemd, etmem, hotcold };
        let played = only(Some(one)).and_then(|only| play(&binaries, &LABORATORY, only));
        return match played {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("{error:#}");
                ExitCode::FAILURE
            }
        };
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
            play(Binaries::build()?, &HERE, only(env::var_os(ONE).as_deref())?)
        }),
        trial(&for_soak("at_200_moments_on_linux_6.12", 5), missing.as_deref(), move || boot(machine))
            .with_ignored_flag(true),
    ])
}

/// The lane and the round that are asked for alone.
fn only(asked: Option<&OsStr>) -> Result<Option<(Which, usize)>> {
    let Some(text) = asked.and_then(OsStr::to_str).filter(|text| !text.is_empty()) else { return Ok(None) };
    let (name, number) = text.split_once(':').with_context(|| format!("{ONE}={text}: not LANE:NUMBER"))?;
    let lane = HERE.iter().chain(&LABORATORY).find(|(which, _)| which.to_string() == name);
    let (which, _) = lane.with_context(|| format!("{ONE}={text}: there is no lane {name}"))?;
    Ok(Some((*which, number.parse()?)))
}

fn boot(machine: Machine) -> Result<()> {
    let binaries = Binaries::build()?;
    let own = env::current_exe()?;
    let programs = [&binaries.etmemd, &binaries.etmem, &binaries.hotcold].map(PathBuf::as_path);
    let words: Vec<String> = programs.iter().map(|program| quoted(program)).collect::<Result<_>>()?;
    let files = [&programs[..], &[&own]].concat();
    let one = env::var(ONE).unwrap_or_default();
    only(Some(OsStr::new(&one)))?;
    let said = machine.run(&files, &format!("{} {INSIDE} '{one}' {}", quoted(&own)?, words.join(" ")))?;
    print!("{}", indented(&said));
    Ok(())
}

/// What a lane has come to.
#[derive(Debug)]
struct Played {
    lane: Lane,
    hits: Vec<Hit>,
    failed: Option<String>,
}

fn play(binaries: &Binaries, plan: &[(Which, usize)], only: Option<(Which, usize)>) -> Result<()> {
    // So that the end of those in the background is heard here, and no pid of theirs is anybody else's before.
    nix::sys::prctl::set_child_subreaper(true).context("cannot take over orphans")?;
    let clock = WallClock::new();
    let swap = SwapGuard::acquire(SWAP)?;
    println!("{}; swap: {}", describe(), swap.describe());
    let folder = tempfile::Builder::new().prefix("etmem-test-").tempdir()?;
    let settings = left::settings();
    ensure!(!settings.is_empty(), "no setting of the kernel can be read");
    let mut lanes = Vec::new();
    for (which, rounds) in plan.iter().filter(|(which, _)| only.is_none_or(|(one, _)| one == *which)) {
        let target = Target::of(*which, binaries, folder.path())?;
        lanes.push((Lane::new(*which, target, binaries)?, *rounds));
    }
    ensure!(!lanes.is_empty(), "the lane that is asked for is not here, but in the other test");
    println!("{:?}: {} targets have their memory", clock.now(), lanes.len());

    let played: Vec<Played> = thread::scope(|scope| {
        let threads: Vec<_> = lanes
            .into_iter()
            .map(|(lane, rounds)| scope.spawn(move || kill_again_and_again(lane, rounds, only)))
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "panicked")).collect::<Result<_, _>>()
    })
    .map_err(anyhow::Error::msg)?;

    table::print(
        &played.iter().map(|played| (&played.lane, &played.hits[..])).collect::<Vec<_>>(),
        clock.now(),
    );
    let failed: Vec<String> = played.into_iter().filter_map(|played| played.failed).collect();
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    left::no_programs()?;
    let now = left::settings();
    let changed: Vec<&String> =
        settings.iter().filter(|(file, text)| now.get(*file) != Some(text)).map(|(file, _)| file).collect();
    ensure!(changed.is_empty(), "settings of the kernel have changed: {changed:?}");
    Ok(())
}

/// All rounds of a lane, or one: the first that fails is the last.
fn kill_again_and_again(mut lane: Lane, rounds: usize, only: Option<(Which, usize)>) -> Played {
    let mut hits = Vec::new();
    let numbers = match only {
        Some((_, number)) => number..number + 1,
        None => 0..rounds,
    };
    let failed = rounds_of(&mut lane, numbers, &mut hits).err().map(|error| {
        let log =
            |daemon: &Option<victim::Victim>| daemon.as_ref().map(|daemon| daemon.log()).unwrap_or_default();
        format!(
            "{error:#}\nlog of the one before:\n{}log of the last:\n{}",
            log(&lane.before),
            log(&lane.daemon)
        )
    });
    Played { lane, hits, failed }
}

fn rounds_of(lane: &mut Lane, numbers: std::ops::Range<usize>, hits: &mut Vec<Hit>) -> Result<()> {
    let which = lane.which;
    let as_it_was = lane.target.fingerprint()?;
    round::rehearse(lane).with_context(|| format!("lane {which}, before the first kill"))?;
    for number in numbers {
        let moment = plan::moment(which.seed(), number, lane.kind.phases());
        let hit = round::play(lane, number, moment).with_context(|| {
            let (phase, length) = (moment.phase, lane.length(moment.phase));
            format!(
                "lane {which}, round {number}, seed {}: killed in {} at {} of {length:?}; again by {ONE}={which}:{number}",
                moment.seed,
                phase.name(),
                moment.share
            )
        })?;
        hits.push(hit);
    }
    lane.end().with_context(|| format!("lane {which}, behind the last kill"))?;
    lane.target.verify()?;
    ensure!(lane.target.fingerprint()? == as_it_was, "the target of lane {which} is not as it was");
    Ok(())
}
