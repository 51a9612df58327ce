//! Other kernels than this machine's: the newest 6.12 and 6.1 of Debian, each with page tables of 4 and of 5 levels,
//! booted by the laboratory (`cargo xtask vm`).
//!
//! On each, two programs run: the tests that etmem-linux has for a real kernel, and the story of slide at a small
//! size. And each kernel is examined by `etmem doctor`. The story is told by this same program, which the laboratory takes along: [`INSIDE`] says that it is there.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::process::run;
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::run_in_turn;
use etmem_testkit::workload::footprint::Places;
use etmem_testkit::workload::{Options, Workload};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

const KERNELS: [&str; 2] = ["6.12", "6.1"];
const LEVELS: [&str; 2] = ["4", "5"];
/// The laboratory's status when QEMU, busybox or a kernel's package is missing.
const MISSING: i32 = 77;
/// From nothing, on two slow processors, with a kernel to fetch.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
/// Many times what it takes where every instruction is emulated, for machines that do something else meanwhile.
const BOOT_SECONDS: &str = "300";
const BOOT_LIMIT: Duration = Duration::from_secs(330);

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
        let missing = laboratory_lacks(kernel);
        for levels in LEVELS {
            let name = |what: &str| format!("{what}_on_linux_{kernel}_with_{levels}_levels");
            trials.push(trial(name("the_tests_of_etmem_linux"), missing.clone(), move || {
                tests_of_etmem_linux(Machine { kernel, levels })
            }));
            trials.push(trial(name("slide"), missing.clone(), move || slide(Machine { kernel, levels })));
        }
        trials.push(trial(format!("doctor_on_linux_{kernel}"), missing, move || doctor(kernel)));
    }
    run_in_turn(trials)
}

/// A test that is listed as skipped where the laboratory lacks something.
fn trial(name: String, missing: Option<String>, body: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    match missing {
        None => Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}")))),
        Some(reason) => {
            let full = format!("{name} [skipped: {reason}]");
            Trial::test(full, move || Err(Failed::from(reason))).with_ignored_flag(true)
        }
    }
}

/// What must be installed before `kernel` can be booted here; a failure of any other kind is left to the tests.
fn laboratory_lacks(kernel: &str) -> Option<String> {
    let ran = run(laboratory().args(["--kernel", kernel]), BUILD_LIMIT).ok()?;
    let reason = ran.stderr.lines().last().unwrap_or_default();
    (ran.status == MISSING).then(|| reason.trim_start_matches("vm: ").to_owned())
}

fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn laboratory() -> Command {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--", "vm"]);
    command
}

/// A machine of the laboratory.
#[derive(Debug, Clone, Copy)]
struct Machine {
    kernel: &'static str,
    levels: &'static str,
}

impl Machine {
    /// Runs `command` (words of the shell) with `files` at hand and swap to be had; it must succeed, on the machine
    /// that was asked for. What it printed.
    fn run(self, files: &[&Path], command: &str) -> Result<String> {
        let mut laboratory = laboratory();
        laboratory.args([
            "--kernel",
            self.kernel,
            "--page-table-levels",
            self.levels,
            "--timeout",
            BOOT_SECONDS,
        ]);
        // Debian's 6.1 has lz4, which the testkit prefers, in a module of its own.
        laboratory.args(["--module", "zram", "--module", "lz4"]);
        for file in files {
            laboratory.arg("--file").arg(file);
        }
        let script = format!("uname -r; grep -c -m 1 -w la57 /proc/cpuinfo; {command}");
        let ran = run(laboratory.args(["--", "sh", "-c", &script]), BOOT_LIMIT)?;
        let said = indented(&format!("{}{}", ran.stdout, ran.stderr));
        ensure!(ran.status == 0, "it ended with {} and said:\n{said}", ran.status);
        let mut lines = ran.stdout.lines();
        let release = lines.next().unwrap_or_default();
        ensure!(release.starts_with(&format!("{}.", self.kernel)), "this is Linux {release}, not {self:?}");
        let five_levels = lines.next() == Some("1");
        ensure!(five_levels == (self.levels == "5"), "five levels: {five_levels}, on {self:?}");
        Ok(ran.stdout)
    }
}

/// Lines from inside, where they cannot be taken for this program's own results.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  | {line}\n")).collect()
}

fn tests_of_etmem_linux(machine: Machine) -> Result<()> {
    let mut build = cargo();
    build.args(["test", "--quiet", "--package", "etmem-linux", "--test", "machine", "--no-run"]);
    build.arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let built = run(&mut build, BUILD_LIMIT)?;
    ensure!(built.status == 0, "the tests do not build:\n{}", built.stderr);
    let tests = built.stdout.lines().filter_map(executable).next_back().context("cargo built no tests")?;
    let said = machine.run(&[&tests], &quoted(&tests)?)?;
    // A test that is skipped on this kernel would be a claim that does not hold.
    ensure!(said.contains("; 0 ignored;"), "some were skipped:\n{}", indented(&said));
    Ok(())
}

/// The program that a message of cargo is about.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    message["executable"].as_str().map(PathBuf::from)
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
    let said = Machine { kernel, levels: "4" }.run(&programs, &command)?;
    let object = said.find('{').map(|start| &said[start..]).context("no object")?;
    let found: Value = serde_json::from_str(object).with_context(|| indented(&said))?;
    // Debian's 6.1 was built without DAMON.
    let damon = if kernel == "6.1" { "the kernel does not have it" } else { "free" };
    for (name, state, severity) in [
        ("rights", "root", "ok"),
        ("kernel_types", "BTF is there", "ok"),
        ("probe_etmem", "not here", "note"),
        ("probe_bpf", "works", "ok"),
        ("mover_etmem", "not here", "note"),
        ("mover_madvise", "works", "ok"),
        ("slide", "sees by bpf, moves by madvise", "ok"),
        ("idle_page_tracking", "the kernel does not have it", "note"),
        ("damon", damon, if kernel == "6.1" { "note" } else { "ok" }),
        ("swap", "none", "error"),
        ("zswap", "off", "ok"),
        ("cgroup", "v2, with the memory controller", "ok"),
        ("daemons", "none runs", "ok"),
        ("own_memory", "can be locked", "ok"),
    ] {
        let mut findings = found["findings"].as_array().into_iter().flatten();
        let finding =
            findings.find(|finding| finding["name"] == name).with_context(|| format!("no {name}"))?;
        ensure!(finding["state"] == state && finding["severity"] == severity, "{finding:#}");
    }
    Ok(())
}

/// A path as one word of the shell.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    if text.contains('\'') {
        bail!("{text} holds a quote");
    }
    Ok(format!("'{text}'"))
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
