//! Guests whose monitors answer by a script.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::process::Running;
use etmem_testkit::qmp::{Manner, ReportingGuest, ScriptedGuest, ScriptedMonitor};
use etmem_testkit::stage::LIMIT;
use serde_json::Value;

use crate::host::Host;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 512 * MIB;

/// Kills, each a little later after the start of the task than the one before.
const KILLS: u32 = 50;
const LATER: Duration = Duration::from_millis(60);

/// A process that stands for QEMU.
fn qemu() -> Result<Running> {
    let mut command = Command::new("sleep");
    command.arg("3600").stdin(Stdio::null());
    Ok(Running::start(&mut command)?.0)
}

/// A project with a task for each of these guests.
fn project(guests: &[(&str, u32, PathBuf)]) -> String {
    let tasks: String = guests
        .iter()
        .map(|(name, pid, socket)| {
            format!(
                "[task]\nproject=p\nengine=balloon\nname={name}\ntype=pid\nvalue={pid}\nqmp_socket={}\nballoon_min=128\n",
                socket.display()
            )
        })
        .collect();
    format!(
        "[project]\nname=p\nscan_type=none\ninterval=1\n[engine]\nproject=p\nname=balloon\nhost_pressure=none\n{tasks}"
    )
}

pub(crate) fn killed() -> Result<()> {
    let (host, clock, binaries) = (Host::new()?, WallClock::new(), Binaries::build()?);
    host.set(5)?;
    let (qemu, socket) = (qemu()?, host.folder().join("qmp"));
    let guest = ReportingGuest::start(&socket, ScriptedGuest::default())?;
    let mut taken = 0;
    let mut daemon = Daemon::start_at(binaries, &host.proc())?;
    for kill in 0..KILLS {
        daemon.add(&project(&[("t", qemu.pid(), socket.clone())]))?;
        daemon.must(&["project", "start", "-n", "p"])?;
        let _ = clock.pause(LATER * kill);
        daemon.kill()?;
        taken += u32::from(guest.guest().actual < SIZE);
        daemon = Daemon::start_at(binaries, &host.proc())?;
        // The daemon gives back before it listens.
        let actual = guest.guest().actual;
        ensure!(actual == SIZE, "kill {kill}: {} MiB are missing\n{}", (SIZE - actual) / MIB, daemon.log());
    }
    println!("{taken} of {KILLS} kills met a guest that had given memory");
    ensure!(taken >= KILLS / 3, "the kills came too early: {taken}");
    Ok(())
}

fn reason(shown: &Value) -> Option<&str> {
    shown["last_cycle"]["processes"][0]["reason"]["name"].as_str()
}

pub(crate) fn manners() -> Result<()> {
    let (host, clock, binaries) = (Host::new()?, WallClock::new(), Binaries::build()?);
    host.set(5)?;
    let manners = [
        ("silent", Manner::Silent, "qmp_taken"),
        ("deaf", Manner::Deaf, "qmp_lost"),
        ("closes", Manner::ClosesAt("query-balloon"), "qmp_lost"),
        ("garbage", Manner::Garbage, "qmp_garbled"),
        ("events", Manner::Events, ""),
        ("good", Manner::Good, ""),
    ];
    let (mut guests, mut processes, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    for (name, manner, _) in manners {
        let (socket, process) = (host.folder().join(name), qemu()?);
        guests.push(ReportingGuest::start(&socket, ScriptedGuest { manner, ..ScriptedGuest::default() })?);
        tasks.push((name, process.pid(), socket));
        processes.push(process);
    }
    let without = ScriptedGuest { available: u64::MAX, ..ScriptedGuest::default() };
    let (socket, process) = (host.folder().join("numbers"), qemu()?);
    let _numbers = ScriptedMonitor::start(&socket, without)?;
    tasks.push(("numbers", process.pid(), socket));
    let gone = qemu()?;
    tasks.push(("gone", gone.pid(), host.folder().join("none")));
    let daemon = Daemon::start_at(binaries, &host.proc())?;
    daemon.add(&project(&tasks))?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let wanted = manners.iter().map(|(name, _, reason)| (*name, *reason));
    for (name, want) in wanted
        .chain([("numbers", "guest_silent"), ("gone", "qmp_absent")])
        .filter(|(_, want)| !want.is_empty())
    {
        let mut last = String::new();
        let waited = clock.wait_until(LIMIT, &format!("task {name} has the reason {want}"), || {
            last = daemon.must(&["task", "show", "-n", "p", "-t", name, "--json"])?;
            Ok(reason(&serde_json::from_str(&last)?) == Some(want))
        });
        waited.with_context(|| format!("{last}\n{}", daemon.log()))?;
    }
    for at in [4, 5] {
        clock.wait_until(LIMIT, "the others give memory", || Ok(guests[at].guest().actual < 300 * MIB))?;
    }
    host.set(50)?;
    for at in [4, 5] {
        clock.wait_until(LIMIT, "and get it back", || Ok(guests[at].guest().actual == SIZE))?;
    }
    daemon.must(&["project", "stop", "-n", "p"])?;
    clock.wait_until(LIMIT, "they report as before", || Ok(guests[5].guest().interval == 0))?;
    drop(processes);
    Ok(())
}
