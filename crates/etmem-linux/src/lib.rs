//! etmem on a Linux machine: the ports of [`etmem_core::kernel`], each over one kernel interface.
//!
//! In the order of a cycle: [`process`] (which processes), [`mapping`] (where), [`probe`] (what was touched),
//! [`memory`], [`pressure`] and [`groups`] (is there need, and room), [`mover`] (out with it); [`pacer`] waits. [`root`] says
//! where the kernel's file systems are mounted, [`capabilities`] what this machine can do and why not, [`choice`] which of
//! it a task gets, [`doctor`] what an operator should know of it.
//! [`own_memory`], [`lasting`] and [`local_time`] are for the daemon itself.
//!
//! Nothing here decides which pages are cold, and nothing outside builds a path below `/proc` or `/sys`.

pub mod capabilities;
pub mod choice;
pub mod doctor;
mod figures;
mod frames;
pub mod groups;
pub mod lasting;
pub mod local_time;
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
pub mod root;
mod small_file;
#[expect(unsafe_code, reason = "system calls without a crate, and memory shared with the BPF program")]
mod sys;
pub mod unavailable;
mod zram;

use etmem_core::kernel::Kernel;

/// Gives memory that was freed back to the kernel. For after a peak; it looks through the whole heap.
pub fn give_back_free_memory() {
    sys::heap::give_back_free_memory();
}

/// This machine as the data path sees it, with the best probe and mover it has.
///
/// # Errors
/// Says what it lacks, and what would help.
pub fn kernel(roots: &root::Roots) -> Result<Kernel, unavailable::Unavailable> {
    let interfaces = choice::Interfaces::new(roots.clone());
    interfaces.kernel(&etmem_core::kernel::wishes::Wishes::default()).map(|chosen| chosen.kernel)
}
