//! etmem on a Linux machine: the ports of [`etmem_core::kernel`], each over one kernel interface.
//!
//! In the order of a cycle: [`process`] (whom), [`mapping`] (where), [`probe`] (what was touched),
//! [`memory`] (is there need, and room), [`mover`] (out with it); [`pacer`] waits. [`root`] says where the kernel's
//! file systems are mounted, [`capabilities`] what this machine can do and why not.
//!
//! Nothing here decides which pages are cold, and nothing outside builds a path below `/proc` or `/sys`.

pub mod capabilities;
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
use std::sync::Arc;

/// Keeps this process's own heap small, at the price of threads that wait for each other when they allocate. For a
/// program whose threads seldom do; to be called before it starts any.
pub fn share_one_heap() {
    sys::heap::share_one_heap();
}

/// This machine as the data path sees it, with the best probe and mover it has.
///
/// # Errors
/// Says what it lacks, and what would help.
pub fn kernel(proc: &root::ProcRoot, sys: &root::SysRoot) -> Result<Kernel, unavailable::Unavailable> {
    Ok(Kernel {
        processes: Arc::new(process::table::Processes::new(proc.clone())),
        mappings: Arc::new(mapping::Mappings::new(proc.clone())),
        mover: Arc::new(mover::madvise::Madvise::detect(proc)?),
        memory: Arc::new(memory::MachineMemory::new(proc.clone())),
        probe: Arc::new(probe::bpf::Bpf::detect(proc, sys)?),
    })
}
