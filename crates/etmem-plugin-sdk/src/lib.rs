//! Policies for etmemd in Rust, as plugins of engine `thirdparty`.
//!
//! A policy is a type that implements [`Policy`]; [`export!`] gives it the symbol that `ops_name` in a configuration
//! file names. `docs/plugins.md` says what the daemon calls when; `examples/plugin-rust` is a policy to copy.
//!
//! ```no_run
//! use etmem_plugin_sdk::{Group, Policy, Refusal, Stop, Task, export};
//! use std::time::Duration;
//!
//! #[derive(Debug)]
//! struct Counts;
//!
//! impl Policy for Counts {
//!     type Settings = u64;
//!
//!     fn new(_engine: &Group<'_>) -> Result<Self, Refusal> {
//!         Ok(Self)
//!     }
//!
//!     fn settings(&self, task: &Group<'_>) -> Result<u64, Refusal> {
//!         task.number_or("seconds", 10)
//!     }
//!
//!     fn run(&self, task: &Task<u64>, stop: &Stop) {
//!         while !stop.wait(Duration::from_secs(task.settings)) {
//!             etmem_plugin_sdk::log(&format!("{} has {} processes", task.name, task.target.processes().len()));
//!         }
//!     }
//! }
//!
//! export!(counts_ops: Counts);
//! ```
//!
//! From the author's side to the C border: [`Policy`], [`Task`] with its [`Target`] and [`Rhythm`], [`Stop`], [`Group`]
//! (a group of the file); [`Mapping`] and [`Pages`] (scans, by the scan library), [`Process::page_out`]. The module `sys`
//! holds all unsafe code: the functions that the daemon calls, GLib, the scan library and the system calls. No panic of a
//! policy leaves it.

mod group;
mod memory;
mod pages;
mod policy;
mod process;
mod refusal;
mod run;
mod stop;
mod sys;
mod task;

pub use etmem_abi::EngineOps;
pub use group::Group;
pub use memory::{Mapping, Page};
pub use pages::{Pages, mappings};
pub use policy::Policy;
pub use process::{Process, Target};
pub use refusal::Refusal;
pub use stop::Stop;
#[doc(hidden)]
pub use sys::entry::operations;
pub use sys::log::log;
pub use task::{Rhythm, Task};
