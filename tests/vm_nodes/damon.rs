//! The probe `damon` over a kernel that has DAMON.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etmem_core::address::{AddressRange, BLOCK_SIZE};
use etmem_core::heat::HeatUpdate;
use etmem_core::heat::{Entry, HeatMap};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::ProbeSource;
use etmem_core::kernel::process::ProcessError;
use etmem_core::kernel::wishes::{Tracker, Wishes};
use etmem_linux::choice::Interfaces;
use etmem_linux::doctor::examine;
use etmem_linux::root::Roots;
use etmem_testkit::clock::WallClock;
use etmem_testkit::hotset::{HotSet, Options};
use etmem_testkit::size::MIB;

use crate::inside::{HUGE, Inside, identity};

const KDAMONDS: &str = "/sys/kernel/mm/damon/admin/kdamonds";
const RECLAIM: &str = "/sys/module/damon_reclaim/parameters/enabled";
const IN_USE: &str = "DAMON is in use by another program";
const CHILD: &str = "ETMEM_TEST_WATCH_BY_DAMON";
const MEMORY: usize = 64 * MIB;
const HOT: usize = 16 * MIB;
const WINDOW: Duration = Duration::from_secs(2);

pub(crate) fn story(inside: &Inside) -> Result<()> {
    Inside::pool(0, MEMORY / HUGE)?;
    let mut huge = inside.start(Options { memory: MEMORY, hot: HOT, huge: true })?;
    others_are_left_alone(&huge)?;
    inside.say("others' DAMON is left alone");
    for offset in [0, 24 * MIB] {
        huge.heat(offset, HOT)?;
        tells_apart(inside, &huge, offset, true)?;
    }
    inside.say("hot huge pages were told apart from cold ones");
    let base = inside.start(Options { memory: MEMORY, hot: HOT, huge: false })?;
    tells_apart(inside, &base, 0, false)?;
    inside.say("and so are blocks of base pages");
    left_behind(&huge)?;
    inside.say("what one that was killed has left is taken back");
    ends(huge)
}

fn kdamonds() -> Result<String> {
    let count = fs::read_to_string(format!("{KDAMONDS}/nr_kdamonds"))?;
    Ok(count.trim().to_owned())
}

/// How DAMON stands, as `etmem doctor` tells it.
fn told(state: &str) -> Result<()> {
    let found = examine(&Roots::default());
    let finding = found
        .findings
        .iter()
        .find(|finding| finding.name == "damon")
        .context("doctor has no line for DAMON")?;
    ensure!(finding.state.starts_with(state), "instead of {state}: {finding}");
    Ok(())
}

fn probe(huge_pool: bool) -> Result<std::sync::Arc<dyn ProbeSource>> {
    let wishes = Wishes { tracker: Tracker::Damon, huge_pool, ..Wishes::default() };
    Ok(Interfaces::new(Roots::default()).probe(&wishes)?.0)
}

fn range(program: &HotSet) -> [AddressRange; 1] {
    let range = program.range();
    [AddressRange::new(range.start as u64, range.end as u64)]
}

/// A program that uses DAMON's files, and one of the kernel's own users, which does not.
fn others_are_left_alone(program: &HotSet) -> Result<()> {
    fs::write(format!("{KDAMONDS}/nr_kdamonds"), "1")?;
    let refused = probe(true).map(drop).err().context("another program's DAMON was taken")?.to_string();
    ensure!(refused.starts_with(IN_USE) && kdamonds()? == "1", "{refused}");
    told("taken")?;
    let auto = Wishes { huge_pool: true, ..Wishes::default() };
    let refused =
        Interfaces::new(Roots::default()).probe(&auto).map(drop).err().context("no probe sees them")?;
    ensure!(refused.to_string().contains(IN_USE), "{refused}");
    // It comes later than the task.
    fs::write(format!("{KDAMONDS}/nr_kdamonds"), "0")?;
    let source = probe(true)?;
    fs::write(format!("{KDAMONDS}/nr_kdamonds"), "1")?;
    let refused =
        source.attach(identity(program.pid())?).map(drop).err().context("it was taken")?.to_string();
    ensure!(refused.starts_with(IN_USE) && kdamonds()? == "1", "{refused}");
    fs::write(format!("{KDAMONDS}/nr_kdamonds"), "0")?;

    fs::write(RECLAIM, "Y").context("cannot start DAMON_RECLAIM")?;
    let mut watch = source.attach(identity(program.pid())?)?;
    let refused = watch.prepare(&range(program)).err().context("two run at once")?.to_string();
    ensure!(refused.contains(IN_USE), "{refused}");
    told("taken")?;
    fs::write(RECLAIM, "N")?;
    told("in use by etmem")?;
    drop((watch, source));
    ensure!(kdamonds()? == "0", "{} kdamonds are left", kdamonds()?);
    told("free")?;
    Ok(())
}

/// Three looks, as a cycle has them.
fn look(inside: &Inside, source: &dyn ProbeSource, program: &HotSet) -> Result<HeatMap> {
    let mut heat = HeatMap::default();
    let ranges = range(program);
    source.attach(identity(program.pid())?)?.prepare(&ranges)?;
    for _ in 0..3 {
        ensure!(inside.clock.pause(WINDOW) == Pace::Continue, "stopped");
        // Another one each time: what it counts outlives it, as between two cycles.
        let mut probe = source.attach(identity(program.pid())?)?;
        let mut update = HeatUpdate::new(heat);
        probe.check(&ranges, &mut update)?;
        heat = update.finish();
        probe.prepare(&ranges)?;
    }
    Ok(heat)
}

/// The count of each block of `program`.
fn counts(heat: &HeatMap, program: &HotSet, huge: bool) -> Result<Vec<u16>> {
    let mut counts = Vec::new();
    let mut cursor = heat.cursor();
    let mut expected = program.range().start as u64;
    while let Some((start, entry)) = cursor.next() {
        ensure!(start == expected, "{start:x} comes where {expected:x} should");
        let (blocks, count) = match entry {
            Entry::Huge { blocks, count } if huge => (blocks, count),
            Entry::Pages { blocks, count } if !huge => (blocks, count),
            Entry::Huge { .. } | Entry::Pages { .. } | Entry::Mixed => bail!("{entry:?} at {start:x}"),
        };
        counts.extend((0..blocks).map(|_| count));
        expected = start + blocks * BLOCK_SIZE;
    }
    ensure!(expected == program.range().end as u64, "it ends at {expected:x}");
    Ok(counts)
}

/// Every hot block counts more than every cold one, and those count nothing.
fn tells_apart(inside: &Inside, program: &HotSet, offset: usize, huge: bool) -> Result<()> {
    let source = probe(huge)?;
    let heat = look(inside, &*source, program)?;
    let counts = counts(&heat, program, huge)?;
    let hot = offset / HUGE..(offset + HOT) / HUGE;
    for (block, count) in counts.iter().enumerate() {
        let right = if hot.contains(&block) { *count >= 3 } else { *count == 0 };
        ensure!(right, "block {block} counts {count}; hot are {hot:?} of {counts:?}");
    }
    println!("{counts:?}");
    drop(source);
    ensure!(kdamonds()? == "0", "{} kdamonds are left", kdamonds()?);
    Ok(())
}

/// Whether this process only watches, to be killed.
pub(crate) fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

/// Watches what the environment names, until it is killed.
pub(crate) fn play_child() -> ExitCode {
    let watch = || -> Result<()> {
        let words = env::var(CHILD)?;
        let numbers: Vec<u64> = words.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [pid, start, end] = numbers[..] else { bail!("{words:?}") };
        let source = probe(true)?;
        source.attach(identity(u32::try_from(pid)?)?)?.prepare(&[AddressRange::new(start, end)])?;
        println!("watching");
        let _ = WallClock::new().pause(Duration::MAX);
        Ok(())
    };
    match watch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn left_behind(program: &HotSet) -> Result<()> {
    let mut command = Command::new(env::current_exe()?);
    let [range] = range(program);
    command.env(CHILD, format!("{} {} {}", program.pid(), range.start, range.end)).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    ensure!(line == "watching\n", "the child says {line:?}");
    // While it lives, it has DAMON.
    let refused = probe(true).map(drop).err().context("another one's DAMON was taken")?.to_string();
    ensure!(refused.starts_with(IN_USE) && refused.contains("another etmemd"), "{refused}");
    told("in use by etmem")?;
    child.kill()?;
    child.wait()?;
    let running = || fs::read_to_string(format!("{KDAMONDS}/1/state"));
    ensure!(kdamonds()? != "0" && running()?.trim() == "on", "{} kdamonds are left", kdamonds()?);
    told("set up, not in use")?;
    let source = probe(true)?;
    ensure!(running()?.trim() == "on", "a look changed something");
    source.attach(identity(program.pid())?)?.prepare(&[range])?;
    drop(source);
    ensure!(kdamonds()? == "0", "{} kdamonds are left", kdamonds()?);
    Ok(())
}

/// A process that ends while it is watched.
fn ends(program: HotSet) -> Result<()> {
    let (source, ranges) = (probe(true)?, range(&program));
    let process = identity(program.pid())?;
    let mut watch = source.attach(process)?;
    watch.prepare(&ranges)?;
    program.kill()?;
    let mut update = HeatUpdate::new(HeatMap::default());
    ensure!(watch.check(&ranges, &mut update) == Err(ProcessError::Exited));
    ensure!(watch.prepare(&ranges) == Err(ProcessError::Exited));
    ensure!(source.attach(process).map(drop) == Err(ProcessError::Exited));
    drop((watch, source));
    ensure!(kdamonds()? == "0", "{} kdamonds are left", kdamonds()?);
    Ok(())
}
