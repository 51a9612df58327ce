//! Processes by descriptor, and advice about their memory.

use etmem_core::address::AddressRange;
use etmem_core::kernel::process::Pid;
use rustix::io::Errno;
use rustix::process;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A process that stays the same one, even where its pid is given to another.
#[derive(Debug)]
pub(crate) struct PidFd(OwnedFd);

/// pidfd_open(2) of `pid`.
///
/// # Errors
/// What the kernel answers: ESRCH where there is no such process.
pub(crate) fn open(pid: Pid) -> io::Result<PidFd> {
    let pid = i32::try_from(pid.get()).ok().and_then(process::Pid::from_raw).ok_or(Errno::SRCH)?;
    Ok(PidFd(process::pidfd_open(pid, process::PidfdFlags::empty())?))
}

/// Ranges of another process's memory, as system calls take them.
pub(super) fn vectors(ranges: &[AddressRange]) -> Vec<libc::iovec> {
    let vector = |range: &AddressRange| libc::iovec {
        iov_base: std::ptr::without_provenance_mut(usize::try_from(range.start).unwrap_or(usize::MAX)),
        iov_len: usize::try_from(range.bytes()).unwrap_or(0),
    };
    ranges.iter().map(vector).collect()
}

/// process_madvise(2) with MADV_PAGEOUT over `ranges`: how many bytes it got through, whole ranges only.
///
/// # Errors
/// What the kernel answers about the first range: later ones only make the count short.
pub(crate) fn page_out(process: &PidFd, ranges: &[AddressRange]) -> io::Result<u64> {
    let vectors = vectors(ranges);
    // SAFETY: the kernel only reads the vectors, which live until it returns; the addresses in them are the other
    // process's, where paging out changes nothing that it can see but time.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            process.0.as_raw_fd(),
            vectors.as_ptr(),
            vectors.len(),
            libc::MADV_PAGEOUT,
            0,
        )
    };
    u64::try_from(answer).map_err(|_| io::Error::last_os_error())
}
