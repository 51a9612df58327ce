//! The two ports to nodes: what lies where, and moving it.

use std::fs;

use anyhow::{Result, ensure};
use etmem_core::kernel::nodes::{Migrated, Node, NodeId};
use etmem_core::kernel::process::ProcessError;
use etmem_testkit::hotset::{HotSet, Options};
use etmem_testkit::size::MIB;

use crate::inside::{HUGE, Inside, mover, on_nodes, pages, places};

const PAGE: usize = 4096;
const BASE: Options = Options { memory: 32 * MIB, hot: 0, huge: false };
const POOL: Options = Options { memory: 32 * MIB, hot: 0, huge: true };

/// All pages that were asked for and did not lie on the node before.
fn counted(migrated: Migrated) -> u64 {
    let Migrated { moved, vanished, busy, shared, no_room, refused } = migrated;
    moved + vanished + busy + shared + no_room + refused
}

/// Moves all of `program` to `node`, and checks that what is said to have moved is there.
fn bring(program: &HotSet, page: usize, node: u16) -> Result<Migrated> {
    let here = |places: &[_]| on_nodes(places, page).get(&node).copied().unwrap_or(0);
    let before = here(&places(program, page)?);
    let all = pages(program, page);
    let migrated = mover(program.pid())?.move_to(&all, NodeId(node))?;
    let after = here(&places(program, page)?);
    let asked = all.len() as u64 - before / page as u64;
    ensure!(counted(migrated) == asked, "{migrated:?} of {asked} pages");
    ensure!(
        after - before == migrated.moved * page as u64,
        "{migrated:?}, but {before} bytes became {after}"
    );
    Ok(migrated)
}

/// The same, where all of it must arrive.
fn bring_all(program: &mut HotSet, page: usize, node: u16) -> Result<()> {
    let migrated = bring(program, page, node)?;
    ensure!(counted(migrated) == migrated.moved, "not all went to node {node}: {migrated:?}");
    ensure!(program.verify()? == program.range().len(), "pages are not what they were");
    Ok(())
}

fn allowed_processors() -> Result<String> {
    let status = fs::read_to_string("/proc/thread-self/status")?;
    Ok(status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap_or_default().to_owned())
}

fn has_processors(nodes: &[Node]) -> Vec<bool> {
    nodes.iter().map(|node| node.has_processors).collect()
}

fn distances(nodes: &[Node]) -> Vec<Vec<u32>> {
    nodes.iter().map(|node| node.distances.iter().map(|(_, far)| *far).collect()).collect()
}

pub(crate) fn two_nodes(inside: &Inside) -> Result<()> {
    let nodes = Inside::nodes()?;
    ensure!(has_processors(&nodes) == [true, false], "{nodes:?}");
    ensure!(distances(&nodes) == [[10, 17], [17, 10]], "{nodes:?}");
    ensure!(nodes.iter().all(|node| node.memory.free > 128 << 20 && node.huge_pool.total == 0), "{nodes:?}");
    ensure!(nodes.iter().all(|node| node.tier.is_some()), "Linux 6.12 has memory tiers: {nodes:?}");

    let processors = allowed_processors()?;
    let mut base = inside.start(BASE)?;
    for node in [1, 0, 1] {
        bring_all(&mut base, PAGE, node)?;
    }
    ensure!(allowed_processors()? == processors, "the thread did not come back");
    inside.say("base pages go there and back");
    gone_and_held(inside, &mut base)?;

    for node in [0, 1] {
        Inside::pool(node, 24)?;
    }
    let mut huge = inside.start(POOL)?;
    for node in [1, 0, 1] {
        bring_all(&mut huge, HUGE, node)?;
    }
    let nodes = Inside::nodes()?;
    ensure!(nodes[1].huge_pool.total == 24 * HUGE as u64, "{nodes:?}");
    ensure!(nodes[1].huge_pool.free == 8 * HUGE as u64, "{nodes:?}");
    inside.say("huge pages go there and back, and are of the pool of where they are");
    huge.pin(3 * HUGE)?;
    let migrated = bring(&huge, HUGE, 0)?;
    ensure!(migrated == Migrated { moved: 15, busy: 1, ..Migrated::default() }, "{migrated:?}");
    inside.say("a huge page that is held stays, and is counted");
    drop(huge);
    for node in [0, 1] {
        Inside::pool(node, 0)?;
    }
    no_room(inside, &mut base)
}

/// Pages that are held, are nowhere, or whose process is.
fn gone_and_held(inside: &Inside, base: &mut HotSet) -> Result<()> {
    base.pin(5 * PAGE)?;
    let migrated = bring(base, PAGE, 0)?;
    ensure!(migrated.busy == 1 && migrated.moved == counted(migrated) - 1, "{migrated:?}");
    let nowhere: Vec<u64> = (1..=3).map(|page| page * PAGE as u64).collect();
    let migrated = mover(base.pid())?.move_to(&nowhere, NodeId(0))?;
    ensure!(migrated == Migrated { vanished: 3, ..Migrated::default() }, "{migrated:?}");
    let another = inside.start(BASE)?;
    let (mut bound, all) = (mover(another.pid())?, pages(&another, PAGE));
    another.kill()?;
    ensure!(bound.move_to(&all, NodeId(1)) == Err(ProcessError::Exited));
    ensure!(bound.where_are(&all, &mut Vec::new()) == Err(ProcessError::Exited));
    inside.say("what is held, nowhere or gone is counted, or told");
    Ok(())
}

/// A node whose memory is all in its pool has no room for base pages; one without a pool, or memory, none for huge ones.
fn no_room(inside: &Inside, base: &mut HotSet) -> Result<()> {
    // What is free but for some 16 MiB, of which base pages get a part.
    let fill = |node: usize| -> Result<usize> {
        let free = Inside::nodes()?[node].memory.free;
        Ok((usize::try_from(free)? / HUGE).saturating_sub(8))
    };
    let file = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages";
    fs::write(file, fill(1)?.to_string())?;
    let migrated = bring(base, PAGE, 1)?;
    ensure!(migrated.no_room > 0 && migrated.busy <= 1, "{migrated:?} with {:?}", Inside::nodes()?);
    ensure!(base.verify()? == base.range().len());
    inside.say(&format!("a full node takes what it can: {migrated:?}"));
    drop(inside.start(Options { memory: HUGE, ..POOL })?);

    // A pool on node 0 alone; node 1 is full of base pages and what is left of its own pool is in use.
    Inside::pool(0, 16)?;
    let pool: usize = fs::read_to_string(file)?.trim().parse()?;
    let mut takes_all = inside.start(Options { memory: (16 + pool) * HUGE, hot: 0, huge: true })?;
    let before = places(&takes_all, HUGE)?;
    let migrated = bring(&takes_all, HUGE, 1)?;
    inside.say(&format!("{:?} of huge pages, to a node without room: {migrated:?}", on_nodes(&before, HUGE)));
    ensure!(migrated.no_room > 0, "{migrated:?} with {:?}", Inside::nodes()?);
    ensure!(takes_all.verify()? == takes_all.range().len());
    Ok(())
}

pub(crate) fn four_nodes(inside: &Inside) -> Result<()> {
    let nodes = Inside::nodes()?;
    ensure!(has_processors(&nodes) == [true, true, false, false], "{nodes:?}");
    let want = [[10, 20, 17, 28], [20, 10, 28, 17], [17, 28, 10, 28], [28, 17, 28, 10]];
    ensure!(distances(&nodes) == want, "{nodes:?}");
    let mut base = inside.start(BASE)?;
    for node in [2, 0, 3, 1, 2] {
        bring_all(&mut base, PAGE, node)?;
    }
    inside.say("base pages go to every node");
    for node in 0..4 {
        Inside::pool(node, 16)?;
    }
    let mut huge = inside.start(POOL)?;
    for node in [3, 1, 2, 0] {
        bring_all(&mut huge, HUGE, node)?;
        let nodes = Inside::nodes()?;
        ensure!(nodes[usize::from(node)].huge_pool.free == 0, "{nodes:?}");
    }
    inside.say("so do huge pages");
    Ok(())
}
