//! etmem on a Linux machine: the ports of [`etmem_core::kernel`], each over one kernel interface.
//!
//! In the order of a cycle: [`process`] (which processes), [`mapping`] (where), [`probe`] (what was touched),
//! [`memory`], [`pressure`] and [`groups`] (is there need, and room), [`mover`] (out with it); [`pacer`] waits, and [`trigger`] between two cycles. [`root`] says
//! where the kernel's file systems are mounted, [`capabilities`] what this machine can do and why not, [`choice`] which of
//! it a task gets, [`doctor`] what an operator should know of it.
//! [`counters`] is what the machine counts, for monitoring. [`levels`] says where memory is, [`sinking`] writes compressed swap to a disk. [`cooperation`] asks programs for memory, [`reader`] reads it, [`ksm`] merges equal pages, [`qmp`] asks guests of QEMU. [`own_memory`] and [`lasting`] are for the daemon itself.
//!
//! Nothing here decides which pages are cold, and nothing outside builds a path below `/proc` or `/sys`.

pub mod capabilities;
pub mod choice;
pub mod cooperation;
pub mod counters;
pub mod damon;
pub mod decider;
pub mod doctor;
mod figures;
mod frames;
pub mod groups;
pub mod ksm;
pub mod lasting;
pub mod levels;
pub mod mapping;
pub mod memory;
mod module;
pub mod mover;
pub mod nodes;
pub mod own_memory;
pub mod pacer;
pub mod pressure;
pub mod probe;
pub mod process;
pub mod qmp;
pub mod reader;
pub mod root;
pub mod sinking;
mod small_file;
mod swap_reads;
mod swap_stuck;
#[expect(unsafe_code, reason = "system calls without a crate, and memory shared with the BPF program")]
mod sys;
pub mod terminal;
pub mod trigger;
pub mod unavailable;
pub mod unix_socket;
mod zoneinfo;
mod zram;
pub mod zswap_max;

pub use sys::heap::give_back_free_memory;
