//! Each class of a program's pages on the level where it belongs, also after the hot pages become others.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::nodes::{NodeId, NodeMover, Place};
use etmem_core::kernel::pacer::Pacer;
use etmem_linux::mover::numa::Numa;
use etmem_linux::root::{ProcRoot, SysRoot};
use etmem_testkit::daemon::Daemon;
use etmem_testkit::hotset::{HotSet, Options};
use etmem_testkit::nodes;
use etmem_testkit::size::MIB;
use serde_json::Value;

use crate::inside::{Disk, Inside, PAGE, Zram, identity, part, places};

/// Where the pages of a class begin, how many bytes they are, and the level where they belong.
struct Class {
    name: &'static str,
    offset: usize,
    bytes: usize,
    belongs: usize,
}

impl Class {
    /// Whether at least 95 % of it are on the level where it belongs.
    const fn is_settled(&self, levels: &[usize; 4]) -> bool {
        levels[self.belongs] * 100 >= self.bytes / PAGE * 95
    }
}

const LEVELS: [&str; 4] = ["fast", "slow", "zram", "disk"];
const CLASSES: [Class; 4] = [
    Class { name: "hot", offset: 0, bytes: 32 * MIB, belongs: 0 },
    Class { name: "cool", offset: 32 * MIB, bytes: 48 * MIB, belongs: 1 },
    Class { name: "cold", offset: 80 * MIB, bytes: 48 * MIB, belongs: 2 },
    Class { name: "coldest", offset: 128 * MIB, bytes: 64 * MIB, belongs: 3 },
];
const COLD: usize = 2;
const COLDEST: usize = 3;
const MEMORY: usize = 192 * MIB;

/// A look is a second, a cycle has three and a second's sleep. All pages were written once, so each look that sees a touch counts 3: a
/// hot page has 9, a cool one is touched in one or two looks of a cycle.
const COOL_EVERY: Duration = Duration::from_secs(3);
const FILE: &str =
    "[project]\nname=p\nscan_type=page\nloop=3\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=tiers\n";
const MACHINE: &str =
    "[task]\nproject=p\nengine=tiers\nname=machine\ntype=machine\nsink_after=30s\nsink_per_day=none\n";

/// How long until a class is where it belongs, at most.
const LIMIT: Duration = Duration::from_secs(240);

/// The pages that are hot then: of the cool, cold and coldest ones.
const NEW_OFFSET: usize = 72 * MIB;
const NEW_BYTES: usize = 64 * MIB;

pub(crate) fn all(inside: &Inside) -> Result<()> {
    nodes::without_balancing()?;
    let disk = Disk::new("back", 160)?;
    let _zram = Zram::new(224 * MIB, Some(&disk))?;
    let hotset = inside.binaries.hotcold.with_file_name("hotset");
    let mut program = HotSet::start(&hotset, Options { memory: MEMORY, hot: CLASSES[0].bytes, huge: false })?;
    let daemon = Daemon::start(&inside.binaries)?;
    daemon.add(&format!(
        "{FILE}{MACHINE}[task]\nproject=p\nengine=tiers\nname=db\ntype=pid\nvalue={}\nT=1\nT_cool=8\nnode_pair=0,1\n\
         age=8s\nmax_refault=none\nmax_rate=none\n",
        program.pid()
    ))?;
    print!("{}", daemon.must(&["project", "start", "-n", "p"])?);
    let start = inside.clock.now();
    println!("| second | class | {} |\n| --- | --- | --- | --- | --- | --- |", LEVELS.join(" | "));
    let [_, cool, cold, _] = &CLASSES;
    let mut told = None;
    let mut settles = |program: &HotSet, number: usize| -> Result<[[usize; 4]; 4]> {
        let (class, begun) = (&CLASSES[number], inside.clock.now());
        loop {
            let (now, levels) = (inside.clock.now(), Snapshot::of(program)?.by_class());
            let settled = class.is_settled(&levels[number]);
            if settled || told.is_none_or(|told| now >= told + Duration::from_secs(10)) {
                tell(now - start, &levels);
                told = Some(now);
            }
            if settled {
                return Ok(levels);
            }
            ensure!(
                now < begun + LIMIT,
                "{} is not where it belongs: {levels:?}\n{}",
                class.name,
                daemon.log()
            );
            inside.wait(Duration::from_secs(1));
        }
    };
    program.keep_warm(cool.offset, cool.bytes + cold.bytes, COOL_EVERY)?;
    settles(&program, COLDEST)?;
    // What is cold is no longer touched, and not yet for so long that it goes to the disk.
    program.keep_warm(cool.offset, cool.bytes, COOL_EVERY)?;
    let settled = settles(&program, COLD)?;
    println!("{}", daemon.must(&["task", "show", "-n", "p"])?);
    for (class, levels) in CLASSES.iter().zip(&settled) {
        ensure!(class.is_settled(levels), "{}: {levels:?} of {LEVELS:?}\n{}", class.name, daemon.log());
    }

    let before = figures(&daemon)?;
    let were_out = Snapshot::of(&program)?.levels(NEW_OFFSET, NEW_BYTES);
    program.heat(NEW_OFFSET, NEW_BYTES)?;
    let moved = inside.clock.now();
    let cycles = || -> Result<u64> { daemon.cycles("p")?.get("db").copied().context("no cycles of db") };
    let (begun, mut last) = (cycles()?, [0; 4]);
    // However slow the machine is: the line counts cycles, the one that is under way as well.
    inside.clock.wait_until(LIMIT, "three cycles end", || {
        let is_over = cycles()? >= begun + 3;
        last = Snapshot::of(&program)?.levels(NEW_OFFSET, NEW_BYTES);
        println!("the new hot pages after {:?}: {last:?}", inside.clock.now() - moved);
        Ok(is_over)
    })?;
    ensure!(last[0] * 100 >= NEW_BYTES / PAGE * 95, "{last:?} are on {LEVELS:?}\n{}", daemon.log());
    // As long again, in which nothing of it may come and go.
    inside.clock.wait_until(LIMIT, "three more end", || Ok(cycles()? >= begun + 6))?;
    let settled = Snapshot::of(&program)?.levels(NEW_OFFSET, NEW_BYTES);
    let after = figures(&daemon)?;
    let since = |name: &str| -> Result<u64> { Ok((after.of(name)? - before.of(name)?) / PAGE as u64) };
    let (back, up) = (since("came_back_bytes")?, since("moved_up_bytes")?);
    println!("read back {back} pages of {were_out:?}, {up} moved up; the new hot pages: {settled:?}");
    println!("{}", daemon.must(&["task", "show", "-n", "p"])?);
    let out = (were_out[2] + were_out[3]) as u64;
    ensure!(
        (out - out / 10..=out + out / 10).contains(&back),
        "{back} pages were refaulted, of {out} that were out"
    );
    // What is read back lies where the kernel has room.
    let away = out + were_out[1] as u64;
    ensure!(up <= away + away / 10, "{up} pages moved up, of {away} that were elsewhere");
    ensure!(settled[0] * 100 >= NEW_BYTES / PAGE * 95, "{settled:?}");
    ensure!(program.verify()? == MEMORY);
    daemon.terminate()?;
    program.kill()
}

fn tell(since: Duration, classes: &[[usize; 4]; 4]) {
    for (class, levels) in CLASSES.iter().zip(classes) {
        let mebibytes = levels.map(|pages| (pages * PAGE / MIB).to_string()).join(" | ");
        println!("| {} | {} of {} MiB | {mebibytes} |", since.as_secs(), class.name, class.bytes / MIB);
    }
}

/// Where each page of the program is, as the kernel says.
struct Snapshot(Vec<Option<usize>>);

impl Snapshot {
    fn of(program: &HotSet) -> Result<Self> {
        let range = part(program, 0, MEMORY);
        let addresses: Vec<u64> = (range.start..range.end).step_by(PAGE).collect();
        let numa = Numa::detect(&ProcRoot::default(), &SysRoot::default())?;
        let mut on_nodes = Vec::new();
        numa.attach(identity(program)?)?.where_are(&addresses, &mut on_nodes)?;
        let in_swap = places(program, range)?;
        let slots = Zram::slots()?;
        let level = |(place, swap): (&Place, Option<(u64, u64)>)| match place {
            Place::Node(NodeId(0)) => Some(0),
            Place::Node(_) => Some(1),
            Place::Absent | Place::Unknown => {
                let (_, slot) = swap?;
                slots.get(&slot).map(|(_, is_on_disk)| if *is_on_disk { 3 } else { 2 })
            }
        };
        Ok(Self(on_nodes.iter().zip(in_swap).map(level).collect()))
    }

    /// Pages of a part of the memory on each level.
    fn levels(&self, offset: usize, bytes: usize) -> [usize; 4] {
        let mut count = [0; 4];
        for level in self.0[offset / PAGE..(offset + bytes) / PAGE].iter().flatten() {
            count[*level] += 1;
        }
        count
    }

    fn by_class(&self) -> [[usize; 4]; 4] {
        CLASSES.map(|class| self.levels(class.offset, class.bytes))
    }
}

/// The sums of a task's figures.
struct Sums(Value);

impl Sums {
    fn of(&self, name: &str) -> Result<u64> {
        self.0[name].as_u64().with_context(|| format!("no {name} in {}", self.0))
    }
}

fn figures(daemon: &Daemon) -> Result<Sums> {
    let shown = daemon.must(&["task", "show", "-n", "p", "--json"])?;
    let tasks: Vec<Value> = shown.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let task = tasks.iter().find(|task| task["task"] == "db").with_context(|| shown.clone())?;
    Ok(Sums(task["total"].clone()))
}
