//! Other kernels than this machine's: the newest 6.12 and 6.1 of Debian, each with page tables of 4 and of 5 levels,
//! booted by the laboratory (`cargo xtask vm`).
//!
//! Each machine boots once, and in it run the tests that etmem-linux has for a real kernel. With page tables of 4 levels, so
//! do `etmem doctor`, before anything is set up, and the story of slide at a small size.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_testkit::built;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Machine, SharedBoot, indented, quoted, trial};
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{for_soak, run_in_turn};
use etmem_testkit::workload::footprint::Places;
use etmem_testkit::workload::{Options, Workload};
use libtest_mimic::Trial;
use serde_json::Value;

const KERNELS: [&str; 2] = ["6.12", "6.1"];
const LEVELS: [&str; 2] = ["4", "5"];
const MEMORY: usize = 64 * MIB;
const HOT: usize = 8 * MIB;
const SWAP: usize = 96 * MIB;
const STORY_LIMIT: Duration = Duration::from_secs(200);
/// The share of cold memory that has to leave.
const COLD_OUT: f64 = 0.99;
/// The share of hot pages that may be out: a processor that is emulated can be kept from its work for seconds.
const HOT_OUT: f64 = 0.01;

fn main() -> ExitCode {
    if let Some(status) = guest::story(|_, binaries| story(binaries)) {
        return status;
    }
    let mut trials = Vec::new();
    for kernel in KERNELS {
        let missing = laboratory::lacks(kernel);
        let missing = missing.as_deref();
        for levels in LEVELS {
            trials.extend(on(kernel, levels, missing));
        }
    }
    run_in_turn(trials)
}

/// A machine for all tests; Debian's 6.1 has lz4, which the testkit prefers, in a module of its own.
fn machine(kernel: &'static str, levels: &'static str) -> Machine {
    Machine { levels, modules: &["zram", "lz4"], ..Machine::of(kernel) }
}

/// The tests on one machine, which boots once for all that run.
fn on(kernel: &'static str, levels: &'static str, missing: Option<&str>) -> Vec<Trial> {
    let name = |what: &str| format!("{what}_on_linux_{kernel}_with_{levels}_levels");
    let (tests, slide) = (name("the_tests_of_etmem_linux"), name("slide"));
    let examines = format!("doctor_on_linux_{kernel}");
    let files = format!("memory_files_on_linux_{kernel}");
    let [of_tests, of_slide, of_doctor] = [tests.clone(), slide.clone(), examines.clone()];
    let of_files = files.clone();
    let commands = move || {
        let tests_of_etmem_linux = built::test("etmem-linux/tests/machine/main.rs")?;
        let etmem = quoted(&Binaries::build()?.etmem)?;
        let mut commands = vec![(of_tests.clone(), quoted(&tests_of_etmem_linux)?)];
        if levels == "4" {
            // It comes first, when nothing is set up. There is no swap, which is an error.
            commands.insert(0, (of_doctor.clone(), format!("{etmem} doctor --json; test $? = 2")));
            commands.push((of_slide.clone(), guest::line("slide")?));
            commands.push((of_files.clone(), LISTS_A_GROUP.to_owned()));
        }
        Ok(([guest::files()?, vec![tests_of_etmem_linux]].concat(), commands))
    };
    let boot = Arc::new(SharedBoot::new(machine(kernel, levels), commands));
    let of = |name: &str, judge: fn(&str, &str) -> Result<()>| {
        let (boot, owned) = (Arc::clone(&boot), name.to_owned());
        trial(name, missing, move || judge(kernel, &boot.of(&owned)?))
    };
    let tests = of(&tests, |_, said| nothing_was_skipped(said));
    if levels == "4" {
        return vec![
            tests,
            of(&examines, doctor),
            of(&slide, |_, _| Ok(())),
            of(&files, |_, said| are_known(said)),
        ];
    }
    // The tests above try the walk with both. The whole story with 5 levels takes a boot more.
    let told = trial(&for_soak(&slide, 1), missing, move || guest::boot(machine(kernel, levels), "slide"));
    vec![tests, told.with_ignored_flag(true)]
}

fn nothing_was_skipped(said: &str) -> Result<()> {
    // A test that is skipped on this kernel would be a claim that does not hold.
    ensure!(said.contains("; 0 ignored;"), "some were skipped:\n{}", indented(said));
    Ok(())
}

/// Makes a control group, and lists its files.
const LISTS_A_GROUP: &str =
    "cd /sys/fs/cgroup && echo +memory >cgroup.subtree_control && mkdir listed && ls listed && rmdir listed";

/// What etmemd does with each file of a control group's memory.
const GUIDE: &str = include_str!("../docs/doing-no-harm.md");

/// Each file in `listed` that is about memory has a row in the guide, so that none is overlooked.
fn are_known(listed: &str) -> Result<()> {
    let rows = GUIDE.lines().filter(|line| line.starts_with("| `memory."));
    let first_cells = rows.filter_map(|row| row.split('|').nth(1));
    let known: Vec<&str> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let files: Vec<&str> = listed.split_whitespace().filter(|word| word.starts_with("memory.")).collect();
    ensure!(files.contains(&"memory.swap.max"), "no list of files:\n{}", indented(listed));
    let unknown: Vec<&&str> = files.iter().filter(|file| !known.contains(file)).collect();
    ensure!(unknown.is_empty(), "docs/doing-no-harm.md has no row for {unknown:?}");
    Ok(())
}

/// What `etmem doctor` says of `kernel`, on which nothing was set up.
fn doctor(kernel: &str, said: &str) -> Result<()> {
    let object = said.find('{').map(|start| &said[start..]).context("no object")?;
    let found: Value = serde_json::from_str(object).with_context(|| indented(said))?;
    // Debian's 6.1 was built without DAMON.
    let (damon, probe_damon, damon_is) = match kernel {
        "6.1" => ("the kernel does not have it", "not here", "note"),
        _ => ("free", "works", "ok"),
    };
    let reclaim = match kernel {
        "6.1" => "memory.reclaim of control groups, cgroup v2 at /sys/fs/cgroup, without swappiness=",
        _ => "memory.reclaim of control groups, cgroup v2 at /sys/fs/cgroup, with swappiness=",
    };
    let all = [
        ("kernel", &*format!("Linux {kernel}."), "ok"),
        ("rights", "root", "ok"),
        // Of securityfs there is none inside.
        ("lockdown", "none: ", "ok"),
        ("kernel_types", "BTF is there", "ok"),
        ("probe_etmem", "not here", "note"),
        ("probe_bpf", "works", "ok"),
        ("probe_idle", "not here", "note"),
        ("probe_damon", probe_damon, damon_is),
        ("mover_etmem", "not here", "note"),
        ("mover_madvise", "works", "ok"),
        ("mover_numa", "works", "ok"),
        ("slide", "sees by bpf, moves by madvise", "ok"),
        ("cslide", "cannot run", "note"),
        ("idle_page_tracking", "the kernel does not have it", "note"),
        ("damon", damon, damon_is),
        ("swap", "none", "error"),
        ("zswap", "off", "ok"),
        ("levels", "node0", "ok"),
        ("nodes", "1; 1 tier", "ok"),
        ("pressure", "reported; some program waited ", "ok"),
        ("cgroup", "v2, with the memory controller", "ok"),
        ("reclaim", reclaim, "ok"),
        ("daemons", "none runs", "ok"),
        ("own_memory", "can be locked", "ok"),
    ];
    let findings = found["findings"].as_array().context("no findings")?;
    ensure!(findings.len() == all.len(), "{found:#}");
    for (finding, (name, state, severity)) in findings.iter().zip(all) {
        let is_so = finding["state"].as_str().is_some_and(|told| told.starts_with(state));
        ensure!(finding["name"] == name && is_so && finding["severity"] == severity, "{name}: {finding:#}");
    }
    Ok(())
}

/// What happens inside: cold memory leaves, hot memory stays, and every byte comes back as it was.
fn story(binaries: &Binaries) -> Result<()> {
    let clock = WallClock::new();
    let swap = SwapGuard::acquire(SWAP)?;
    println!("swap: {}", swap.describe());
    let mut workload = Workload::start(&binaries.hotcold, &Options::gentle(MEMORY, HOT))?;
    println!("{:?}: the workload has its memory", clock.now());
    let daemon = Daemon::start(binaries)?;
    println!("{:?}: etmemd listens", clock.now());
    daemon.add(&ProjectFile::new("p").task("t", TaskKind::Pid(workload.pid())).to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    println!("{:?}: the project is started", clock.now());

    let mut places = Places::default();
    let waited = clock.wait_until(STORY_LIMIT, "the cold memory leaves", || {
        ensure!(clock.pause(Duration::from_millis(250)) == Pace::Continue, "stopped");
        places = workload.footprint().places()?;
        Ok(places.cold.share_swapped() >= COLD_OUT)
    });
    waited.with_context(|| format!("{places:?}, log:\n{}", daemon.log()))?;
    println!("{:?}: the cold memory is out", clock.now());
    // Some cycles more, in which hot pages could leave.
    ensure!(clock.pause(Duration::from_secs(6)) == Pace::Continue, "stopped");
    places = workload.footprint().places()?;
    println!("{:?}: {places:?}", clock.now());
    let told = || format!("{places:?}, log:\n{}", daemon.log());
    ensure!(places.cold.share_swapped() >= COLD_OUT, "cold memory came back: {}", told());
    ensure!(places.hot.share_swapped() <= HOT_OUT, "hot memory left: {}", told());

    daemon.must(&["project", "stop", "-n", "p"])?;
    let verified = workload.verify()?;
    ensure!(verified == MEMORY, "{verified} of {MEMORY} bytes are as they were written");
    println!("{:?}: {verified} bytes are as they were written", clock.now());
    Ok(())
}
