//! One bare system call over all of some memory: what the movers are measured against, and nothing more.

use crate::sys::pidfd;
use etmem_core::address::AddressRange;
use etmem_core::kernel::process::Pid;
use std::io;

/// Pages out `ranges` (at most 1024) of process `pid` by a single process_madvise(2): how many bytes it got through.
///
/// Nothing here is bound to one process, cut into pieces or stopped on the way, so it is of use in benches only.
///
/// # Errors
/// What the kernel answers.
pub fn page_out_in_one_call(pid: Pid, ranges: &[AddressRange]) -> io::Result<u64> {
    pidfd::page_out(&pidfd::open(pid)?, ranges)
}
