//! One run: a fresh server, filled and asked, looked at each minute.

use std::fs;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::machine::meminfo;
use etmem_testkit::pagemap::{processor_ticks, stat_field, status_bytes};
use etmem_testkit::size::PAGE;
use etmem_testkit::swap::zram_used;
use etmem_testkit::times::Times;

use crate::loads::{Chooser, Load};
use crate::stores::{Client, Store, snapshot};

/// Caches, page tables and the processor's clock settle first.
pub(crate) const WARM_UP: Duration = Duration::from_secs(15);
const MINUTE: Duration = Duration::from_secs(60);

/// A minute of a run, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Minute {
    pub(crate) number: u32,
    pub(crate) requests_per_second: f64,
    /// In microseconds.
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) resident: f64,
    pub(crate) out: f64,
    /// What is no longer resident, less what zram took for it.
    pub(crate) net: f64,
    /// By how much `MemAvailable` has grown since the server was full.
    pub(crate) available: f64,
    /// How long a snapshot took that was written in it.
    pub(crate) snapshot: Option<Duration>,
    /// The longest marking of its collector, where it has one that ended in this minute.
    pub(crate) marking: Option<Duration>,
    /// Pages that a fault read back.
    pub(crate) refaulted: f64,
    /// Share of the time in which the machine's processors worked for others, or a hypervisor had them.
    pub(crate) others: f64,
    /// Processor time of the daemon.
    pub(crate) price: Duration,
    /// What the task says of itself.
    pub(crate) said: String,
}

/// Asks one request after the other, until told to stop.
pub(crate) struct Asker {
    thread: thread::JoinHandle<Result<()>>,
    stop: Arc<AtomicBool>,
    times: Arc<Mutex<Times>>,
}

impl Asker {
    pub(crate) fn start(mut client: Client, load: &Load) -> Self {
        let (stop, times) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Times::default())));
        let (told, noted, mut chooser) = (Arc::clone(&stop), Arc::clone(&times), Chooser::new(load));
        let thread = thread::spawn(move || {
            let clock = WallClock::new();
            let mut begun = clock.now();
            while !told.load(Ordering::Relaxed) {
                client.get(chooser.next())?;
                let now = clock.now();
                noted.lock().unwrap_or_else(PoisonError::into_inner).add(now - begun);
                begun = now;
            }
            Ok(())
        });
        Self { thread, stop, times }
    }

    /// The times since the last call.
    fn take(&self) -> Times {
        mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the client panicked"))?
    }
}

/// Memory that zram takes: none if swap is elsewhere.
fn zram() -> u64 {
    zram_used().unwrap_or(0)
}

/// Ticks in which the processors worked or were taken, of the machine.
fn busy_ticks() -> Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    // user, nice, system, idle, iowait, irq, softirq, steal
    Ok(ticks.iter().take(8).enumerate().filter(|(at, _)| ![3, 4].contains(at)).map(|(_, ticks)| ticks).sum())
}

/// One run of `load`, with the daemon or without.
pub(crate) fn one(load: &Load, with_daemon: bool, minutes: u32) -> Result<Vec<Minute>> {
    let clock = WallClock::new();
    let folder = tempfile::tempdir()?;
    let store = Store::start(load.store, folder.path())?;
    store.connect()?.fill(load.keys)?;
    let asker = Asker::start(store.connect()?, load);
    let _ = clock.pause(WARM_UP);
    let pid = store.pid();
    let (full, zram_before) = (status_bytes(pid, "VmRSS")? as f64, zram() as f64);
    let available = || meminfo("MemAvailable") as f64;
    let available_before = available();
    let daemon = with_daemon
        .then(|| -> Result<Daemon> {
            let daemon = Daemon::start(&Binaries::beside()?)?;
            let file = ProjectFile::new("p").task_as_written("t", TaskKind::Pid(pid), &["T=1"]);
            daemon.add(&file.to_string())?;
            daemon.must(&["project", "start", "-n", "p"])?;
            Ok(daemon)
        })
        .transpose()?;
    drop(asker.take());
    let begun = clock.now();
    let counters = || -> Result<(u64, u64, u64, u64)> {
        let of_daemon = daemon.as_ref().map_or(Ok(0), Daemon::processor_ticks)?;
        Ok((
            stat_field(pid, 12)?,
            busy_ticks()?,
            processor_ticks(pid)? + processor_ticks(std::process::id())?,
            of_daemon,
        ))
    };
    let (mut before, mut marked) = (counters()?, store.markings()?.len());
    let mut rows = Vec::new();
    for number in 1..=minutes {
        let snapshot = match (&store, load.snapshot_each) {
            (Store::Redis(server), Some(each)) if number % each == 0 => Some(snapshot(server, &clock)?),
            _ => None,
        };
        let _ = clock.pause((begun + MINUTE * number).saturating_sub(clock.now()));
        let (times, now) = (asker.take(), counters()?);
        let markings = store.markings()?;
        let marking = markings.get(marked..).and_then(|markings| markings.iter().max()).copied();
        marked = markings.len();
        let (resident, out) = (status_bytes(pid, "VmRSS")? as f64, status_bytes(pid, "VmSwap")? as f64);
        let ours = (now.2 - before.2) + (now.3 - before.3);
        let others = (now.1 - before.1).saturating_sub(ours) as f64 / 100.0 / MINUTE.as_secs_f64();
        let said =
            daemon.as_ref().map_or(Ok(String::new()), |daemon| daemon.must(&["task", "show", "-n", "p"]))?;
        rows.push(Minute {
            number,
            requests_per_second: times.count() as f64 / MINUTE.as_secs_f64(),
            p99: times.at(990),
            p999: times.at(999),
            resident,
            out,
            net: full - resident - (zram() as f64 - zram_before),
            available: available() - available_before,
            snapshot,
            marking,
            refaulted: ((now.0 - before.0) * PAGE as u64) as f64,
            others,
            price: Duration::from_millis((now.3 - before.3) * 10),
            said,
        });
        before = now;
    }
    asker.stop()?;
    if let Some(daemon) = daemon {
        daemon.terminate()?;
    }
    Ok(rows)
}
