//! Processes as `/proc` shows them: `stat` (who), `address_space` (still the same memory), `memory` (how large), [`table`]
//! (which ones a target names).

pub(crate) mod address_space;
pub(crate) mod memory;
pub(crate) mod stat;
pub mod table;
