//! etmem on a Linux machine: the ports of [`etmem_core::kernel`], each over one kernel interface.
//!
//! In the order of a cycle: [`process`] (whom), [`mapping`] (where), [`probe`] (what was touched),
//! [`memory`] (is there need, and room), [`mover`] (out with it); [`pacer`] waits. [`root`] says where the kernel's
//! file systems are mounted, [`capabilities`] what this machine can do and why not, [`choice`] which of it a task gets.
//!
//! Nothing here decides which pages are cold, and nothing outside builds a path below `/proc` or `/sys`.

pub mod capabilities;
pub mod choice;
mod figures;
pub mod mapping;
pub mod memory;
mod module;
pub mod mover;
pub mod pacer;
pub mod probe;
pub mod process;
pub mod root;
#[expect(unsafe_code, reason = "system calls without a crate, and memory shared with the BPF program")]
mod sys;
pub mod unavailable;

use etmem_core::kernel::Kernel;

/// Keeps this process's own heap small, at the price of threads that wait for each other when they allocate. For a
/// program whose threads seldom do; to be called before it starts any.
pub fn share_one_heap() {
    sys::heap::share_one_heap();
}

/// This machine as the data path sees it, with the best probe and mover it has.
///
/// # Errors
/// Says what it lacks, and what would help.
pub fn kernel(roots: &root::Roots) -> Result<Kernel, unavailable::Unavailable> {
    let interfaces = choice::Interfaces::new(roots.clone());
    interfaces.kernel(&choice::Wishes::default()).map(|chosen| chosen.kernel)
}
