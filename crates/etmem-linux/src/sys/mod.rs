//! The only unsafe code of this crate: system calls that no crate wraps, and memory shared with the BPF program.
//!
//! Each module offers a safe face; what makes it safe stands at each block. Nothing here decides anything.

pub(crate) mod affinity;
pub(crate) mod code;
pub(crate) mod folder_lock;
pub(crate) mod heap;
pub(crate) mod iterator;
pub(crate) mod kcmp;
pub(crate) mod locked;
pub(crate) mod machine;
pub(crate) mod merging;
pub(crate) mod module;
pub(crate) mod move_pages;
pub(crate) mod page_walk;
pub(crate) mod pidfd;
pub(crate) mod read_memory;
