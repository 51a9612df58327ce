//! One bare system call over a whole range: what the movers are measured against, and nothing more.

use crate::sys::pidfd;
use etmem_core::address::AddressRange;
use etmem_core::kernel::process::Pid;
use std::io;

/// Pages out `range` of process `pid` by a single process_madvise(2): how many bytes it got through.
///
/// Nothing here is bound to one process, cut into pieces or stopped on the way, so it is of use in benches only.
///
/// # Errors
/// What the kernel answers.
pub fn page_out_in_one_call(pid: Pid, range: AddressRange) -> io::Result<u64> {
    pidfd::page_out(&pidfd::open(pid)?, &[range])
}
