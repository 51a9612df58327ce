//! One round: a daemon is brought to what it is to be killed in, killed, and followed by the next.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::process::Running;
use nix::sys::signal::Signal;

use crate::damon;
use crate::leftovers;
use crate::plan::{Moment, Phase};
use crate::process::LIMIT;
use crate::series::{Kind, Series};

/// Every byte is read back at least once in this many rounds.
const VERIFY_EVERY: usize = 8;
/// How much longer than in the first round it may take, in percent: some kills come too late.
const MARGIN: u32 = 105;

/// What a daemon's log says once it listens, and once a task of its has ended.
const LISTENS: &str = " listening";
const STOPPED: &str = ": stopped";

/// What became of a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub(crate) phase: Phase,
    /// From the beginning of the phase to the kill.
    pub(crate) delay: Duration,
    /// There was a daemon to kill.
    pub(crate) alive: bool,
    /// It was within the phase.
    pub(crate) within: bool,
    /// Bytes read back.
    pub(crate) verified: usize,
    /// How much had been done, where it was to be killed while it moved.
    pub(crate) done: Option<usize>,
    /// Files that it left for the next one.
    pub(crate) files: usize,
    /// What it left set in DAMON.
    pub(crate) damon: Option<damon::Left>,
}

/// Goes through all phases once, without a kill, and sees how long they take.
pub(crate) fn measure(series: &mut Series) -> Result<()> {
    if series.kind == Kind::Damon {
        damon::between_two_writes(series)?;
    }
    series.start()?;
    series.end()?;
    // A machine that is busy may have it start before this goes on.
    let begun = series.clock.now();
    series.spawn()?;
    series.until("it listens", || Ok(series.daemon()?.log().contains(LISTENS)))?;
    let mut durations = vec![(Phase::Start, series.clock.now() - begun)];
    series.target.prepare_cycle();
    let before = series.target.done()?;
    for phase in [Phase::Add, Phase::Begin] {
        durations.push((phase, series.timed(phase)?));
    }
    if series.kind == Kind::Damon
        && let Some((Phase::Begin, length)) = durations.last_mut()
    {
        // It takes DAMON once the command is answered.
        *length += series.until("DAMON watches", damon::watches)?;
    }
    if series.kind == Kind::Isolated {
        durations.push((Phase::Scan, Duration::from_millis(200)));
    } else {
        let scanned = moves(series, before)?;
        let settled = all_is_done(series)?;
        durations.extend([(Phase::Scan, scanned), (Phase::Look, scanned), (Phase::Move, settled)]);
    }
    for phase in [Phase::Stop, Phase::Delete] {
        let answered = series.timed(phase)?;
        let stopped = series.until("its task stops", || has_stopped(series))?;
        durations.push((phase, answered + stopped));
    }
    series.work()?;
    series.daemon()?.signal(Signal::SIGTERM)?;
    let ended = series.until("it ends", || Ok(series.daemon()?.ended()?.is_some()))?;
    durations.push((Phase::Exit, ended));
    series.durations = durations.into_iter().collect();
    println!("{:?}: {} takes {:?}", series.clock.now(), series.id, series.durations);
    series.start()
}

/// Whether the task that was started has ended. For a plugin the log does not say.
fn has_stopped(series: &Series) -> Result<bool> {
    Ok(series.kind == Kind::Isolated || series.daemon()?.log().contains(STOPPED))
}

/// Waits until more than `before` is done: how long that took.
fn moves(series: &Series, before: usize) -> Result<Duration> {
    series.until("something moves", || Ok(series.target.done()? > before))
}

/// Waits until all has moved: how long that took.
fn all_is_done(series: &Series) -> Result<Duration> {
    // Of a scripted machine all is done at once.
    let Some(all) = series.target.all(series.kind) else { return Ok(Duration::from_millis(100)) };
    series.until("all that is cold leaves", || Ok(series.target.done()? >= all))
}

/// How far into its phase the daemon is killed.
fn delay(series: &Series, moment: Moment) -> Duration {
    let whole = series.length(moment.phase) * MARGIN / 100;
    match moment.phase {
        // The last tenth of the wait, and as much beyond.
        Phase::Look => {
            let tenth = series.length(Phase::Look) / 10;
            tenth * 9 + moment.share.of(tenth * 2)
        }
        Phase::Scan => moment.share.of(series.length(Phase::Scan) * 9 / 10),
        Phase::Start | Phase::Add | Phase::Begin | Phase::Move | Phase::Stop | Phase::Delete => {
            moment.share.of(whole)
        }
        // A kill that comes too late meets no daemon.
        Phase::Exit => moment.share.of(whole * 7 / 10),
    }
}

/// Whether the client has been answered, or has given up.
fn answered(client: Option<&Running>) -> Result<bool> {
    Ok(client.map(Running::ended).transpose()?.flatten().is_some())
}

/// Round `number`, of a series whose daemon runs and has nothing.
pub(crate) fn play(series: &mut Series, number: usize, moment: Moment) -> Result<Kill> {
    let phase = moment.phase;
    let mut verified = 0;
    match phase {
        Phase::Start => {
            series.end()?;
            series.spawn()?;
        }
        Phase::Add => series.target.prepare_cycle(),
        Phase::Begin => {
            series.target.prepare_cycle();
            series.run_command(Phase::Add)?;
        }
        Phase::Scan | Phase::Look => series.work()?,
        Phase::Move => {
            verified += series.target.verify()?;
            let before = series.target.done()?;
            series.work()?;
            moves(series, before)?;
        }
        Phase::Stop | Phase::Delete | Phase::Exit => {
            series.work()?;
            let cycle = series.length(Phase::Scan) + series.length(Phase::Move);
            series.pass(moment.lead.of(cycle))?;
        }
    }
    let before = series.target.done()?;
    let client = series.command(phase)?.map(|_| series.begin(phase)).transpose()?;
    if phase == Phase::Exit {
        series.daemon()?.signal(Signal::SIGTERM)?;
    }
    let delay = delay(series, moment);
    series.pass(delay)?;

    let daemon = series.daemon()?;
    let done = series.target.done()?;
    let alive = daemon.ended()?.is_none();
    let within = alive
        && match phase {
            Phase::Start => !daemon.log().contains(LISTENS),
            Phase::Begin if series.kind == Kind::Damon => !damon::watches()?,
            Phase::Add | Phase::Begin => !answered(client.as_ref())?,
            Phase::Stop | Phase::Delete => !answered(client.as_ref())? || !has_stopped(series)?,
            Phase::Scan | Phase::Look => done == before,
            Phase::Move => series.target.all(series.kind).is_none_or(|all| done < all),
            Phase::Exit => true,
        };
    daemon.signal(Signal::SIGKILL)?;
    daemon.wait()?;
    if let Some(client) = client {
        client.wait(LIMIT).context("the client hangs")?;
    }
    let touches = series.target.touches();
    let files = leftovers::files(series).len();
    let damon = if series.kind == Kind::Damon { damon::left()? } else { None };
    let moved = (phase == Phase::Move).then(|| series.target.done()).transpose()?;
    series.target.is_well()?;
    series.start().context("the next daemon")?;
    series.target.is_well()?;
    series.target.goes_on(touches)?;
    if phase == Phase::Move || number.is_multiple_of(VERIFY_EVERY) {
        verified += series.target.verify()?;
        ensure!(series.daemon()?.ended()?.is_none(), "the next daemon has ended");
    }
    Ok(Kill { phase, delay, alive, within, verified, done: moved, files, damon })
}
