//! Programs that say themselves where their memory is to lie: cslide leaves it there, and says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::built;
use etmem_testkit::daemon::Daemon;
use etmem_testkit::numa_maps;
use etmem_testkit::process::{Running, run};
use serde_json::Value;

use crate::inside::Inside;

const MIB: u64 = 16;
const LIMIT: Duration = Duration::from_secs(200);
/// What a program asks for, or its cpuset. The first asks for nothing.
const KINDS: [&str; 6] = ["none", "bind", "preferred", "interleave", "task", "cpuset"];

/// Where the program is, here and in the machine.
fn program() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm_nodes_bound")
}

/// The program, compiled.
pub(crate) fn built() -> Result<PathBuf> {
    built::c_program(&Path::new(env!("CARGO_MANIFEST_DIR")).join("vm_nodes/bound.c"), &program())?;
    Ok(program())
}

/// A program that runs, and where its memory is.
struct Bound {
    kind: &'static str,
    running: Running,
    start: usize,
}

impl Bound {
    fn start(kind: &'static str) -> Result<Self> {
        let mut command = Command::new(program());
        // All of it on node 0, where the processors are.
        command.arg(MIB.to_string()).arg(if kind == "cpuset" { "none" } else { kind });
        let (running, start) = Running::start_ready(&mut command)?;
        Ok(Self { kind, running, start: usize::from_str_radix(&start, 16)? })
    }

    fn places(&self) -> Result<BTreeMap<u16, u64>> {
        numa_maps::of_mapping(self.running.pid(), self.start)
    }
}

/// Allows process `pid` node 0 only.
fn confine(pid: u32) -> Result<()> {
    let top = Path::new("/sys/fs/cgroup");
    if !top.join("cgroup.procs").exists() {
        fs::create_dir_all(top)?;
        let ran = run(Command::new("mount").args(["-t", "cgroup2", "cgroup2"]).arg(top), LIMIT)?;
        ensure!(ran.status == 0, "{ran:?}");
    }
    fs::write(top.join("cgroup.subtree_control"), "+cpuset").context("the controller cpuset")?;
    let group = top.join("confined");
    fs::create_dir_all(&group)?;
    fs::write(group.join("cpuset.mems"), "0")?;
    fs::write(group.join("cgroup.procs"), pid.to_string())?;
    Ok(())
}

fn project(programs: &[Bound], reserve: u64) -> String {
    let task = |bound: &Bound| {
        format!(
            "\n[task]\nproject=p\nengine=cslide\nname={}\ntype=pid\nvalue={}\nanon_only=yes\ntracker=bpf\n",
            bound.kind,
            bound.running.pid()
        )
    };
    format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n\n[engine]\nname=cslide\nproject=p\n\
         node_pair=1,0\nhot_threshold=1\nnode_mig_quota=64\nnode_hot_reserve={reserve}\n{}",
        programs.iter().map(task).collect::<String>()
    )
}

fn show(daemon: &Daemon, task: &str) -> Result<Value> {
    Ok(serde_json::from_str(&daemon.must(&["task", "show", "-n", "p", "-t", task, "--json"])?)?)
}

pub(crate) fn story(inside: &Inside) -> Result<()> {
    let programs: Vec<Bound> = KINDS.into_iter().map(Bound::start).collect::<Result<_>>()?;
    confine(programs[KINDS.len() - 1].running.pid())?;
    let before: Vec<_> = programs.iter().map(Bound::places).collect::<Result<_>>()?;
    ensure!(before.iter().all(|places| places.contains_key(&0)), "{before:?}");
    // More than is free: all that is cold is to go to the slow node.
    let reserve = Inside::nodes()?[0].memory.total >> 20;
    let daemon = Daemon::start(&inside.binaries)?;
    daemon.add(&project(&programs, reserve))?;
    daemon.must(&["project", "start", "-n", "p"])?;
    inside.clock.wait_until(LIMIT, "what is not bound has left", || {
        let on_fast = programs[0].places()?.get(&0).copied().unwrap_or(0);
        Ok(on_fast <= 1 << 20)
    })?;
    let cycles = show(&daemon, "none")?["cycles"].as_u64();
    inside.clock.wait_until(LIMIT, "two more cycles", || {
        Ok(show(&daemon, "none")?["cycles"].as_u64() >= cycles.map(|cycles| cycles + 2))
    })?;
    inside.say("cold memory that is not bound is on the slow node");
    for (bound, before) in programs.iter().zip(before).skip(1) {
        let (kind, after) = (bound.kind, bound.places()?);
        let shown = show(&daemon, kind)?;
        ensure!(after == before, "{kind}: {before:?} before, {after:?} after: {shown:#}");
        let process = &shown["last_cycle"]["processes"][0];
        ensure!(process["reason"]["name"] == "bound", "{kind}: {shown:#}");
        let skipped = shown["last_cycle"]["skipped_bound_bytes"].as_u64();
        ensure!(skipped >= Some(MIB << 20), "{kind}: {shown:#}");
        println!("{kind}: {after:?}, {}", process["text"]);
    }
    Ok(())
}
