//! What `etmem idle`, `warm`, `survey`, `record`, `report`, `replay`, `where` and `ksm run` do: once, now, without a daemon and without a project.
//!
//! The command line becomes `etmemd --idle` and so on, as it may not use `etmem-linux` itself. [`options`] reads their arguments,
//! [`idle`] pages out and leaves a [`record`], by which [`warm`] brings back. [`survey`] looks and moves nothing, and says of each [`program`] what it found. [`recording`] looks, too, and writes what it sees to
//! a file, a [`source`] for [`drawing`] and [`replay`]. [`whereabouts`] says where memory is. [`merging`] becomes a program whose memory may be merged. [`watch`] is how all of them look at a process, [`stage`] the machine that they work on and how they
//! end early, [`report`] what they print. They keep away from the scans of daemons by [`scan_claims`](crate::scan_claims).

mod drawing;
pub(crate) mod idle;
mod merging;
pub(crate) mod options;
mod program;
pub(crate) mod record;
mod recording;
mod replay;
mod report;
pub(crate) mod run;
mod source;
mod stage;
mod survey;
pub(crate) mod warm;
mod watch;
mod whereabouts;
