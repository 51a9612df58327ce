//! DAMON's files, and to whom DAMON belongs: what the probe `damon` and the engine of that name share.
//!
//! `files` reads and writes them, `claim` takes DAMON and gives it back, `shared` is the one that all tasks of a program have,
//! `monitor` watches processes and acts for the engine, `group_monitor` the memory of control groups; `scheme` is what both write.

pub(crate) mod claim;
pub(crate) mod files;
mod group_monitor;
mod monitor;
mod scheme;
mod shared;

pub(crate) use monitor::MachineMonitoring;
pub use shared::SharedDamon;
pub(crate) use shared::{Holder, take_back_left};
