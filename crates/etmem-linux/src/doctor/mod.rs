//! What this machine can do for etmem, and where not, why and what would help: `etmem doctor`.
//!
//! A [`Finding`] for each subject, made by reading alone: no process's memory is looked at, nothing is moved, and of what other
//! programs have set in the kernel nothing is touched. (To see whether the page walk works it is loaded, run over our
//! own process, and given back.) Everything is read below the injected roots.

mod cgroup;
mod daemons;
mod damon_details;
mod finding;
mod guests;
mod interfaces;
mod levels;
mod nodes;
mod pressure;
mod reclaim;
mod rights;
mod sandbox;
mod subjects;
mod swap;
mod text;

pub use finding::{DoctorReport, Finding, Severity};
pub use subjects::examine;
