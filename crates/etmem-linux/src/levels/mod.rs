//! Where memory is: on which levels of the machine the pages of a process are, page by page.
//!
//! `list` makes the levels of what the machine has, `swap_types` says which of them an entry in swap means, `entries` reads
//! those of a process, and `machine` adds them up.

mod entries;
pub(crate) mod list;
pub mod machine;
mod swap_types;
