//! What `etmem idle`, `etmem warm` and `etmem survey` do: once, now, without a daemon and without a project.
//!
//! The command line becomes `etmemd --idle`, `--warm` or `--survey`, as it may not use `etmem-linux` itself. [`options`] reads their arguments,
//! [`idle`] pages out and leaves a [`record`], by which [`warm`] brings back. [`survey`] looks and moves nothing, and says of each [`program`] what it found. [`stage`] is the machine that they work on and how they
//! end early, [`report`] what they print. They keep away from the scans of daemons by [`scan_claims`](crate::scan_claims).

pub(crate) mod idle;
pub(crate) mod options;
mod program;
pub(crate) mod record;
mod report;
pub(crate) mod run;
mod stage;
mod survey;
pub(crate) mod warm;
