//! Movers: ways of taking pages out of memory, or to another node, one file each.

pub mod bare;
pub mod etmem;
mod lines;
pub mod madvise;
pub mod numa;
mod numa_batch;
pub mod past_zswap;
mod pieces;
pub(crate) mod residence;
