//! Other kernels than this machine's: the newest 6.12 and 6.1 of Debian, each with page tables of 4 and of 5 levels,
//! booted by the laboratory (`cargo xtask vm`).
//!
//! On each, two programs run: the tests that etmem-linux has for a real kernel, and the story of slide at a small
//! size. And each kernel is examined by `etmem doctor`. The story is told by this same program, which the laboratory takes along: [`INSIDE`] says that it is there.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_testkit::built;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::laboratory::{self, Machine, indented, quoted, trial};
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{for_soak, run_in_turn};
use etmem_testkit::workload::footprint::Places;
use etmem_testkit::workload::{Options, Workload};
use serde_json::Value;

const KERNELS: [&str; 2] = ["6.12", "6.1"];
const LEVELS: [&str; 2] = ["4", "5"];
const INSIDE: &str = "inside-the-laboratory";
const MEMORY: usize = 64 * MIB;
const HOT: usize = 8 * MIB;
const SWAP: usize = 96 * MIB;
const STORY_LIMIT: Duration = Duration::from_secs(200);
/// The share of cold memory that has to leave.
const COLD_OUT: f64 = 0.99;
/// The share of hot pages that may be out: a processor that is emulated can be kept from its work for seconds.
const HOT_OUT: f64 = 0.01;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if let [word, etmemd, etmem, hotcold] = arguments.as_slice()
        && word == INSIDE
    {
        let [etmemd, etmem, hotcold] = [etmemd, etmem, hotcold].map(PathBuf::from);
        return match story(&Binaries { etmemd, etmem, hotcold }) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let mut trials = Vec::new();
    for kernel in KERNELS {
        let missing = laboratory::lacks(kernel);
        for levels in LEVELS {
            let name = |what: &str| format!("{what}_on_linux_{kernel}_with_{levels}_levels");
            trials.push(trial(&name("the_tests_of_etmem_linux"), missing.as_deref(), move || {
                tests_of_etmem_linux(machine(kernel, levels))
            }));
            // The walk itself is tried with both by the tests above; the whole story with 5 levels takes a boot more.
            let (five, story) = (levels == "5", name("slide"));
            let story = if five { for_soak(&story, 1) } else { story };
            let told = trial(&story, missing.as_deref(), move || slide(machine(kernel, levels)));
            trials.push(told.with_ignored_flag(five || missing.is_some()));
        }
        let name = format!("doctor_on_linux_{kernel}");
        trials.push(trial(&name, missing.as_deref(), move || doctor(kernel)));
    }
    run_in_turn(trials)
}

/// A machine for either test; Debian's 6.1 has lz4, which the testkit prefers, in a module of its own.
fn machine(kernel: &'static str, levels: &'static str) -> Machine {
    Machine { levels, modules: &["zram", "lz4"], ..Machine::of(kernel) }
}

fn tests_of_etmem_linux(machine: Machine) -> Result<()> {
    let tests = built::test("etmem-linux/tests/machine/main.rs")?;
    let said = machine.run(&[&tests], &quoted(&tests)?)?;
    // A test that is skipped on this kernel would be a claim that does not hold.
    ensure!(said.contains("; 0 ignored;"), "some were skipped:\n{}", indented(&said));
    Ok(())
}

fn slide(machine: Machine) -> Result<()> {
    let binaries = Binaries::build()?;
    let own = env::current_exe()?;
    let programs = [&binaries.etmemd, &binaries.etmem, &binaries.hotcold].map(PathBuf::as_path);
    let words: Vec<String> = programs.iter().map(|program| quoted(program)).collect::<Result<_>>()?;
    let files = [&programs[..], &[&own]].concat();
    machine.run(&files, &format!("{} {INSIDE} {}", quoted(&own)?, words.join(" ")))?;
    Ok(())
}

/// What the examination says of `kernel`, on which nothing was set up.
fn doctor(kernel: &'static str) -> Result<()> {
    let binaries = Binaries::build()?;
    let programs = [&binaries.etmemd, &binaries.etmem].map(PathBuf::as_path);
    // There is no swap, which is an error.
    let command = format!("{} doctor --json; test $? = 2", quoted(&binaries.etmem)?);
    let said = Machine::of(kernel).run(&programs, &command)?;
    let object = said.find('{').map(|start| &said[start..]).context("no object")?;
    let found: Value = serde_json::from_str(object).with_context(|| indented(&said))?;
    // Debian's 6.1 was built without DAMON.
    let (damon, probe_damon, damon_is) = match kernel {
        "6.1" => ("the kernel does not have it", "not here", "note"),
        _ => ("free", "works", "ok"),
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
        ("nodes", "1; 1 tier", "ok"),
        ("pressure", "reported; some program waited ", "ok"),
        ("cgroup", "v2, with the memory controller", "ok"),
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
    let mut workload = Workload::start(&binaries.hotcold, &Options::new(MEMORY, HOT))?;
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
