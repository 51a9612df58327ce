//! Page tables read through BPF: exact to the page, on a stock kernel.
//!
//! Once: `program` loads the page walk into the kernel, `direct_map` finds out where the kernel sees physical
//! memory. Per process, `watch`: `prepare` clears the accessed bits by `clearing`; `check` has the
//! walk copy the page tables of the `spans` asked for, and `entry` decodes each entry.
//!
//! Clearing the bits takes what they said from the kernel's own reclaim, too, as every page table scanner does. What
//! a KVM guest touches shows in other tables than these.

mod clearing;
mod direct_map;
mod entry;
mod program;
mod shared_walk;
mod source;
mod spans;
mod watch;

pub use source::Bpf;
