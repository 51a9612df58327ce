//! Two guests of QEMU by software emulation: one idle with much in its page cache, one busy.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::built;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::machine;
use etmem_testkit::process::Running;
use serde_json::Value;

use crate::SERIES;
use crate::host::Host;

const MIB: u64 = 1 << 20;

/// Where everything is emulated.
const BOOT: Duration = Duration::from_secs(240);

/// The cache of the idle guest, and what it has to give of it, within this time.
const CACHE: u64 = 300 * MIB;
const GIVES: u64 = 200 * MIB;
const GIVES_WITHIN: Duration = Duration::from_secs(60);
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// From one round to the next; what a round itself may take, where everything is emulated.
const INTERVAL: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(2);

/// MiB by which the idle guest grows.
const GROWS: u32 = 175;

struct Guest {
    running: Running,
    lines: Arc<Mutex<Vec<String>>>,
    socket: PathBuf,
}

impl Guest {
    /// A guest of 512 MiB that runs this script.
    fn start(folder: &Path, name: &str, disks: &[&Path], files: &[&Path], script: &str) -> Result<Self> {
        let socket = folder.join(format!("{name}.qmp"));
        let mut command = Command::new(built::program("xtask")?);
        command.args(["vm", "--kernel", SERIES, "--mem", "512M", "--timeout", "1200"]);
        command.args(["--module", "virtio_pci", "--module", "virtio_balloon", "--module", "virtio_blk"]);
        command.args(["--qemu", "-device virtio-balloon-pci,id=balloon0"]);
        command.args(["--qemu", &format!("-qmp unix:{},server=on,wait=off", socket.display())]);
        for disk in disks {
            command.args(["--qemu", &format!("-drive file={},if=virtio,format=raw", disk.display())]);
        }
        for file in files {
            command.arg("--file").arg(file);
        }
        command.args(["--", "sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        let (running, pipes) = Running::start(&mut command)?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let output = BufReader::new(pipes.output.context("no output")?);
        let shared = Arc::clone(&lines);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Ok(Self { running, lines, socket })
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The major faults that it has had, as it last said.
    fn faults(&self) -> Option<u64> {
        self.lines().iter().rev().find_map(|line| line.strip_prefix("pgmajfault ")?.trim().parse().ok())
    }

    /// The process of QEMU, which the laboratory started.
    fn qemu(&self) -> Result<u32> {
        let pid = self.running.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        children.split_whitespace().next().context("QEMU does not run")?.parse().context("a pid")
    }

    fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.qemu()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? << 10)
    }
}

fn figure(daemon: &Daemon, task: &str, name: &str) -> Result<Option<u64>> {
    let shown: Value =
        serde_json::from_str(&daemon.must(&["task", "show", "-n", "p", "-t", task, "--json"])?)?;
    Ok(shown["last_cycle"][name].as_u64())
}

pub(crate) fn two() -> Result<()> {
    let (host, clock, binaries) = (Host::new()?, WallClock::new(), Binaries::build()?);
    println!("{}", machine::describe());
    let disk = host.folder().join("disk");
    File::create(&disk)?.set_len(CACHE)?;
    // What is written to the second disk is for the guest: it grows then.
    let signal = host.folder().join("signal");
    fs::write(&signal, [b'-'; 4096])?;
    let says = "while true; do grep pgmajfault /proc/vmstat; sleep 2; done";
    let grows = format!(
        "blockdev --flushbufs /dev/vdb; if [ ! -e /dev/shm/x ] && [ $(head -c 4 /dev/vdb) = grow ]; then \
         dd if=/dev/zero of=/dev/shm/x bs=1M count={GROWS} 2>/dev/null; fi"
    );
    let read = format!(
        "cat /dev/vda >/dev/null; echo ready; {}",
        says.replace("sleep 2", &format!("{grows}; sleep 1"))
    );
    let idle = Guest::start(host.folder(), "idle", &[&disk, &signal], &[], &read)?;
    let hotcold = &binaries.hotcold;
    let work = format!(
        "sleep 3600 | {} --memory=256m --hot=256m --rest=20 >/dev/null & sleep 20; echo ready; {says}",
        hotcold.display()
    );
    let busy = Guest::start(host.folder(), "busy", &[], &[hotcold], &work)?;
    for (name, guest) in [("idle", &idle), ("busy", &busy)] {
        let waited = clock.wait_until(BOOT, &format!("guest {name} is ready"), || {
            ensure!(guest.running.ended()?.is_none(), "it ended: {:?}", guest.lines());
            Ok(guest.lines().iter().any(|line| line == "ready") && guest.faults().is_some())
        });
        waited.with_context(|| format!("{:?}", guest.lines()))?;
    }
    let daemon = Daemon::start_at(binaries, &host.proc())?;
    let task = |name: &str, guest: &Guest| {
        Ok::<_, anyhow::Error>(format!(
            "[task]\nproject=p\nengine=balloon\nname={name}\ntype=pid\nvalue={}\nqmp_socket={}\nballoon_min=160\n",
            guest.qemu()?,
            guest.socket.display()
        ))
    };
    daemon.add(&format!(
        "[project]\nname=p\nscan_type=none\ninterval=2\n[engine]\nproject=p\nname=balloon\nhost_pressure=none\n{}{}",
        task("idle", &idle)?,
        task("busy", &busy)?
    ))?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let reports = || {
        Ok(figure(&daemon, "idle", "guest_available_bytes")? > Some(0)
            && figure(&daemon, "busy", "guest_available_bytes")? > Some(0))
    };
    clock.wait_until(BOOT, "both guests report", reports).with_context(|| daemon.log())?;
    let (before, faults) = (idle.resident()?, busy.faults());
    println!(
        "idle: {} MiB resident; busy: {} MiB, {faults:?} major faults",
        before / MIB,
        busy.resident()? / MIB
    );

    host.set(5)?;
    let gives = || Ok(idle.resident()? + GIVES <= before);
    let took = clock.wait_until(GIVES_WITHIN, "the idle guest gives 200 MiB", gives);
    let took = took.with_context(|| {
        format!("{}\n{}", daemon.must(&["task", "show", "-n", "p"]).unwrap_or_default(), daemon.log())
    })?;
    let saved = figure(&daemon, "idle", "balloon_saved_bytes")?;
    println!(
        "idle gave {} MiB in {} s, saved by its figure: {saved:?}",
        (before - idle.resident()?) / MIB,
        took.as_secs()
    );
    let taken_of_busy = figure(&daemon, "busy", "ballooned_bytes")?;
    ensure!(
        busy.faults() == faults,
        "the busy guest had {:?} major faults instead of {faults:?}",
        busy.faults()
    );
    println!("busy gave {taken_of_busy:?} bytes, {:?} major faults", busy.faults());

    host.set(50)?;
    let is_back = || {
        Ok(figure(&daemon, "idle", "ballooned_bytes")? == Some(0)
            && figure(&daemon, "busy", "ballooned_bytes")? == Some(0))
    };
    let took = clock.wait_until(BACK_WITHIN, "all is given back", is_back);
    let took = took.with_context(|| daemon.log())?;
    println!("all was back after {} s", took.as_secs());

    host.set(5)?;
    let is_smaller = || Ok(figure(&daemon, "idle", "ballooned_bytes")? > Some(GIVES));
    clock
        .wait_until(GIVES_WITHIN * 2, "the idle guest gives again", is_smaller)
        .with_context(|| daemon.log())?;
    fs::write(&signal, "grow")?;
    let needs = || Ok(daemon.log().contains("the guest gets all back"));
    clock.wait_until(BOOT, "the guest lacks memory", needs).with_context(|| daemon.log())?;
    let has_all = || Ok(figure(&daemon, "idle", "ballooned_bytes")? == Some(0));
    let took = clock.wait_until(INTERVAL * 2 + SLACK, "a guest that grows has all", has_all);
    println!(
        "a guest that grew had all {} ms after that was seen",
        took.with_context(|| daemon.log())?.as_millis()
    );
    Ok(())
}
