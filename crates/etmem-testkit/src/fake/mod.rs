//! A machine that follows a script: every port of `etmem_core::kernel`, recording calls and failing on demand.
//!
//! It is passed in by hand, where a real machine would be. Time passes only when somebody waits.

mod machine;
mod nodes;
mod pacer;
pub mod proc;
mod swap_cache;

pub use machine::{FakeMachine, FakeProcess, Script};
pub use nodes::{FakeMove, fake_node};
pub use pacer::FakePacer;
pub use swap_cache::FakeSwapCache;
