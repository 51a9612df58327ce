//! Processes as `/proc` shows them: `stat` (who), `memory` (how large), [`table`] (which ones a target names).

pub(crate) mod memory;
pub(crate) mod stat;
pub mod table;
