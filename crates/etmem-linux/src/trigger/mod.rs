//! Triggers over Linux: PSI triggers, usage thresholds, `memory.events`, free memory.
//!
//! `wait` waits on all of a task's triggers, its timer and a stop in one poll(2). A `watch` is one trigger that is armed; each kind has
//! a file. Of these, `usage` of the second version and `free` have no event in the kernel: they are read once a second.

mod free;
mod group;
mod high;
mod pressure;
mod usage;
mod wait;
mod watch;

pub use wait::MachineTriggers;
