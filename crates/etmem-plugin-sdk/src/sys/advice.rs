//! Processes by descriptor, and paging out of their memory.
#![expect(unsafe_code, reason = "system calls that no crate wraps")]

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A process that stays the same, even if another process gets its pid.
#[derive(Debug)]
pub(crate) struct ProcessDescriptor(OwnedFd);

/// What the kernel answered to a call.
#[derive(Debug)]
pub(crate) enum Advice {
    /// It advanced by this number of bytes, from the first range on.
    Went(u64),
    /// A part of the first range is not mapped, or cannot be paged out.
    Unsuitable,
    /// The call was interrupted.
    NotNow,
}

impl ProcessDescriptor {
    /// The descriptor of `pid`.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: a system call on two numbers.
        let answer = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let descriptor = RawFd::try_from(answer).map_err(io::Error::other)?;
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call returned a new descriptor, which is ours.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// One process_madvise(2) with MADV_PAGEOUT over `ranges`.
    pub(crate) fn page_out(&self, ranges: &[Range<u64>]) -> io::Result<Advice> {
        let place =
            |address| std::ptr::without_provenance_mut(usize::try_from(address).unwrap_or(usize::MAX));
        let vectors: Vec<libc::iovec> = ranges
            .iter()
            .map(|range| libc::iovec {
                iov_base: place(range.start),
                iov_len: usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0),
            })
            .collect();
        // SAFETY: the kernel only reads the vectors, which live until it returns; the addresses in them are the other
        // process's, where paging out changes nothing that it can see but time.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_process_madvise,
                self.0.as_raw_fd(),
                vectors.as_ptr(),
                vectors.len(),
                libc::MADV_PAGEOUT,
                0,
            )
        };
        let Ok(bytes) = u64::try_from(answer) else {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOMEM | libc::EINVAL) => Ok(Advice::Unsuitable),
                Some(libc::EINTR | libc::EAGAIN) => Ok(Advice::NotNow),
                _ => Err(error),
            };
        };
        Ok(Advice::Went(bytes))
    }
}
