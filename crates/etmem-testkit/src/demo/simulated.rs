//! The demo's story over a scripted machine, where it cannot be had for real: for an ordinary user, in a container.
//!
//! ```text
//! a scripted /proc can be mounted -> the real programs over it            (root, or root of a user namespace)
//!   no, but a user namespace can be made -> the same, in there
//!     no -> the engine over a scripted machine in this process
//! ```
//!
//! Every line is marked, and the first says why. What is not simulated is not claimed: how fast a workload is, and
//! that its memory is unharmed.

use std::env;
use std::fs;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::Access;
use etmem_engine::ScanLocks;

use super::project::Wanted;
use super::verdict::{COLD_OUT, Claim, Verdict};
use crate::clock::WallClock;
use crate::daemon::instance::path_text;
use crate::daemon::{Binaries, Daemon};
use crate::fake::proc::FakeProc;
use crate::fake::proc::script::{Life, PAGE, Script, ScriptedMapping, ScriptedProcess, Segment};
use crate::fake::{FakeMachine, FakePacer, FakeProcess};

/// Tells the program inside of a user namespace why it is there.
const MISSING: &str = "ETMEM_DEMO_MISSING";

const PID: u32 = 3_000_000;
const START: u64 = 0x7000_0000_0000;
const MIB: u64 = 1 << 20;
const PAGES: u64 = (1 << 30) / PAGE;
const HOT: u64 = 128 * MIB / PAGE;

/// Seconds that the live part may take, and how long the cold memory has to stay out.
const LIVE_LIMIT: u64 = 120;
const STAYS_OUT: u64 = 5;
const SECOND: Duration = Duration::from_secs(1);

macro_rules! say {
    ($($what:tt)*) => { println!("simulated | {}", format_args!($($what)*)) };
}

/// Why a simulated story is wanted, where this program was started for that.
#[must_use]
pub fn asked_for() -> Option<String> {
    env::var(MISSING).ok()
}

/// Tells the story as near to the real one as this machine allows.
///
/// # Errors
/// Something that has nothing to do with the claims stands in the way; the message says what.
pub fn tell_where_it_can(missing: &str, wanted: Wanted) -> Result<Verdict> {
    const NAMESPACE: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];
    if FakeProc::mount(script()).is_ok() {
        return tell(missing, wanted);
    }
    let inside = |program: &std::ffi::OsStr| {
        let mut command = Command::new(NAMESPACE[0]);
        command.args(&NAMESPACE[1..]).arg(program).env(MISSING, missing);
        command
    };
    let mut trial = inside("true".as_ref());
    let possible = trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        return tell(missing, wanted);
    }
    let own = env::current_exe().context("where this program is")?;
    let status = inside(own.as_os_str()).args(wanted.arguments()).status();
    let status = status.context("run the demo in a user namespace")?;
    Ok(if status.success() { Verdict::Holds } else { Verdict::Broken })
}

/// Tells the story.
///
/// # Errors
/// Something that has nothing to do with the claims stands in the way; the message says what.
pub fn tell(missing: &str, wanted: Wanted) -> Result<Verdict> {
    say!("This machine or user cannot have the demo for real: {missing}.");
    match FakeProc::mount(script()) {
        Ok(fake) => over_files(&fake, wanted),
        Err(error) => {
            say!("The daemon's engine runs in this program, as no /proc can be scripted: {error:#}.");
            in_process(wanted)
        }
    }
}

fn is_hot(page: u64) -> bool {
    page < HOT
}

fn script() -> Script {
    let segments = vec![Segment::solid(HOT, Life::written()), Segment::solid(PAGES - HOT, Life::cold())];
    let process = ScriptedProcess::new(PID, "hotcold", vec![ScriptedMapping::private(START, segments)]);
    Script { memory: 4 << 30, swap: 2 << 30, ..Script::new(vec![process]) }
}

fn workload() {
    say!(
        "workload  hotcold, pid {PID}: {} MiB of memory, {} MiB of it touched without pause",
        PAGES * PAGE / MIB,
        HOT * PAGE / MIB
    );
}

/// The real programs; the kernel with openEuler's modules is played by files.
fn over_files(fake: &FakeProc, wanted: Wanted) -> Result<Verdict> {
    let daemon = Daemon::start_at(&Binaries::beside()?, fake.root())?;
    let clock = WallClock::new();
    say!("machine   one with openEuler's modules etmem_scan and etmem_swap, in the place of /proc");
    workload();
    say!("daemon    etmemd -s {} --proc-root {}, the real program", daemon.socket(), fake.root().display());
    say!("");
    let config = wanted.project(PID).to_string();
    let file = daemon.write("demo.conf", &config)?;
    let file = path_text(&file)?;
    say!("$ cat {file}");
    config.lines().for_each(|line| say!("    {line}"));
    for words in [
        &["obj", "add", "-f", file][..],
        &["project", "show", "-n", "demo"],
        &["project", "start", "-n", "demo"],
        &["project", "show", "-n", "demo", "--verbose"],
    ] {
        show(&daemon, words)?;
    }
    say!("");
    let mut out_since = None;
    for seconds in 1..=LIVE_LIMIT {
        ensure!(clock.pause(SECOND) == Pace::Continue, "stopped");
        let status = fs::read_to_string(fake.root().join(PID.to_string()).join("status"))?;
        let out = Pages::of(&fake.out(PID));
        live(seconds, kib(&status, "VmRSS")? >> 10, kib(&status, "VmSwap")? >> 10, out);
        if out_since.is_none() && out.cold_share() >= COLD_OUT {
            out_since = Some(seconds);
        }
        if out_since.is_some_and(|since| seconds >= since + STAYS_OUT) {
            break;
        }
    }
    say!("");
    show(&daemon, &["project", "stop", "-n", "demo"])?;
    show(&daemon, &["obj", "del", "-f", file])?;
    Ok(verdict(Pages::of(&fake.out(PID)), Pages::of(&fake.ever_out(PID))))
}

fn show(daemon: &Daemon, words: &[&str]) -> Result<()> {
    say!("$ etmem {} -s {}", words.join(" "), daemon.socket());
    daemon.must(words)?.lines().for_each(|line| say!("    {}", line.trim_end()));
    Ok(())
}

/// The engine alone: what the daemon runs for a task, cycle by cycle, on a clock that passes at once.
fn in_process(wanted: Wanted) -> Result<Verdict> {
    workload();
    let text = wanted.project(PID).to_string();
    let config = etmem_config::parse("demo.conf".as_ref(), &text, &etmem_engine::keys())?;
    text.lines().for_each(|line| say!("    {line}"));
    let access = |page, _| if is_hot(page) { Access::WRITTEN } else { Access::IDLE };
    let process = FakeProcess::new(PID, "hotcold", START, usize::try_from(PAGES)?, access);
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]);
    let engine = etmem_engine::engine(&config.engines[0], &ScanLocks::default())?;
    let mut work = engine.work(&config.projects[0], &config.tasks[0])?;
    let pacer = FakePacer::endless();
    let out = |machine: &FakeMachine| {
        let process = machine.process(PID).context("the scripted process is gone")?;
        let pages = process.swapped_pages();
        let hot = pages.iter().filter(|page| is_hot(**page as u64)).count();
        anyhow::Ok(Pages { hot: hot as u64, cold: (pages.len() - hot) as u64 })
    };
    say!("");
    for cycle in 1.. {
        for report in work.step(&machine.kernel(), &pacer).processes {
            say!("cycle {cycle}: {}", report.result);
        }
        let gone = out(&machine)?;
        live(pacer.now().as_secs(), (PAGES - gone.all()) * PAGE / MIB, gone.all() * PAGE / MIB, gone);
        if gone.cold_share() >= COLD_OUT || pacer.now().as_secs() >= LIVE_LIMIT {
            break;
        }
        let _ = pacer.pause(work.period());
    }
    let gone = out(&machine)?;
    Ok(verdict(gone, gone))
}

fn live(seconds: u64, resident_mib: u64, swapped_mib: u64, out: Pages) {
    let hot = (HOT - out.hot) as f64 / HOT as f64 * 100.0;
    say!(
        "{seconds:>4} s   resident {resident_mib:>5} MiB   swapped {swapped_mib:>5} MiB   hot resident {hot:>6.2} %"
    );
}

fn verdict(out: Pages, ever_out: Pages) -> Verdict {
    let hot_out = Claim::hot_out(ever_out.hot as f64 / HOT as f64);
    say!("");
    say!("{}", Claim::cold_out(out.cold_share()));
    say!("{hot_out}");
    say!("");
    let verdict = Verdict::of(out.cold_share(), &[hot_out], None);
    let all = if verdict == Verdict::Holds { "All" } else { "NOT all" };
    say!("{all} of it holds; nothing real was moved.");
    verdict
}

fn kib(status: &str, key: &str) -> Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = value.and_then(|value| value.split_whitespace().next());
    number.with_context(|| format!("no {key} in the scripted status"))?.parse().context("a size")
}

/// How many pages of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pages {
    hot: u64,
    cold: u64,
}

impl Pages {
    fn of(ranges: &[Range<u64>]) -> Self {
        let boundary = START + HOT * PAGE;
        let pages = |range: Range<u64>| range.end.saturating_sub(range.start) / PAGE;
        ranges.iter().fold(Self { hot: 0, cold: 0 }, |sum, range| Self {
            hot: sum.hot + pages(range.start..range.end.min(boundary)),
            cold: sum.cold + pages(range.start.max(boundary)..range.end),
        })
    }

    const fn all(self) -> u64 {
        self.hot + self.cold
    }

    fn cold_share(self) -> f64 {
        self.cold as f64 / (PAGES - HOT) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_distinguished_at_the_boundary() {
        let boundary = START + HOT * PAGE;
        let ranges = [
            START..START + PAGE,
            boundary - PAGE..boundary + 2 * PAGE,
            boundary + 4 * PAGE..boundary + 5 * PAGE,
        ];
        assert_eq!(Pages::of(&ranges), Pages { hot: 2, cold: 3 });
        let cold = PAGES - HOT;
        for (hot, cold, expected) in
            [(0, cold, Verdict::Holds), (1000, cold, Verdict::Broken), (0, 0, Verdict::Broken)]
        {
            let out = Pages { hot, cold };
            assert_eq!(verdict(out, out), expected);
        }
    }

    #[test]
    fn the_engine_tells_the_story_without_a_file_system() {
        assert_eq!(in_process(Wanted::Good).unwrap(), Verdict::Holds);
    }

    #[test]
    fn harm_without_a_file_system_is_seen() {
        assert_eq!(in_process(Wanted::Harm).unwrap(), Verdict::Broken);
    }
}
