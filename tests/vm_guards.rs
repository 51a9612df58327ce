//! What guards the machine and its programs from etmemd, on a real kernel with control groups of the second version, in a
//! virtual machine: each guard stops or limits what leaves, says so once, and lets go without help.
//!
//! This same program tells the story inside that machine.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Machine, quoted, trial};
use etmem_testkit::machine::meminfo;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{for_soak, run_in_turn};
use etmem_testkit::workload::{Options, Workload};
use nix::sys::mman::{MlockAllFlags, mlockall};
use serde_json::Value;

const LOCKED: &str = "with-locked-memory";
const MACHINE: Machine = Machine { modules: &["zram", "lz4"], ..Machine::of("6.12") };
const WITH_LOOP: Machine = Machine { modules: &["loop"], ..Machine::of("6.12") };
const SWAP: usize = 192 * MIB;
const MEMORY: usize = 48 * MIB;
const HOT: usize = 4 * MIB;
const PART: usize = 8 * MIB;
/// What the kernel may count a little late, and hand out ahead.
const SLACK: usize = 2 * MIB;
const LIMIT: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    if env::args_os().nth(1).is_some_and(|word| word == LOCKED) {
        return guest::exit_code(play_locked());
    }
    let tell = |name: &str, binaries: &Binaries| match name {
        "swap-fails" => swap_fails(binaries),
        _ => story(binaries),
    };
    if let Some(status) = guest::story(tell) {
        return status;
    }
    let missing = laboratory::lacks(MACHINE.kernel);
    let name = for_soak("guards_stop_or_limit_and_say_so_once", 3);
    let boots = trial(&name, missing.as_deref(), || guest::boot(MACHINE, "guards"));
    let fails =
        trial("swap_that_fails_takes_no_more", missing.as_deref(), || guest::boot(WITH_LOOP, "swap-fails"));
    run_in_turn(vec![boots.with_ignored_flag(true), fails])
}

/// A control group.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        fs::write(root.join("cgroup.subtree_control"), "+memory").context("no memory controller")?;
        fs::create_dir(root.join(name))?;
        Ok(Self(root.join(name)))
    }

    fn set(&self, file: &str, value: impl ToString) -> Result<()> {
        fs::write(self.0.join(file), value.to_string()).with_context(|| file.to_owned())
    }

    fn bytes(&self, file: &str) -> Result<usize> {
        Ok(fs::read_to_string(self.0.join(file))?.trim().parse()?)
    }

    /// A workload that is born in the group, which its memory is then charged to.
    fn workload(&self, binaries: &Binaries, options: &Options) -> Result<Workload> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("hotcold");
        let procs = self.0.join("cgroup.procs");
        let text =
            format!("#!/bin/sh\necho $$ >{}\nexec {} \"$@\"\n", procs.display(), quoted(&binaries.hotcold)?);
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Workload::start(&script, options)
    }
}

/// A daemon whose tasks are held, one after the other.
struct Story {
    daemon: Daemon,
    clock: WallClock,
}

impl Story {
    fn show(&self, project: &str) -> Result<Value> {
        let text = self.daemon.must(&["task", "show", "-n", project, "-t", "t", "--json"])?;
        Ok(serde_json::from_str(&text)?)
    }

    fn wait(&self, project: &str, what: &str, enough: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut shown = Value::Null;
        let waited = self.clock.wait_until(LIMIT, &format!("{project}: {what}"), || {
            shown = self.show(project)?;
            Ok(enough(&shown))
        });
        waited.with_context(|| format!("{shown:#}\nlog:\n{}", self.daemon.log()))?;
        Ok(shown)
    }

    fn start(&self, project: &str, pid: u32, lines: &[&str]) -> Result<()> {
        let lines = [&["T=1", "max_refault=none"][..], lines].concat();
        let file = ProjectFile { scans: 1, ..ProjectFile::new(project) };
        self.daemon.add(&file.task_with("t", TaskKind::Pid(pid), &lines).to_string())?;
        self.daemon.must(&["project", "start", "-n", project])?;
        Ok(())
    }

    /// A task on `pid` comes to the reason `name`, keeps to it, and has said so in the log in `words`, once.
    fn held(&self, project: &str, pid: u32, lines: &[&str], name: &str, words: &str) -> Result<()> {
        self.start(project, pid, lines)?;
        self.comes_to(project, name, words)
    }

    fn comes_to(&self, project: &str, name: &str, words: &str) -> Result<()> {
        let reason = |shown: &Value| shown["last_cycle"]["processes"][0]["reason"]["name"] == name;
        let cycles = |shown: &Value| shown["cycles"].as_u64().unwrap_or(0);
        let first = cycles(&self.wait(project, name, reason)?);
        self.wait(project, "it holds for four cycles", |shown| cycles(shown) >= first + 4 && reason(shown))?;
        let log = self.daemon.log();
        let label = format!("project {project} task t");
        let said =
            log.lines().filter(|line| line.contains("WARN") && line.contains(&label) && line.contains(words));
        ensure!(said.count() == 1, "{project}: {words:?} is not said once:\n{log}");
        self.daemon.must(&["project", "del", "-n", project])?;
        println!("{:?}: {project}: {name}, said once", self.clock.now());
        Ok(())
    }
}

fn story(binaries: &Binaries) -> Result<()> {
    let swap = SwapGuard::acquire(SWAP)?;
    println!("swap: {}", swap.describe());
    let story = Story { daemon: Daemon::start(binaries)?, clock: WallClock::new() };
    let group = Group::new("guarded")?;
    let mut workload = group.workload(binaries, &Options::new(MEMORY, HOT))?;
    let pid = workload.pid();
    let swapped = || status_bytes(pid, "VmSwap");
    ensure!(group.bytes("memory.current")? >= MEMORY, "its memory is not the group's");

    group.set("memory.swap.max", 0)?;
    story.held("no-swap", pid, &[], "cgroup_swap", "its cgroup has no room in swap")?;
    ensure!(swapped()? == 0, "{} bytes left", swapped()?);

    for (file, project) in [("memory.min", "promised"), ("memory.low", "promised-lower")] {
        group.set("memory.swap.max", "max")?;
        group.set(file, 1 << 30)?;
        story.held(project, pid, &[], "cgroup_protected", "its cgroup is promised")?;
        ensure!(swapped()? == 0, "{} bytes left", swapped()?);
        group.set(file, 0)?;
    }

    group.set("memory.swap.max", PART)?;
    story.held("some-swap", pid, &[], "cgroup_swap", "over its cgroup's memory.swap.max")?;
    let part = swapped()?;
    ensure!(part > 0 && part <= PART, "{part} bytes left");
    group.set("memory.swap.max", "max")?;

    let promise = group.bytes("memory.current")? - PART;
    group.set("memory.low", promise)?;
    story.held("some-promised", pid, &[], "cgroup_protected", "promised by its cgroup's memory.min")?;
    let more = swapped()? - part;
    ensure!(more > 0 && more <= PART + SLACK, "{more} bytes left");
    group.set("memory.low", 0)?;

    // A program that has less memory than it touches waits for it all the time.
    let tight = Group::new("tight")?;
    tight.set("memory.max", 16 * MIB)?;
    let thrashing = tight.workload(binaries, &Options::new(MEMORY, MEMORY))?;
    let before = swapped()?;
    story.start("pressed", pid, &["max_pressure=1"])?;
    story.comes_to("pressed", "pressure", "programs wait for memory")?;
    ensure!(swapped()? <= before, "{} bytes left", swapped()? - before);
    thrashing.kill()?;

    let (locked, mut child) = locked()?;
    story.start("locked", locked, &[])?;
    let shown = story.wait("locked", "locked", |shown| {
        shown["last_cycle"]["processes"][0]["reason"]["name"] == "locked"
    })?;
    ensure!(shown["total"]["moved_bytes"] == 0 && status_bytes(locked, "VmSwap")? == 0, "{shown:#}");
    child.kill()?;
    child.wait()?;

    // Nothing is in the way any more.
    story.start("free", pid, &[])?;
    let waited = story.clock.wait_until(LIMIT, "all leaves", || Ok(swapped()? >= (MEMORY - HOT) / 100 * 99));
    waited.with_context(|| story.daemon.log())?;
    ensure!(workload.verify()? == MEMORY);
    Ok(())
}

/// What the file of swap may take: less than the workload has.
const FILE_ROOM: usize = 32 * MIB;

fn shell(line: &str) -> Result<()> {
    let status = Command::new("sh").args(["-c", line]).status()?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}

/// Swap on a device whose file has no room: writes fail from some point on, and what they were to take stays in the swap cache.
fn swap_fails(binaries: &Binaries) -> Result<()> {
    shell(&format!(
        "mkdir /full && mount -t tmpfs -o size={FILE_ROOM} none /full && truncate -s 160M /full/swap && \
         losetup /dev/loop0 /full/swap && mkswap /dev/loop0 && swapon /dev/loop0"
    ))?;
    let story = Story { daemon: Daemon::start(binaries)?, clock: WallClock::new() };
    let mut workload = Workload::start(&binaries.hotcold, &Options::new(2 * MEMORY, HOT))?;
    story.start("full", workload.pid(), &[])?;
    let failing = |shown: &Value| shown["last_cycle"]["processes"][0]["reason"]["name"] == "swap_fails";
    story.wait("full", "writes fail", failing)?;
    let moved = |shown: &Value| shown["total"]["moved_bytes"].as_u64().unwrap_or(0);
    let (before, cached) = (moved(&story.show("full")?), meminfo("SwapCached"));
    println!("{:?}: moved {before}, swap cache {cached}", story.clock.now());
    ensure!(cached >= 4 * MIB, "{cached} bytes are stuck");
    // What is stuck is not said to be moved; how much that is, is known by a sample.
    let out = status_bytes(workload.pid(), "VmSwap")?;
    let most = (FILE_ROOM / 8 * 9) as u64;
    ensure!(
        out as u64 > most && before <= most,
        "{before} moved, {cached} in the swap cache, of {out} that left"
    );
    let ran = Command::new(&binaries.etmem).args(["doctor", "--json"]).output()?;
    let found: Value = serde_json::from_slice(&ran.stdout)?;
    let swap = found["findings"].as_array().context("no findings")?.iter().find(|one| one["name"] == "swap");
    let swap = swap.context("no swap")?;
    ensure!(swap["severity"] == "warning", "{swap:#}");
    ensure!(
        swap["reason"].as_str().is_some_and(|reason| reason.starts_with("writes to it fail")),
        "{swap:#}"
    );
    story.comes_to("full", "swap_fails", "writes to swap fail, so that")?;
    let more = meminfo("SwapCached").saturating_sub(cached);
    ensure!(more <= SLACK, "{more} bytes more are stuck");
    ensure!(workload.verify()? == 2 * MEMORY);
    Ok(())
}

/// A program all of whose memory is locked: its number.
fn locked() -> Result<(u32, Child)> {
    let mut child =
        Command::new(env::current_exe()?).arg(LOCKED).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    ensure!(line == "locked\n", "{line:?}");
    Ok((child.id(), child))
}

/// Locks all it has, and waits to be ended.
fn play_locked() -> Result<()> {
    let memory = vec![1u8; 16 * MIB];
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?;
    println!("locked");
    let mut word = String::new();
    std::io::stdin().read_to_string(&mut word)?;
    ensure!(memory.len() == 16 * MIB);
    Ok(())
}
