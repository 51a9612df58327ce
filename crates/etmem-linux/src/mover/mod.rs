//! Movers: ways of taking pages out of memory, one file each.

pub mod bare;
pub mod madvise;
mod pieces;
