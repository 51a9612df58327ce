//! A machine that follows a script: every port of `etmem_core::kernel`, recording calls and failing on demand.
//!
//! It is passed in by hand, where a real machine would be. Time passes only during a wait.

mod group;
mod groups;
mod machine;
mod nodes;
mod pacer;
mod placement;
pub mod proc;
mod process;
mod swap_cache;

pub use group::{FakeGroup, GroupFault};
pub use machine::FakeMachine;
pub use nodes::{FakeMove, fake_node};
pub use pacer::FakePacer;
pub use process::{FakeProcess, Script};
pub use swap_cache::FakeSwapCache;
