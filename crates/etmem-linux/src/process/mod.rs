//! Processes as `/proc` shows them: `stat` (who), `memory_files` (by which thread the kernel finds the memory), `address_space`
//! (still the same memory), `memory` (how large), `sharing` (one memory of several processes), `names` (executable and
//! threads), [`table`] (which ones a target names).

pub(crate) mod address_space;
pub(crate) mod descriptors;
pub(crate) mod memory;
pub(crate) mod memory_files;
mod names;
mod sharing;
pub(crate) mod stat;
pub mod table;
mod waiting;
