//! Engine cslide by the real programs: hot memory comes to fast nodes, cold memory goes to slow ones.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::nodes::{NodeId, Place};
use etmem_testkit::daemon::Daemon;
use etmem_testkit::hotset::{HotSet, Options};
use etmem_testkit::numa_maps;
use etmem_testkit::size::MIB;

use crate::inside::{HUGE, Inside, mover, pages, places};

const PAGE: usize = 4096;
const MEMORY: usize = 64 * MIB;
const HOT: usize = 16 * MIB;
const CYCLES_LIMIT: Duration = Duration::from_secs(200);
/// The share of hot memory that has to be on fast nodes, and of cold memory on slow ones.
const RIGHT: f64 = 0.95;
/// Cycles of moving after which it is there.
const RIGHT_AFTER: usize = 5;
/// Most MiB that may move one way in a cycle, per pair.
const QUOTA: u64 = 16;

/// A project with one task for `pid`, whose pairs are written slow,fast as the manual has them. Scans are a second apart:
/// a processor that is emulated is not as quick as others to touch what is hot.
fn project(pid: u32, pairs: &str, reserve: usize, task: &[&str]) -> String {
    format!(
        "[project]\nname=p\nscan_type=page\nloop=3\ninterval=1\nsleep=200ms\n\n[engine]\nname=cslide\nproject=p\n\
         node_pair={pairs}\nhot_threshold=2\nnode_mig_quota={QUOTA}\nnode_hot_reserve={reserve}\n\n[task]\nproject=p\n\
         engine=cslide\nname=t\ntype=pid\nvalue={pid}\nign_host=no\n{}\n",
        task.join("\n")
    )
}

/// A daemon that works by `text`.
fn started(inside: &Inside, text: &str) -> Result<Daemon> {
    let daemon = Daemon::start(&inside.binaries)?;
    daemon.add(text)?;
    let ran = daemon.etmem(&["project", "start", "-n", "p"])?;
    // To load programs into an emulated kernel beside other work can take longer than the command waits.
    let late = ran.stderr.contains("the command may still be carried out");
    ensure!(ran.status == 0 || late, "{ran:?}; log:\n{}", daemon.log());
    inside.clock.wait_until(CYCLES_LIMIT, "the start", || {
        let shown = daemon.etmem(&["project", "show", "-n", "p", "--verbose"])?;
        let started = shown.status == 0 && shown.stdout.contains(" true");
        if started {
            print!("{}", shown.stdout);
        }
        Ok(started)
    })?;
    Ok(daemon)
}

/// MiB that moved up and down in a cycle of a pair, by a line of the log.
fn cycle(line: &str) -> Option<(u64, u64)> {
    let (_, told) = line.split_once(" (slow), ")?;
    let (_, numbers) = told.split_once(": ")?;
    let (up, down) = numbers.split_once(" MiB moved up, ")?;
    let first = |text: &str| text.split(' ').next()?.parse().ok();
    Some((first(up)?, first(down)?))
}

fn cycles(daemon: &Daemon) -> Vec<(u64, u64)> {
    daemon.log().lines().filter_map(cycle).collect()
}

/// Waits for `count` cycles of each of `pairs` pairs; none moves more than the quota allows.
fn pass(inside: &Inside, daemon: &Daemon, pairs: usize, count: usize) -> Result<()> {
    let goal = cycles(daemon).len() + pairs * count;
    let waited = inside.clock.wait_until(CYCLES_LIMIT, "cycles", || {
        ensure!(daemon.is_running()?, "etmemd has ended");
        Ok(cycles(daemon).len() >= goal)
    });
    waited.with_context(|| format!("log:\n{}", daemon.log()))?;
    within_quota(daemon)
}

/// No cycle has moved more than the quota allows.
fn within_quota(daemon: &Daemon) -> Result<()> {
    let moved = cycles(daemon);
    println!("MiB moved up and down in each cycle: {moved:?}");
    ensure!(moved.iter().all(|(up, down)| *up <= QUOTA && *down <= QUOTA), "more than the quota: {moved:?}");
    Ok(())
}

/// Waits until what became hot has come and what became cold has gone: a cycle that moves, then at most `RIGHT_AFTER`
/// of them, of each of `pairs` pairs, or fewer if all pairs rest. How many cycles pass before the first that moves is
/// the machine's matter: it has some of the old in view, and where processors are scarce the program lags behind.
fn settle(inside: &Inside, daemon: &Daemon, pairs: usize) -> Result<()> {
    let before = cycles(daemon).len();
    let since = |daemon: &Daemon| cycles(daemon).split_off(before);
    let rests = |cycle: &(u64, u64)| *cycle == (0, 0);
    let waited = inside.clock.wait_until(CYCLES_LIMIT, "cycles that move", || {
        ensure!(daemon.is_running()?, "etmemd has ended");
        let all = since(daemon);
        let Some(first) = all.iter().position(|cycle| !rests(cycle)) else { return Ok(false) };
        let moving = &all[first..];
        Ok(moving.len() >= pairs * RIGHT_AFTER
            || (moving.len() > pairs && moving[moving.len() - pairs..].iter().all(rests)))
    });
    waited.with_context(|| format!("log:\n{}", daemon.log()))?;
    within_quota(daemon)
}

/// Hot memory is on `fast` nodes and cold memory is not.
fn in_place(daemon: &Daemon, program: &HotSet, page: usize, hot: Range<usize>, fast: &[u16]) -> Result<()> {
    let all = places(program, page)?;
    let is_fast = |place: &Place| matches!(place, Place::Node(NodeId(node)) if fast.contains(node));
    let hot = hot.start / page..hot.end / page;
    let hot_right = all[hot.clone()].iter().filter(|place| is_fast(place)).count();
    let cold = all.len() - hot.len();
    let cold_wrong = all.iter().filter(|place| is_fast(place)).count() - hot_right;
    let share = |part: usize, whole: usize| part as f64 / whole as f64;
    println!(
        "hot on fast nodes: {hot_right} of {}; cold on slow ones: {} of {cold}",
        hot.len(),
        cold - cold_wrong
    );
    let right = share(hot_right, hot.len()) >= RIGHT && share(cold - cold_wrong, cold) >= RIGHT;
    ensure!(right, "pages of {page} bytes are where they should not be; log:\n{}", daemon.log());
    Ok(())
}

/// What a table of the engine says: for each node its numbers, in KiB.
fn table(text: &str) -> BTreeMap<u16, Vec<u64>> {
    let row = |line: &str| -> Option<(u16, Vec<u64>)> {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.map(str::parse).collect::<Result<_, _>>().ok()?))
    };
    text.lines().filter_map(row).collect()
}

/// Both tables agree with the kernel, but for one huge page.
fn tables(daemon: &Daemon, program: &HotSet) -> Result<()> {
    let task = daemon.must(&["engine", "showtaskpages", "-t", "t", "-n", "p", "-e", "cslide"])?;
    let host = daemon.must(&["engine", "showhostpages", "-n", "p", "-e", "cslide"])?;
    print!("{task}{host}");
    let told = numa_maps::of_mapping(program.pid(), program.range().start)?;
    let nodes = Inside::nodes()?;
    let (task, host) = (table(&task), table(&host));
    ensure!(task.len() == nodes.len() && host.len() == nodes.len(), "a row for each node: {task:?} {host:?}");
    for node in nodes {
        let used = told.get(&node.id.0).copied().unwrap_or(0) >> 10;
        let near = |number: u64| number.abs_diff(used) <= HUGE as u64 >> 10;
        let (of_task, of_host) = (&task[&node.id.0], &host[&node.id.0]);
        ensure!(of_host[0] == node.huge_pool.total >> 10, "the pool of {node:?}: {of_host:?}");
        ensure!(
            near(of_task[0]) && near(of_host[1]),
            "numa_maps says {told:?}, but {of_task:?} and {of_host:?}"
        );
        ensure!(of_task[0] == of_task[1] + of_task[2], "{of_task:?}");
    }
    Ok(())
}

fn kdamonds() -> Result<String> {
    Ok(fs::read_to_string("/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds")?.trim().to_owned())
}

pub(crate) fn huge_pages_of_two_nodes(inside: &Inside) -> Result<()> {
    // The fast node has room for what is hot and for the reserve; it is full of what is cold.
    Inside::pool(0, 12)?;
    Inside::pool(1, 28)?;
    let mut program = inside.start(Options { memory: MEMORY, hot: 0, huge: true })?;
    let (first, later) = (32 * MIB..32 * MIB + HOT, 0..HOT);
    program.heat(first.start, HOT)?;
    let daemon = started(inside, &project(program.pid(), "1,0", 8, &["vm_flags=ht", "anon_only=no"]))?;
    settle(inside, &daemon, 1)?;
    in_place(&daemon, &program, HUGE, first.clone(), &[0])?;
    tables(&daemon, &program)?;
    inside.say("hot huge pages are on the fast node");

    program.heat(later.start, HOT)?;
    settle(inside, &daemon, 1)?;
    in_place(&daemon, &program, HUGE, later.clone(), &[0])?;
    inside.say("and follow");

    // What is hot now may not leave when it is cold.
    program.pin(later.start)?;
    program.heat(first.start, HOT)?;
    daemon.wait_for_line(CYCLES_LIMIT, "the log mentions a page that is held", |line| {
        line.contains("in use or pinned")
    })?;
    // Neither pool has a page left: nothing can move, and all goes on.
    for node in Inside::nodes()? {
        Inside::pool(node.id.0, usize::try_from(node.huge_pool.total - node.huge_pool.free)? / HUGE)?;
    }
    pass(inside, &daemon, 1, 2)?;
    ensure!(program.verify()? == MEMORY, "pages are not what they were");
    let pid = program.pid();
    program.kill()?;
    daemon.wait_for_line(CYCLES_LIMIT, "the end of the process", |line| {
        line.contains(&format!("process {pid}: the process exited")) || line.contains("has ended")
    })?;
    inside.say("neither held pages nor full pools nor the program's end stop it");

    daemon.must(&["project", "stop", "-n", "p"])?;
    inside.clock.wait_until(CYCLES_LIMIT, "DAMON is given back", || Ok(kdamonds()? == "0"))?;
    fs::write("/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", "1")?;
    let refused = daemon.etmem(&["project", "start", "-n", "p"])?;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    ensure!(refused.status != 0 && said.contains("DAMON is in use by another program"), "{said}");
    ensure!(kdamonds()? == "1" && daemon.is_running()?);
    Ok(())
}

pub(crate) fn huge_pages_of_four_nodes(inside: &Inside) -> Result<()> {
    for node in [2, 3] {
        Inside::pool(node, 28)?;
    }
    let mut program = inside.start(Options { memory: MEMORY, hot: HOT, huge: true })?;
    // A half of what is hot on each slow node, and all of what is cold behind the first pair.
    let all = pages(&program, HUGE);
    let hot = HOT / HUGE;
    let mut hands = mover(program.pid())?;
    hands.move_to(&all[hot / 2..hot], NodeId(3))?;
    hands.move_to(&all[..hot / 2], NodeId(2))?;
    drop(hands);
    let before = places(&program, HUGE)?;
    ensure!(before[..hot / 2].iter().all(|place| *place == Place::Node(NodeId(2))), "{before:?}");
    for node in [0, 1] {
        Inside::pool(node, hot / 2 + 2)?;
    }
    let daemon = started(inside, &project(program.pid(), "2,0;3,1", 4, &["vm_flags=ht", "anon_only=no"]))?;
    settle(inside, &daemon, 2)?;
    in_place(&daemon, &program, HUGE, 0..HOT, &[0, 1])?;
    tables(&daemon, &program)?;
    let after = places(&program, HUGE)?;
    for (place, node) in [(&after[..hot / 2], 0), (&after[hot / 2..hot], 1)] {
        ensure!(place.iter().all(|place| *place == Place::Node(NodeId(node))), "pairs were mixed: {after:?}");
    }
    ensure!(program.verify()? == MEMORY, "pages are not what they were");
    Ok(())
}

pub(crate) fn base_pages_of_two_nodes(inside: &Inside) -> Result<()> {
    let mut program = inside.start(Options { memory: MEMORY, hot: HOT, huge: false })?;
    // What is hot on the slow node, and a half of what is cold on the fast one.
    let all = pages(&program, PAGE);
    mover(program.pid())?.move_to(&all[..all.len() * 5 / 8], NodeId(1))?;
    mover(program.pid())?.move_to(&all[all.len() * 5 / 8..], NodeId(0))?;
    // More than is free: the fast node is for hot memory alone.
    let reserve = (Inside::nodes()?[0].memory.total >> 20) as usize;
    let task = ["tracker=bpf", "anon_only=yes"];
    let daemon = started(inside, &project(program.pid(), "1,0", reserve, &task))?;
    settle(inside, &daemon, 1)?;
    in_place(&daemon, &program, PAGE, 0..HOT, &[0])?;
    tables(&daemon, &program)?;
    inside.say("hot base pages are on the fast node");
    program.heat(MEMORY - HOT, HOT)?;
    settle(inside, &daemon, 1)?;
    in_place(&daemon, &program, PAGE, MEMORY - HOT..MEMORY, &[0])?;
    inside.say("and follow");
    daemon.must(&["project", "stop", "-n", "p"])?;
    ensure!(program.verify()? == MEMORY, "pages are not what they were");
    Ok(())
}
