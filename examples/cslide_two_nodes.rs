//! Engine cslide at work: hot memory that begins on a slow node is brought to the fast one, and, when other memory gets hot,
//! that.
//!
//!     cargo run -p etmem-tests --example cslide_two_nodes
//!
//! The machine with its two nodes is one of the laboratory's (`cargo xtask vm`), so neither root nor such a machine is
//! needed. Told is, second by second, what of the hot and of the cold memory lies where.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etmem_core::kernel::nodes::{NodeId, NodeMover, Place};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::Pid;
use etmem_linux::mover::numa::Numa;
use etmem_linux::process::table::Processes;
use etmem_linux::root::{ProcRoot, SysRoot};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::hotset::{HotSet, Options};
use etmem_testkit::laboratory::{self, Machine, quoted};
use etmem_testkit::nodes;
use etmem_testkit::size::MIB;

const INSIDE: &str = "inside-the-laboratory";
const MACHINE: Machine = Machine { nodes: "2", memory: "1280M", ..Machine::of("6.12") };

const HUGE: usize = 2 * MIB;
const MEMORY: usize = 96 * MIB;
const HOT: usize = 24 * MIB;
/// What is hot at first, and later: where it begins.
const FIRST: usize = 64 * MIB;
const LATER: usize = 0;
/// Huge pages of the fast node and of the slow one.
const POOLS: [(u16, usize); 2] = [(0, 16), (1, 40)];
const SECONDS: u32 = 30;

const PROJECT: &str = "\
[project]
name=example
scan_type=page
loop=3
interval=1
sleep=1

[engine]
name=cslide
project=example
node_pair=1,0
hot_threshold=2
node_mig_quota=16
node_hot_reserve=8

[task]
project=example
engine=cslide
name=vm
type=name
value=hotset
vm_flags=ht
anon_only=no
ign_host=no
";

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => boot(),
        [word, etmemd, etmem, hotcold] if word == INSIDE => {
            let [etmemd, etmem, hotcold] = [etmemd, etmem, hotcold].map(PathBuf::from);
            run(&Binaries { etmemd, etmem, hotcold })
        }
        _ => bail!("it takes no arguments"),
    }
}

fn boot() -> Result<()> {
    if let Some(missing) = laboratory::lacks(MACHINE.kernel) {
        bail!("{missing}");
    }
    let binaries = Binaries::build()?;
    let own = env::current_exe()?;
    let hotset = binaries.hotcold.with_file_name("hotset");
    let programs = [&binaries.etmemd, &binaries.etmem, &binaries.hotcold].map(PathBuf::as_path);
    let words: Vec<String> = programs.iter().map(|program| quoted(program)).collect::<Result<_>>()?;
    let files: Vec<&Path> = [&programs[..], &[&own, &hotset]].concat();
    print!("{}", MACHINE.run(&files, &format!("{} {INSIDE} {}", quoted(&own)?, words.join(" ")))?);
    Ok(())
}

fn run(binaries: &Binaries) -> Result<()> {
    nodes::without_balancing()?;
    for (node, pages) in POOLS {
        nodes::huge_pool(node, pages)?;
    }
    let hotset = binaries.hotcold.with_file_name("hotset");
    // Its first pages come from the fast node, as long as there are any.
    let mut program = HotSet::start(&hotset, Options { memory: MEMORY, hot: 0, huge: true })?;
    program.heat(FIRST, HOT)?;
    println!("{PROJECT}");
    let daemon = Daemon::start(binaries)?;
    daemon.add(PROJECT)?;
    print!("{}", daemon.must(&["project", "start", "-n", "example"])?);

    println!("\n          hot, MiB on       cold, MiB on");
    println!("          fast    slow       fast    slow");
    let clock = WallClock::new();
    for (offset, name) in [(FIRST, "the last third is hot"), (LATER, "the first quarter is hot")] {
        program.heat(offset, HOT)?;
        println!("{name}");
        for _ in 0..SECONDS {
            let [hot_fast, hot_slow, cold_fast, cold_slow] = count(&program, offset)?;
            println!(
                "{:4} s  {hot_fast:6}  {hot_slow:6}     {cold_fast:6}  {cold_slow:6}",
                clock.now().as_secs()
            );
            ensure!(clock.pause(Duration::from_secs(1)) == Pace::Continue, "stopped");
        }
    }
    print!("\n{}", daemon.must(&["engine", "showtaskpages", "-t", "vm", "-n", "example", "-e", "cslide"])?);
    daemon.must(&["project", "stop", "-n", "example"])?;
    ensure!(program.verify()? == MEMORY, "the memory is not what it was");
    Ok(())
}

/// MiB of hot and of cold memory, each on the fast and on the slow node.
fn count(program: &HotSet, hot: usize) -> Result<[usize; 4]> {
    let numa = Numa::detect(&ProcRoot::default(), &SysRoot::default())?;
    let pid = Pid::new(program.pid()).context("pid 0")?;
    let process = Processes::new(ProcRoot::default()).identify(pid)?;
    let pages: Vec<u64> = program.range().step_by(HUGE).map(|address| address as u64).collect();
    let mut places = Vec::new();
    numa.attach(process)?.where_are(&pages, &mut places)?;
    let mut sums = [0; 4];
    for (page, place) in places.into_iter().enumerate() {
        let is_hot = (hot..hot + HOT).contains(&(page * HUGE));
        let is_slow = place != Place::Node(NodeId(0));
        sums[2 * usize::from(!is_hot) + usize::from(is_slow)] += HUGE / MIB;
    }
    Ok(sums)
}
