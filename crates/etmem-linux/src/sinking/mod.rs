//! Writing pages of zram to the disk behind it (`Documentation/admin-guide/blockdev/zram.rst`, "writeback").
//!
//! `device` is what a device says of itself, `slots` when each of its pages was touched last, `limit` the bound that the kernel
//! keeps to, which is put back also after a daemon that was killed, `pass` the writing, and `machine` all of them together.

pub(crate) mod device;
pub mod limit;
pub mod machine;
mod pass;
pub(crate) mod slots;
