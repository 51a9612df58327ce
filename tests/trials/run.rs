//! One round: two fresh servers, filled alike and asked in turn, half a second each, of which etmemd watches one. So whatever else the
//! machine does meets both alike.

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
use tempfile::TempDir;

use crate::awake::Awake;
use crate::loads::{Chooser, Load};
use crate::stores::{Client, Store, snapshot};

/// Caches, page tables and the processor's clock settle first.
pub(crate) const WARM_UP: Duration = Duration::from_secs(15);
const MINUTE: Duration = Duration::from_secs(60);
/// For how long one server is asked before the other is: both are looked at in use in each cycle.
const TURN: Duration = Duration::from_millis(500);

/// Which server etmemd watches, and which it leaves alone.
pub(crate) const WATCHED: usize = 0;
pub(crate) const ALONE: usize = 1;

/// How a server was in a minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speed {
    /// While it was asked.
    pub(crate) requests_per_second: f64,
    /// In microseconds.
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    /// How long a snapshot took that was written in it.
    pub(crate) snapshot: Option<Duration>,
    /// The longest marking of its collector, where it has one that ended in this minute.
    pub(crate) marking: Option<Duration>,
}

/// A minute of a round; figures of memory are of the server that is watched, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Minute {
    /// From 1; in minute 0 there is no etmemd.
    pub(crate) number: u32,
    pub(crate) speed: [Speed; 2],
    pub(crate) resident: f64,
    pub(crate) out: f64,
    /// What is no longer resident, less what zram took for it.
    pub(crate) net: f64,
    /// By how much `MemAvailable` has grown since the servers were full.
    pub(crate) available: f64,
    /// Pages that a fault read back.
    pub(crate) refaulted: f64,
    /// Share of the time in which the machine's processors worked for others, or a hypervisor had them.
    pub(crate) others: f64,
    /// Processor time of the daemon.
    pub(crate) price: Duration,
    /// What the task says of itself.
    pub(crate) said: String,
}

/// What was asked of a server.
#[derive(Debug, Default)]
struct Requests {
    times: Times,
    /// For how long it was asked.
    lasted: Duration,
}

/// Asks one request after the other, of each of its servers in turn, until told to stop.
pub(crate) struct Asker {
    thread: thread::JoinHandle<Result<()>>,
    stop: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<Requests>>>,
}

impl Asker {
    pub(crate) fn start(clients: Vec<Client>, load: &Load) -> Self {
        let none: Vec<_> = clients.iter().map(|_| Requests::default()).collect();
        let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(none)));
        let mut clients: Vec<_> = clients.into_iter().map(|client| (client, Chooser::new(load))).collect();
        let (told, noted) = (Arc::clone(&stop), Arc::clone(&requests));
        let thread = thread::spawn(move || {
            let clock = WallClock::new();
            while !told.load(Ordering::Relaxed) {
                for (number, (client, chooser)) in clients.iter_mut().enumerate() {
                    let mut begun = clock.now();
                    let until = begun + TURN;
                    while begun < until {
                        client.get(chooser.next())?;
                        let (now, mut noted) =
                            (clock.now(), noted.lock().unwrap_or_else(PoisonError::into_inner));
                        let of_it = &mut noted[number];
                        of_it.times.add(now - begun);
                        of_it.lasted += now - begun;
                        begun = now;
                    }
                }
            }
            Ok(())
        });
        Self { thread, stop, requests }
    }

    /// What was asked since the last call.
    fn take(&self) -> Vec<Requests> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter_mut().map(mem::take).collect()
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

/// The sum of a figure of `pids`. The first is the server: the others may have ended since they were listed.
fn of_all(pids: &[u32], figure: impl Fn(u32) -> Result<u64>) -> Result<u64> {
    let (server, others) = pids.split_first().context("no server")?;
    Ok(figure(*server)? + others.iter().filter_map(|pid| figure(*pid).ok()).sum::<u64>())
}

/// What `pids` have in memory, without what they share: that stays, and more of it is theirs as they use it.
fn memory_of(pids: &[u32]) -> Result<u64> {
    of_all(pids, |pid| Ok((status_bytes(pid, "VmRSS")? - status_bytes(pid, "RssShmem")?) as u64))
}

/// A server of a round.
struct Side {
    store: Store,
    /// Its files.
    _folder: TempDir,
    /// Markings that were seen.
    marked: usize,
}

impl Side {
    fn start(load: &Load) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let store = Store::start(load.store, folder.path())?;
        store.connect()?.fill(load.keys)?;
        Ok(Self { store, _folder: folder, marked: 0 })
    }

    /// The longest marking since the last call.
    fn marking(&mut self) -> Result<Option<Duration>> {
        let markings = self.store.markings()?;
        let longest = markings.get(self.marked..).and_then(|markings| markings.iter().max()).copied();
        self.marked = markings.len();
        Ok(longest)
    }
}

/// Figures of `/proc` that only grow, in clock ticks but for the first.
#[derive(Debug, Clone, Copy)]
struct Counters {
    major_faults: u64,
    busy: u64,
    ours: u64,
    of_daemon: u64,
}

/// Round `number` of `load`.
pub(crate) fn one(load: &Load, number: u32, minutes: u32, awake: &Awake) -> Result<Vec<Minute>> {
    let clock = WallClock::new();
    let mut sides = [Side::start(load)?, Side::start(load)?];
    if number.is_multiple_of(2) {
        // Whatever it is worth to be started first.
        sides.reverse();
    }
    let clients = sides.iter().map(|side| side.store.connect()).collect::<Result<_>>()?;
    let asker = Asker::start(clients, load);
    let _ = clock.pause(WARM_UP);
    let full = memory_of(&sides[WATCHED].store.pids())? as f64;
    let zram_before = zram() as f64;
    let available = || meminfo("MemAvailable") as f64;
    let available_before = available();
    let mut daemon: Option<Daemon> = None;
    let counters = |sides: &[Side; 2], daemon: &Option<Daemon>| -> Result<Counters> {
        let pids: Vec<u32> = sides.iter().flat_map(|side| side.store.pids()).collect();
        let of_daemon = daemon.as_ref().map_or(Ok(0), Daemon::processor_ticks)?;
        let ours = of_all(&pids, processor_ticks)? + processor_ticks(std::process::id())? + awake.ticks()?;
        Ok(Counters {
            major_faults: of_all(&sides[WATCHED].store.pids(), |pid| stat_field(pid, 12))?,
            busy: busy_ticks()?,
            ours: ours + of_daemon,
            of_daemon,
        })
    };
    for side in &mut sides {
        let _ = side.marking()?;
    }
    drop(asker.take());
    let (begun, mut before) = (clock.now(), counters(&sides, &daemon)?);
    let mut rows = Vec::new();
    for minute in 0..=minutes {
        if minute == 1 {
            daemon = Some(watch(sides[WATCHED].store.pid())?);
        }
        let mut snapshots = [None; 2];
        if let Some(each) = load.snapshot_each
            && minute.is_multiple_of(each)
            && minute > 0
        {
            for (side, took) in sides.iter().zip(&mut snapshots) {
                if let Store::Redis(server) = &side.store {
                    *took = Some(snapshot(server, &clock)?);
                }
            }
        }
        let _ = clock.pause((begun + MINUTE * (minute + 1)).saturating_sub(clock.now()));
        let (requests, now) = (asker.take(), counters(&sides, &daemon)?);
        let speed = |number: usize, side: &mut Side| -> Result<Speed> {
            let Requests { times, lasted } = &requests[number];
            Ok(Speed {
                requests_per_second: times.count() as f64 / lasted.as_secs_f64().max(1e-3),
                p99: times.at(990),
                p999: times.at(999),
                snapshot: snapshots[number],
                marking: side.marking()?,
            })
        };
        let speed = [speed(WATCHED, &mut sides[WATCHED])?, speed(ALONE, &mut sides[ALONE])?];
        let pids = sides[WATCHED].store.pids();
        let out = of_all(&pids, |pid| Ok(status_bytes(pid, "VmSwap")? as u64))? as f64;
        let resident = memory_of(&pids)? as f64;
        let busy = now.busy.saturating_sub(before.busy).saturating_sub(now.ours.saturating_sub(before.ours));
        let said = daemon.as_ref().map(|daemon| daemon.must(&["task", "show", "-n", "p"])).transpose()?;
        rows.push(Minute {
            number: minute,
            speed,
            resident,
            out,
            net: full - resident - (zram() as f64 - zram_before),
            available: available() - available_before,
            refaulted: (now.major_faults.saturating_sub(before.major_faults) * PAGE as u64) as f64,
            others: busy as f64 / 100.0 / MINUTE.as_secs_f64(),
            price: Duration::from_millis(now.of_daemon.saturating_sub(before.of_daemon) * 10),
            said: said.unwrap_or_default(),
        });
        before = now;
    }
    asker.stop()?;
    daemon.map_or(Ok(()), |daemon| daemon.terminate().map(drop))?;
    Ok(rows)
}

/// A daemon with a task for `pid`, and all else by default.
fn watch(pid: u32) -> Result<Daemon> {
    let daemon = Daemon::start(&Binaries::beside()?)?;
    let file = ProjectFile::new("p").task_as_written("t", TaskKind::Pid(pid), &["T=1"]);
    daemon.add(&file.to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    Ok(daemon)
}
