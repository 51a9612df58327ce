//! What is cold leaves, and what is hot stays.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::Daemon;
use etmem_testkit::workload::Workload;

use crate::inside::{Inside, LIMIT, MEMORY, SAMPLE, context, figure, file, places, read, running};

const COLD_OUT: f64 = 0.95;
const HOT_OUT: f64 = 0.05;
/// For how long the hot part is looked at after the cold one has left.
const MORE: Duration = Duration::from_secs(15);

/// The cold parts of all `programs` leave; how long that took.
fn cold_leaves(inside: &Inside, daemon: &Daemon, programs: &[&Workload]) -> Result<Duration> {
    let out = || -> Result<Vec<(f64, f64)>> {
        let shares = |program: &&Workload| {
            let (hot, cold) = places(program)?;
            Ok((hot.share_swapped(), cold.share_swapped()))
        };
        programs.iter().map(shares).collect()
    };
    let waited = inside
        .clock
        .wait_until(LIMIT, "what is cold leaves", || Ok(out()?.iter().all(|(_, cold)| *cold >= COLD_OUT)));
    let took = waited.with_context(|| format!("{:?}\nlog:\n{}", out(), daemon.log()))?;
    inside.say(format!("after {took:?} hot and cold are out: {:.4?}", out()?));
    Ok(took)
}

fn hot_stays(inside: &Inside, programs: &[&Workload]) -> Result<()> {
    inside.pass(MORE)?;
    for program in programs {
        let (hot, cold) = places(program)?;
        inside.say(format!("hot {:.4}, cold {:.4}", hot.share_swapped(), cold.share_swapped()));
        ensure!(hot.share_swapped() <= HOT_OUT && cold.share_swapped() >= COLD_OUT, "{hot:?} {cold:?}");
    }
    Ok(())
}

/// The values of the file are those in sysfs.
fn values_are_set(pids: &[u32]) -> Result<()> {
    let context = context()?;
    for (name, value) in [
        ("operations", "vaddr"),
        ("monitoring_attrs/intervals/sample_us", "5000"),
        ("monitoring_attrs/intervals/aggr_us", "100000"),
        ("monitoring_attrs/intervals/update_us", "1000000"),
        ("monitoring_attrs/nr_regions/min", "10"),
        ("monitoring_attrs/nr_regions/max", "1000"),
        ("schemes/nr_schemes", "1"),
        ("schemes/0/action", "pageout"),
        ("schemes/0/access_pattern/sz/min", "4096"),
        ("schemes/0/access_pattern/sz/max", "1099511627776"),
        ("schemes/0/access_pattern/nr_accesses/min", "0"),
        ("schemes/0/access_pattern/nr_accesses/max", "0"),
        ("schemes/0/access_pattern/age/min", "100"),
        ("schemes/0/access_pattern/age/max", "100000"),
        ("schemes/0/quotas/bytes", "0"),
        ("schemes/0/quotas/ms", "0"),
        ("targets/nr_targets", &pids.len().to_string()),
    ] {
        let found = read(&format!("{context}/{name}"))?;
        ensure!(found == value, "{name}: {found}, not {value}");
    }
    targets_are(pids)
}

fn targets_are(pids: &[u32]) -> Result<()> {
    let context = context()?;
    let count: usize = read(&format!("{context}/targets/nr_targets"))?.parse()?;
    let mut found: Vec<u32> = (0..count)
        .map(|number| Ok(read(&format!("{context}/targets/{number}/pid_target"))?.parse()?))
        .collect::<Result<_>>()?;
    found.sort_unstable();
    let mut wanted = pids.to_vec();
    wanted.sort_unstable();
    ensure!(found == wanted, "the targets are {found:?}, not {wanted:?}");
    Ok(())
}

pub(crate) fn two_at_once(inside: &Inside) -> Result<()> {
    let (mut one, mut other) = (inside.program()?, inside.program()?);
    let daemon = inside.daemon()?;
    let pids = [one.pid(), other.pid()];
    daemon.add(&file(&format!("{SAMPLE}action=pageout\nmax_refault=none"), &pids))?;
    daemon.must(&["project", "start", "-n", "p"])?;
    daemon.wait_for_cycles(LIMIT, "p", 2)?;
    values_are_set(&pids)?;
    inside.say("the values of the file are set");
    cold_leaves(inside, &daemon, &[&one, &other])?;
    hot_stays(inside, &[&one, &other])?;
    let [tried, applied, moved] =
        ["tried_bytes", "applied_bytes", "moved_bytes"].map(|name| figure(&daemon, name));
    let (tried, applied, moved) = (tried?, applied?, moved?);
    inside.say(format!("tried {tried}, applied {applied}, moved {moved}"));
    let out = [&one, &other].map(|program| Ok::<_, anyhow::Error>(places(program)?.1.swapped as u64 * 4096));
    let [of_one, of_other] = out;
    let out = of_one? + of_other?;
    // The kernel counts no region with an unmapped part as applied, though what is mapped of it leaves.
    ensure!(tried >= applied && applied > 0 && tried >= out, "{out} bytes are in swap");
    ensure!(moved >= out * 9 / 10, "{out} bytes are in swap");
    daemon.must(&["project", "stop", "-n", "p"])?;
    inside.wait_for_nothing("after a stop")?;
    ensure!(one.verify()? == MEMORY && other.verify()? == MEMORY);
    Ok(())
}

/// A process that comes is added, and one that goes is left out, also where that was the last.
pub(crate) fn come_and_go(inside: &Inside) -> Result<()> {
    let (first, second) = (inside.program()?, inside.program()?);
    let daemon = inside.daemon()?;
    let wait_for = |pids: &[u32]| -> Result<()> {
        let are = || Ok(running()?.is_some() && targets_are(pids).is_ok());
        let waited = inside.clock.wait_until(LIMIT, &format!("the targets are {pids:?}"), are);
        waited.map(drop).with_context(|| format!("log:\n{}", daemon.log()))
    };
    let text = file(&format!("{SAMPLE}action=pageout\nmax_refault=none"), &[])
        + "[task]\nproject=p\nengine=damon\nname=t\ntype=name\nvalue=hotcold\n";
    daemon.add(&text)?;
    daemon.must(&["project", "start", "-n", "p"])?;
    wait_for(&[first.pid(), second.pid()])?;
    let third = inside.program()?;
    wait_for(&[first.pid(), second.pid(), third.pid()])?;
    inside.say("a process that came is watched");
    drop(first);
    let fourth = inside.program()?;
    wait_for(&[second.pid(), third.pid(), fourth.pid()])?;
    inside.say("one that went is not");
    cold_leaves(inside, &daemon, &[&second, &third, &fourth])?;
    drop([second, third, fourth]);
    inside.clock.wait_until(LIMIT, "nothing is watched", || Ok(running()?.is_none()))?;
    let last = inside.program()?;
    wait_for(&[last.pid()])?;
    inside.say("another comes when none was left");
    cold_leaves(inside, &daemon, &[&last])?;
    daemon.terminate()?;
    inside.wait_for_nothing("after the end")
}
