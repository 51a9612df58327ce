//! What monitors write of a context and of a scheme, and what they read of what it did.

use super::files::Folder;
use etmem_core::kernel::monitoring::{Action, Attributes, Bounds, Done, QuotaShare, Scheme};
use etmem_core::kernel::process::ProcessError;
use std::fmt::Display;
use std::io;

/// Writes how `context` watches. Its update interval bears the mark of ours or is the user's: that is the caller's.
pub(super) fn write_attributes(context: &Folder, attributes: &Attributes) -> Result<(), ProcessError> {
    let intervals = context.folder("monitoring_attrs/intervals");
    intervals.write("sample_us", attributes.sample.as_micros())?;
    intervals.write("aggr_us", attributes.aggregation.as_micros())?;
    write_bounds(&context.folder("monitoring_attrs/nr_regions"), attributes.regions)
}

/// Writes which regions fit the scheme at `folder`, and how much it may do, but not what.
pub(super) fn write_pattern(folder: &Folder, scheme: &Scheme, quota: QuotaShare) -> Result<(), ProcessError> {
    let pattern = folder.folder("access_pattern");
    write_bounds(&pattern.folder("sz"), scheme.size)?;
    write_bounds(&pattern.folder("nr_accesses"), scheme.accesses)?;
    write_bounds(&pattern.folder("age"), scheme.age)?;
    write_quota(folder, quota)
}

/// Writes how much the scheme at `folder` may do.
pub(super) fn write_quota(folder: &Folder, quota: QuotaShare) -> Result<(), ProcessError> {
    let quotas = folder.folder("quotas");
    quotas.write("bytes", quota.bytes)?;
    quotas.write("ms", quota.milliseconds)?;
    quotas.write("reset_interval_ms", quota.over.as_millis())
}

/// Writes `action`, or that nothing is done.
pub(super) fn write_action(folder: &Folder, action: Action, acts: bool) -> Result<(), ProcessError> {
    folder.write("action", if acts { action } else { Action::Stat })
}

/// Both bounds; the kernel compares them when the watching begins.
fn write_bounds<T: Display>(folder: &Folder, bounds: Bounds<T>) -> Result<(), ProcessError> {
    folder.write("min", &bounds.min)?;
    folder.write("max", &bounds.max)
}

/// Whether `kdamond` runs.
pub(super) fn is_running(kdamond: &Folder) -> bool {
    kdamond.read("state").is_ok_and(|state| state == "on")
}

/// What the scheme at `folder` did, as the kernel wrote it last.
pub(super) fn counts(folder: &Folder) -> Result<Done, ProcessError> {
    let stats = folder.folder("stats");
    let read = || -> io::Result<Done> {
        Ok(Done {
            tried_regions: stats.number("nr_tried")?,
            tried: stats.number("sz_tried")?,
            applied: stats.number("sz_applied")?,
            quota_exceeded: stats.number("qt_exceeds")?,
        })
    };
    read().map_err(|error| ProcessError::refused(stats.path().display(), error))
}

/// What was added from `before` to `now`; a scheme that was made again counts from zero.
pub(super) fn since(before: Done, now: Done) -> Done {
    let more = |of: fn(&Done) -> u64| of(&now).checked_sub(of(&before)).unwrap_or_else(|| of(&now));
    Done {
        tried_regions: more(|done| done.tried_regions),
        tried: more(|done| done.tried),
        applied: more(|done| done.applied),
        quota_exceeded: more(|done| done.quota_exceeded),
    }
}
