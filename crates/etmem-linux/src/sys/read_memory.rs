//! Memory of another process, read by process_vm_readv(2).

use super::pidfd::vectors;
use etmem_core::address::AddressRange;
use etmem_core::kernel::process::Pid;
use std::io;

/// Most ranges of one call (`UIO_MAXIOV`, `include/uapi/linux/uio.h`).
pub(crate) const MOST_RANGES: usize = 1024;

/// Reads `ranges` of `pid`, at most [`MOST_RANGES`], one after the other into `into`: how many bytes were read before one could not be.
///
/// # Errors
/// What the kernel answers if it could read nothing: EFAULT where the first range is not mapped.
pub(crate) fn read(pid: Pid, ranges: &[AddressRange], into: &mut [u8]) -> io::Result<usize> {
    let remote = vectors(ranges);
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let pid = libc::pid_t::try_from(pid.get()).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: the kernel writes to `into` only, which is borrowed for the call, and no further than its length. The addresses of
    // `remote` are the other process's, which it only reads.
    let answer = unsafe {
        libc::process_vm_readv(pid, &raw const local, 1, remote.as_ptr(), remote.len() as libc::c_ulong, 0)
    };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}
