//! A guest of KVM in a machine of the laboratory, whose emulated processor has what KVM needs: what the guest touches is not in
//! the page tables of its monitor, and still its hot memory stays.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_testkit::built;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::guest;
use etmem_testkit::laboratory::{self, Machine, SharedBoot, trial};
use etmem_testkit::pagemap::{processor_ticks, residency};
use etmem_testkit::process::Running;
use etmem_testkit::size::MIB;
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::run_in_turn;

const MACHINE: Machine = Machine { modules: &["zram", "lz4", "kvm-amd"], ..Machine::of("6.12") };
const MEMORY: usize = 64 * MIB;
const HOT: usize = 8 * MIB;
const SWAP: usize = 96 * MIB;
const LIMIT: Duration = Duration::from_secs(200);
/// Cycles after the first, in which hot memory could leave.
const CYCLES: u64 = 12;
/// The share of hot pages that may be out.
const HOT_OUT: f64 = 0.01;

type Story = guest::Story<Binaries>;

const STORIES: [Story; 2] =
    [("hot_memory_of_a_guest_stays", hot_stays), ("what_does_not_see_a_guest_is_refused", blind)];

fn main() -> ExitCode {
    if let Some(status) = guest::story(|name, binaries| guest::tell(&STORIES, name, || Ok(binaries.clone())))
    {
        return status;
    }
    let missing = laboratory::lacks(MACHINE.kernel);
    let commands = || guest::commands(&STORIES, vec![compiled()?]);
    let boot = Arc::new(SharedBoot::new(MACHINE, commands));
    let trials = STORIES.iter().map(|(name, _)| trial(name, missing.as_deref(), guest::told(&boot, name)));
    run_in_turn(trials.collect())
}

/// A monitor whose guest runs.
struct Monitor {
    running: Running,
    memory: Range<usize>,
}

impl Monitor {
    fn start() -> Result<Self> {
        let mut command = Command::new(program());
        command.arg((MEMORY / MIB).to_string()).arg((HOT / MIB).to_string());
        let (running, start) = Running::start_ready(&mut command)?;
        let start = usize::from_str_radix(&start, 16)?;
        Ok(Self { running, memory: start..start + MEMORY })
    }

    /// The part that the guest touches.
    fn hot(&self) -> Range<usize> {
        let start = self.memory.start + MIB;
        start..start + HOT
    }

    /// The share of the part `range` that is in swap.
    fn out(&self, range: Range<usize>) -> Result<f64> {
        Ok(residency(self.running.pid(), &range)?.share_swapped())
    }

    /// Processor time that it and its guest have used, in hundredths of a second.
    fn used(&self) -> Result<u64> {
        processor_ticks(self.running.pid())
    }
}

/// Where the monitor is, here and in the machine.
fn program() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm_kvm_guest")
}

fn compiled() -> Result<PathBuf> {
    built::c_program(&Path::new(env!("CARGO_MANIFEST_DIR")).join("vm_kvm/guest.c"), &program())?;
    Ok(program())
}

fn project(pid: u32, lines: &str) -> String {
    format!(
        "[project]\nname=p\nscan_type=page\nloop=3\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue={pid}\nT=1\nage=none\n{lines}"
    )
}

fn hot_stays(binaries: &Binaries) -> Result<()> {
    let clock = WallClock::new();
    let _swap = SwapGuard::acquire(SWAP)?;
    let monitor = Monitor::start()?;
    let daemon = Daemon::start(binaries)?;
    daemon.add(&project(monitor.running.pid(), ""))?;
    let started = daemon.etmem(&["project", "start", "-n", "p"])?;
    if started.status != 0 {
        let text = format!("{}{}", started.stdout, started.stderr);
        ensure!(text.contains("KVM guest"), "{text}");
        println!("refused: {text}");
        return Ok(());
    }
    let used = monitor.used()?;
    let mut most: f64 = 0.0;
    let waited = clock.wait_until(LIMIT, "some cycles", || {
        ensure!(clock.pause(Duration::from_millis(200)) == Pace::Continue, "stopped");
        most = most.max(monitor.out(monitor.hot())?);
        Ok(daemon.cycles("p")?.get("t").is_some_and(|cycles| *cycles > CYCLES))
    });
    let cold = monitor.out(monitor.hot().end..monitor.memory.end)?;
    let shown = daemon.must(&["task", "show", "-n", "p"])?;
    println!("{shown}");
    println!("of hot {:.2} % were out at most, of cold {:.0} % are", most * 100.0, cold * 100.0);
    waited.with_context(|| daemon.log())?;
    ensure!(monitor.used()? > used + 10, "the guest does not run");
    ensure!(most <= HOT_OUT, "hot memory of the guest left:\n{}", daemon.log());
    Ok(())
}

fn blind(binaries: &Binaries) -> Result<()> {
    let _swap = SwapGuard::acquire(SWAP)?;
    let monitor = Monitor::start()?;
    let daemon = Daemon::start(binaries)?;
    daemon.add(&project(monitor.running.pid(), "tracker=bpf\n"))?;
    let started = daemon.etmem(&["project", "start", "-n", "p"])?;
    let text = format!("{}{}", started.stdout, started.stderr);
    ensure!(started.status != 0 && text.contains("guest"), "{text}");
    println!("{text}");
    ensure!(monitor.out(monitor.memory.clone())? == 0.0, "some of it left");
    Ok(())
}
