//! Triggers on real kernels: with `sleep=1200` a cycle begins when a threshold is crossed, and never without; a task that waits on
//! them does not wake up more often than they need.
//!
//! Thresholds of control groups of the first version are tried here, those of the second, `memory.high` and pressure on a machine of
//! the laboratory, where this same program tells the story.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Machine, quoted, trial};
use etmem_testkit::machine::Need;
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{for_soak, trial_or_skip};
use etmem_testkit::undo::Undo;
use etmem_testkit::workload::{Options, Workload};
use serde_json::Value;

const MACHINE: Machine = Machine { modules: &["zram", "lz4"], seconds: 1200, ..Machine::of("6.12") };
const SWAP: usize = 128 * MIB;
const MEMORY: usize = 48 * MIB;
const HOT: usize = 4 * MIB;
/// Crossed by a workload of that much, and by nothing else.
const THRESHOLD: &str = "24M";
/// Far from the 1200 s of the timer, for machines that do something else meanwhile.
const LIMIT: Duration = Duration::from_secs(240);
/// Longer than a threshold that is read each second takes to be noticed.
const NOTHING: Duration = Duration::from_secs(4);
/// Three windows of pressure.
const SETTLED: Duration = Duration::from_secs(6);
const MINUTE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let inside = |_: &str, binaries: &Binaries| second_version(binaries);
    if let Some(status) = guest::story(inside) {
        return status;
    }
    let missing = laboratory::lacks(MACHINE.kernel);
    // Each has its own daemon, and mostly waits.
    let trials = vec![
        trial_or_skip("first_version_crosses_up_down_and_goes", &[Need::Root, Need::Bpf], || {
            let binaries = Binaries::build()?;
            Story::new(binaries)?.usage(&Hierarchy::FIRST)
        }),
        trial_or_skip("a_minute_of_nothing_wakes_no_event_trigger", &[Need::Root, Need::Bpf], || {
            let story = Story::new(Binaries::build()?)?;
            let group = Hierarchy::FIRST.group("etmem-quiet")?;
            // No right is asked for: CAP_SYS_RESOURCE is missing here.
            let usage = format!("usage {} 1G", group.name);
            // Without CAP_SYS_RESOURCE the kernel has up to two events of nothing for each trigger that is set, at its next stalls
            // (etmem-linux/src/trigger/pressure.rs). No cycle begins with them.
            story.quiet(&[(&usage, 0), ("pressure full 2s/2s", 2), ("free 1%", 61)])
        }),
        trial(&for_soak("second_version_in_a_machine_of_6_12", 4), missing.as_deref(), || {
            guest::boot(MACHINE, "triggers")
        })
        .with_ignored_flag(true),
    ];
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code()
}

fn second_version(binaries: &Binaries) -> Result<()> {
    let swap = SwapGuard::acquire(SWAP)?;
    println!("swap: {}", swap.describe());
    fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory").context("no memory controller")?;
    let story = Story::new(binaries)?;
    story.usage(&Hierarchy::SECOND)?;
    story.high()?;
    story.pressure()?;
    let group = Hierarchy::SECOND.group("etmem-quiet")?;
    let triggers = ["usage NAME 1G", "high NAME", "pressure some 1s/2s NAME"]
        .map(|text| text.replace("NAME", &group.name));
    story.quiet(&[(&triggers[0], 61), (&triggers[1], 0), (&triggers[2], 0), ("free 1%", 61)])
}

/// Where groups are made.
struct Hierarchy {
    root: &'static str,
}

impl Hierarchy {
    const FIRST: Self = Self { root: "/sys/fs/cgroup/memory" };
    const SECOND: Self = Self { root: "/sys/fs/cgroup" };

    fn group(&self, name: &str) -> Result<Group> {
        let name = format!("{name}-{}", std::process::id());
        let folder = Path::new(self.root).join(&name);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let gone = folder.clone();
        // A group with processes stays, and they are ended before.
        let undo = Undo::with(move || drop(fs::remove_dir(gone)));
        Ok(Group { name, folder, _undo: undo })
    }
}

/// A control group of this test.
struct Group {
    name: String,
    folder: PathBuf,
    _undo: Undo,
}

impl Group {
    fn set(&self, file: &str, value: impl ToString) -> Result<()> {
        fs::write(self.folder.join(file), value.to_string()).with_context(|| file.to_owned())
    }

    /// Ends it, once the kernel lets go of its last process.
    fn remove(&self) -> Result<()> {
        WallClock::new()
            .wait_until(LIMIT, "the group can be removed", || Ok(fs::remove_dir(&self.folder).is_ok()))?;
        Ok(())
    }

    /// A workload that is born in the group, which its memory is then charged to.
    fn workload(&self, binaries: &Binaries, hot: usize) -> Result<Workload> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        let script = folder.path().join("hotcold");
        let procs = self.folder.join("cgroup.procs");
        let text =
            format!("#!/bin/sh\necho $$ >{}\nexec {} \"$@\"\n", procs.display(), quoted(&binaries.hotcold)?);
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Workload::start(&script, &Options::new(MEMORY, hot))
    }
}

/// A daemon, and projects on it.
struct Story<'b> {
    daemon: Daemon,
    clock: WallClock,
    binaries: &'b Binaries,
    projects: Cell<usize>,
}

impl<'b> Story<'b> {
    fn new(binaries: &'b Binaries) -> Result<Self> {
        Ok(Self {
            daemon: Daemon::start(binaries)?,
            clock: WallClock::new(),
            binaries,
            projects: Cell::new(0),
        })
    }

    /// A project of engine noop with `trigger`, whose first cycle is over.
    fn start(&self, trigger: &str) -> Result<Project<'_>> {
        let number = self.projects.replace(self.projects.get() + 1);
        let name = format!("p{number}");
        let own = std::process::id();
        self.daemon.add(&format!(
            "[project]\nname={name}\nscan_type=page\nloop=1\ninterval=1\nsleep=1200\ntrigger={trigger}\n\
             [engine]\nproject={name}\nname=noop\n\
             [task]\nproject={name}\nengine=noop\nname=t\ntype=pid\nvalue={own}\n"
        ))?;
        // On an emulated processor the client may give up before the daemon has looked at all that the kernel has.
        let started = self.daemon.etmem(&["project", "start", "-n", &name])?;
        ensure!(
            started.status == 0 || started.stderr.contains("may still be carried out"),
            "{}",
            started.stderr
        );
        let project = Project { daemon: &self.daemon, clock: &self.clock, name, trigger: trigger.to_owned() };
        project.wait("the first cycle is over", |shown| shown["state"] == "resting")?;
        ensure!(project.show()?["woken_by"]["cause"] == "start");
        Ok(project)
    }

    /// A usage threshold: crossed upwards, downwards and upwards again, its group removed and made again.
    fn usage(&self, hierarchy: &Hierarchy) -> Result<()> {
        let group = hierarchy.group("etmem-usage")?;
        let project = self.start(&format!("usage {} {THRESHOLD}", group.name))?;
        project.nothing(1)?;
        for cycle in 2..=3 {
            let begun = self.clock.now();
            let workload = group.workload(self.binaries, HOT)?;
            project.fires(cycle, "its memory is ")?;
            println!("{:?} from the start of the workload to the next cycle", self.clock.now() - begun);
            project.nothing(cycle)?;
            workload.kill()?;
            project.nothing(cycle)?;
        }
        group.remove()?;
        project.fails("there is no control group")?;
        fs::create_dir(&group.folder)?;
        let _workload = group.workload(self.binaries, HOT)?;
        project.fires(4, "its memory is ")?;
        project.end()
    }

    /// A group that exceeds its memory.high.
    fn high(&self) -> Result<()> {
        let group = Hierarchy::SECOND.group("etmem-high")?;
        group.set("memory.high", 16 * MIB)?;
        let project = self.start(&format!("high {}", group.name))?;
        project.nothing(1)?;
        let workload = group.workload(self.binaries, HOT)?;
        project.goes_on_firing("over memory.high ")?;
        workload.kill()?;
        group.remove()?;
        project.fails("there is no control group")?;
        project.end()
    }

    /// Pressure in a group; then PSI is switched off for it, and the group removed.
    fn pressure(&self) -> Result<()> {
        let group = Hierarchy::SECOND.group("etmem-pressure")?;
        group.set("memory.max", 16 * MIB)?;
        let project = self.start(&format!("pressure some 20ms/2s {}", group.name))?;
        project.nothing(1)?;
        // A program that has less memory than it touches waits for it all the time.
        let thrashing = group.workload(self.binaries, MEMORY)?;
        project.goes_on_firing("programs wait for memory")?;
        thrashing.kill()?;
        group.set("cgroup.pressure", 0)?;
        project.fails("PSI is switched off for the group")?;
        group.set("cgroup.pressure", 1)?;
        project.wait("it is watched again", |shown| shown["triggers"][0]["fault"].is_null())?;
        group.remove()?;
        project.fails("there is no control group")?;
        project.end()
    }

    /// A minute in which nothing happens: how often the task of each trigger wakes up at most.
    fn quiet(&self, triggers: &[(&str, u64)]) -> Result<()> {
        let mut watched = Vec::new();
        for (trigger, most) in triggers {
            let before = self.threads()?;
            let project = self.start(trigger)?;
            ensure!(project.show()?["triggers"][0]["fault"].is_null(), "{:#}", project.show()?);
            let new: Vec<PathBuf> =
                self.threads()?.into_iter().filter(|thread| !before.contains(thread)).collect();
            let [thread] = &new[..] else { anyhow::bail!("not one thread more: {new:?}") };
            watched.push((project, thread.clone(), *most));
        }
        // The first events of a pressure trigger may be of nothing; they mostly come soon.
        let _ = self.clock.pause(SETTLED);
        let before: Vec<u64> =
            watched.iter().map(|(_, thread, _)| wake_ups(thread)).collect::<Result<_>>()?;
        let _ = self.clock.pause(MINUTE);
        for ((project, thread, most), before) in watched.iter().zip(before) {
            let woken = wake_ups(thread)? - before;
            println!("{}: woke up {woken} times in a minute, {most} at most", project.trigger);
            ensure!(woken <= *most, "{}: woke up {woken} times in a minute", project.trigger);
            ensure!(project.show()?["cycles"] == 1);
        }
        watched.iter().try_for_each(|(project, _, _)| project.end())
    }

    /// The threads of tasks.
    fn threads(&self) -> Result<Vec<PathBuf>> {
        let all = fs::read_dir(format!("/proc/{}/task", self.daemon.pid()))?;
        let is_task =
            |path: &PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|name| name == "etmemd-task\n");
        Ok(all.flatten().map(|entry| entry.path()).filter(is_task).collect())
    }
}

/// How often a thread has gone to sleep of its own accord.
fn wake_ups(thread: &Path) -> Result<u64> {
    let text = fs::read_to_string(thread.join("status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    Ok(line.context("not counted")?.trim().parse()?)
}

struct Project<'a> {
    daemon: &'a Daemon,
    clock: &'a WallClock,
    name: String,
    trigger: String,
}

impl Project<'_> {
    fn show(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.daemon.must(&["task", "show", "-n", &self.name, "--json"])?)?)
    }

    fn wait(&self, what: &str, enough: impl Fn(&Value) -> bool) -> Result<()> {
        let mut shown = Value::Null;
        let waited = self.clock.wait_until(LIMIT, &format!("{}: {what}", self.trigger), || {
            shown = self.show().unwrap_or_default();
            Ok(enough(&shown))
        });
        waited.with_context(|| format!("{shown:#}\nlog:\n{}", self.daemon.log()))?;
        Ok(())
    }

    /// Lines of the log about the trigger.
    fn said(&self, words: &str) -> usize {
        let label = format!("project {} task t: ", self.name);
        let log = self.daemon.log();
        log.lines().filter(|line| line.contains(&label) && line.contains(words)).count()
    }

    /// No cycle begins: `cycles` were there, and are.
    fn nothing(&self, cycles: u64) -> Result<()> {
        let _ = self.clock.pause(NOTHING);
        let shown = self.show()?;
        ensure!(shown["cycles"] == cycles, "{shown:#}\nlog:\n{}", self.daemon.log());
        Ok(())
    }

    /// A cycle was begun by the trigger, which fires again for as long as its cause lasts.
    fn goes_on_firing(&self, evidence: &str) -> Result<()> {
        self.wait("a further cycle", |shown| shown["cycles"].as_u64() >= Some(2))?;
        let shown = self.show()?;
        ensure!(shown["woken_by"]["cause"] == "trigger", "{shown:#}");
        ensure!(
            shown["woken_by"]["evidence"].as_str().is_some_and(|said| said.contains(evidence)),
            "{shown:#}"
        );
        Ok(())
    }

    /// Cycle `cycle` was begun by the trigger, as task show and the log say, once.
    fn fires(&self, cycle: u64, evidence: &str) -> Result<()> {
        self.wait(&format!("cycle {cycle}"), |shown| shown["cycles"] == cycle)?;
        let shown = self.show()?;
        let woken = &shown["woken_by"];
        ensure!(woken["cause"] == "trigger" && woken["trigger"] == *self.trigger, "{shown:#}");
        ensure!(woken["evidence"].as_str().is_some_and(|said| said.contains(evidence)), "{shown:#}");
        let words = format!("woken by trigger {}: ", self.trigger);
        ensure!(self.said(&words) as u64 == cycle - 1, "log:\n{}", self.daemon.log());
        Ok(())
    }

    /// The trigger comes to this fault, and the log says it once.
    fn fails(&self, words: &str) -> Result<()> {
        self.wait("a fault", |shown| {
            shown["triggers"][0]["fault"].as_str().is_some_and(|fault| fault.contains(words))
        })?;
        ensure!(self.said(words) == 1, "log:\n{}", self.daemon.log());
        Ok(())
    }

    fn end(&self) -> Result<()> {
        self.daemon.must(&["project", "del", "-n", &self.name]).map(drop)
    }
}
