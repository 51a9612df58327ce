//! Swap for a while: what is there if it is enough, else zram, else a file; undone at the end.
//!
//! [`guard`] holds the lock that keeps two runs apart and decides; [`area`] reads what swap there is, and what zram takes for it; [`setup`] makes
//! an area and takes it away again; [`leftover`] remembers what is set up, so that a killed run's swap is found.

pub mod area;
pub mod guard;
pub mod leftover;
pub mod setup;

pub use area::{Area, areas, zram_used};
pub use guard::{SwapGuard, lacks, lacks_alone};
