//! One round: a daemon is brought to what it is to be killed in, killed, and followed by the next.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::process::Running;
use nix::sys::signal::Signal;

use crate::damon;
use crate::lane::{Kind, Lane};
use crate::left;
use crate::plan::{Moment, Phase};
use crate::victim::LIMIT;

/// After so many rounds every byte is read back, if not before.
const VERIFY_EVERY: usize = 8;
/// How much longer than in the first round it may take, in percent: some kills come too late.
const MARGIN: u32 = 105;

/// What a daemon's log says once it listens, and once a task of its has ended.
const LISTENS: &str = " listening";
const STOPPED: &str = ": stopped";

/// What became of a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
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
pub(crate) fn rehearse(lane: &mut Lane) -> Result<()> {
    if lane.kind == Kind::Damon {
        damon::between_two_writes(lane)?;
    }
    lane.start()?;
    lane.end()?;
    // A machine that is busy may have it start before this goes on.
    let begun = lane.clock.now();
    lane.spawn()?;
    lane.until("it listens", || Ok(lane.daemon()?.log().contains(LISTENS)))?;
    let mut lengths = vec![(Phase::Start, lane.clock.now() - begun)];
    lane.target.get_ready();
    let before = lane.target.done()?;
    for phase in [Phase::Add, Phase::Begin] {
        lengths.push((phase, lane.timed(phase)?));
    }
    if lane.kind == Kind::Damon
        && let Some((Phase::Begin, length)) = lengths.last_mut()
    {
        // It takes DAMON once the command is answered.
        *length += lane.until("DAMON watches", damon::watches)?;
    }
    if lane.kind == Kind::Isolated {
        lengths.push((Phase::Scan, Duration::from_millis(200)));
    } else {
        let scanned = moves(lane, before)?;
        let settled = all_is_done(lane)?;
        lengths.extend([(Phase::Scan, scanned), (Phase::Look, scanned), (Phase::Move, settled)]);
    }
    for phase in [Phase::Stop, Phase::Delete] {
        let answered = lane.timed(phase)?;
        let stopped = lane.until("its task stops", || has_stopped(lane))?;
        lengths.push((phase, answered + stopped));
    }
    lane.work()?;
    lane.daemon()?.signal(Signal::SIGTERM)?;
    let ended = lane.until("it ends", || Ok(lane.daemon()?.ended()?.is_some()))?;
    lengths.push((Phase::Exit, ended));
    lane.lengths = lengths.into_iter().collect();
    println!("{:?}: {} takes {:?}", lane.clock.now(), lane.which, lane.lengths);
    lane.start()
}

/// Whether the task that was started has ended; of a plugin's, nothing is told.
fn has_stopped(lane: &Lane) -> Result<bool> {
    Ok(lane.kind == Kind::Isolated || lane.daemon()?.log().contains(STOPPED))
}

/// Waits until more than `before` is done: how long that took.
fn moves(lane: &Lane, before: usize) -> Result<Duration> {
    lane.until("something moves", || Ok(lane.target.done()? > before))
}

/// Waits until all has moved: how long that took.
fn all_is_done(lane: &Lane) -> Result<Duration> {
    // Of a scripted machine all is done at once.
    let Some(all) = lane.target.all(lane.kind) else { return Ok(Duration::from_millis(100)) };
    lane.until("all that is cold leaves", || Ok(lane.target.done()? >= all))
}

/// How far into its phase the daemon is killed.
fn delay(lane: &Lane, moment: Moment) -> Duration {
    let whole = lane.length(moment.phase) * MARGIN / 100;
    match moment.phase {
        // The last tenth of the wait, and as much beyond.
        Phase::Look => {
            let tenth = lane.length(Phase::Look) / 10;
            tenth * 9 + moment.share.of(tenth * 2)
        }
        Phase::Scan => moment.share.of(lane.length(Phase::Scan) * 9 / 10),
        Phase::Start | Phase::Add | Phase::Begin | Phase::Move | Phase::Stop | Phase::Delete => {
            moment.share.of(whole)
        }
        // What comes too late kills nobody.
        Phase::Exit => moment.share.of(whole * 7 / 10),
    }
}

/// Whether the client has been answered, or has given up.
fn answered(client: Option<&Running>) -> Result<bool> {
    Ok(client.map(Running::ended).transpose()?.flatten().is_some())
}

/// Round `number`, of a lane whose daemon runs and has nothing.
pub(crate) fn play(lane: &mut Lane, number: usize, moment: Moment) -> Result<Hit> {
    let phase = moment.phase;
    let mut verified = 0;
    match phase {
        Phase::Start => {
            lane.end()?;
            lane.spawn()?;
        }
        Phase::Add => lane.target.get_ready(),
        Phase::Begin => {
            lane.target.get_ready();
            lane.carry_out(Phase::Add)?;
        }
        Phase::Scan | Phase::Look => lane.work()?,
        Phase::Move => {
            verified += lane.target.verify()?;
            let before = lane.target.done()?;
            lane.work()?;
            moves(lane, before)?;
        }
        Phase::Stop | Phase::Delete | Phase::Exit => {
            lane.work()?;
            let cycle = lane.length(Phase::Scan) + lane.length(Phase::Move);
            lane.pass(moment.lead.of(cycle))?;
        }
    }
    let before = lane.target.done()?;
    let client = lane.command(phase)?.map(|_| lane.begin(phase)).transpose()?;
    if phase == Phase::Exit {
        lane.daemon()?.signal(Signal::SIGTERM)?;
    }
    let delay = delay(lane, moment);
    lane.pass(delay)?;

    let daemon = lane.daemon()?;
    let done = lane.target.done()?;
    let alive = daemon.ended()?.is_none();
    let within = alive
        && match phase {
            Phase::Start => !daemon.log().contains(LISTENS),
            Phase::Begin if lane.kind == Kind::Damon => !damon::watches()?,
            Phase::Add | Phase::Begin => !answered(client.as_ref())?,
            Phase::Stop | Phase::Delete => !answered(client.as_ref())? || !has_stopped(lane)?,
            Phase::Scan | Phase::Look => done == before,
            Phase::Move => lane.target.all(lane.kind).is_none_or(|all| done < all),
            Phase::Exit => true,
        };
    daemon.signal(Signal::SIGKILL)?;
    daemon.wait()?;
    if let Some(client) = client {
        client.wait(LIMIT).context("the client hangs")?;
    }
    let touches = lane.target.touches();
    let files = left::files(lane).len();
    let damon = if lane.kind == Kind::Damon { damon::left()? } else { None };
    let moved = (phase == Phase::Move).then(|| lane.target.done()).transpose()?;
    lane.target.is_well()?;
    lane.start().context("the next daemon")?;
    lane.target.is_well()?;
    lane.target.goes_on(touches)?;
    if phase == Phase::Move || number.is_multiple_of(VERIFY_EVERY) {
        verified += lane.target.verify()?;
        ensure!(lane.daemon()?.ended()?.is_none(), "the next daemon has ended");
    }
    Ok(Hit { phase, delay, alive, within, verified, done: moved, files, damon })
}
