//! A stretch of a plan leaves in batches, each when the rate allows it.

use super::fate::{Fate, Places};
use super::gathered::Gathered;
use super::recheck::recheck;
use super::tools::Tools;
use crate::address::PAGE_SIZE;
use crate::kernel::pacer::Pace;
use crate::kernel::process::ProcessError;
use crate::plan::{Budget, Ended, Outcome};

/// Ranges per call of the mover (Linux takes 1024 per `process_madvise`: `UIO_MAXIOV`).
pub(super) const BATCH_RANGES: usize = 1024;

/// Looks at `stretch` once more; what is still idle leaves batch by batch. Returns false where the act ends here.
pub(super) fn leave(
    stretch: &mut Gathered,
    outcome: &mut Outcome,
    budget: Budget,
    tools: &mut Tools<'_>,
) -> bool {
    if let Err(error) = recheck(stretch, outcome, tools) {
        outcome.ended = Some(Ended::Process(error));
        return false;
    }
    let mut batch = Gathered::new(tools.throttle().batch_bytes(), BATCH_RANGES);
    let mut places = Places::default();
    let mut rest = stretch.bytes;
    let goes_on = stretch.each_part(|mut part, huge| {
        while !part.is_empty() {
            let piece = batch.take(&mut part, huge);
            rest -= piece.bytes();
            if piece.is_empty() && !send(&mut batch, &mut places, outcome, budget, tools) {
                return false;
            }
        }
        true
    });
    let goes_on = goes_on && send(&mut batch, &mut places, outcome, budget, tools);
    if !goes_on && outcome.ended.is_none() {
        outcome.later += rest;
    }
    stretch.clear();
    goes_on
}

/// Gives `batch` to the mover when its time has come. Returns false where the act ends here.
fn send(
    batch: &mut Gathered,
    places: &mut Places,
    outcome: &mut Outcome,
    budget: Budget,
    tools: &mut Tools<'_>,
) -> bool {
    if batch.ranges.is_empty() {
        return true;
    }
    let pacer = tools.pacer;
    let wait = tools.throttle().wait(pacer.now());
    if budget.until.is_some_and(|until| pacer.now() + wait >= until) {
        outcome.later += batch.bytes;
        return false;
    }
    let pace = if wait.is_zero() { pacer.pace() } else { pacer.pause(wait) };
    if pace == Pace::Stop {
        outcome.ended = Some(Ended::Stopped);
        return false;
    }
    let result = move_out(batch, places, outcome, tools);
    batch.clear();
    if let Err(error) = result {
        outcome.ended = Some(Ended::Process(error));
        return false;
    }
    true
}

/// Gives `batch` to the mover, and looks at what became of it, also where the mover failed on the way.
fn move_out(
    batch: &Gathered,
    places: &mut Places,
    outcome: &mut Outcome,
    tools: &mut Tools<'_>,
) -> Result<(), ProcessError> {
    let pacer = tools.pacer;
    places.clear(usize::try_from(batch.bytes / PAGE_SIZE).unwrap_or(0));
    let is_seen = tools.mover.residence(&batch.ranges, &mut places.before)?;
    outcome.tried += batch.bytes;
    let (start, processor) = (pacer.now(), pacer.processor_time());
    let result = tools.mover.swap_out_pages(&batch.ranges, &batch.huge);
    let (end, spent) = (pacer.now(), pacer.processor_time().saturating_sub(processor));
    let moved = result.clone().unwrap_or_default();
    let fate = if is_seen && tools.mover.residence(&batch.ranges, &mut places.after)? {
        Fate::of(&batch.ranges, places, &moved, [&mut *tools.given, &mut *tools.kept])
    } else if result.is_ok() {
        Fate::as_told(&batch.ranges, &moved, tools.given)
    } else {
        Fate::default()
    };
    tools.throttle().moved(start, end, spent, fate.left);
    outcome.applied += fate.left;
    outcome.stayed += fate.stayed;
    outcome.refused += fate.refused;
    outcome.freed += fate.freed;
    outcome.vanished += fate.vanished;
    result.map(drop)
}
