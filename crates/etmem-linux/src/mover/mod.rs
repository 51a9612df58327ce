//! Movers: ways of taking pages out of memory, one file each.

pub mod bare;
pub mod etmem;
mod lines;
pub mod madvise;
mod pieces;
