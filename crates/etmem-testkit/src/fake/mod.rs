//! A machine that follows a script: every port of `etmem_core::kernel`, recording calls and failing on demand.
//!
//! It is passed in by hand, where a real machine would be. Time passes only during a wait.

mod balloon;
mod cooperation;
mod decider;
mod deciders;
mod group;
mod groups;
mod machine;
mod merging;
mod monitor;
mod monitoring;
mod nodes;
mod pacer;
mod placement;
pub mod proc;
mod process;
mod reader;
mod sharing;
mod sinking;
mod swap_cache;
mod trigger;

pub use balloon::FakeBalloon;
pub use cooperation::FakeCooperation;
pub use decider::FakeDecider;
pub use group::{FakeGroup, GroupFault};
pub use machine::FakeMachine;
pub use merging::FakeMerging;
pub use monitoring::FakeMonitoring;
pub use nodes::{FakeMove, fake_node};
pub use pacer::FakePacer;
pub use process::{FakeProcess, Script};
pub use sharing::Sharing;
pub use sinking::{FakeSinking, FakeZram};
pub use swap_cache::FakeSwapCache;
pub use trigger::{FakeTriggers, FakeWait};
