//! BPF iterators over the threads of one process: links, and running them.
//!
//! Made by hand with bpf(2), because the loader's `attach` cannot filter. Layouts and numbers:
//! `include/uapi/linux/bpf.h`; the filter by process exists since Linux 6.1.

use rustix::io::{Errno, read, retry_on_intr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;
const BPF_TRACE_ITER: u32 = 28;

/// `union bpf_iter_link_info`, the member `task`.
#[repr(C)]
#[derive(Default)]
struct TaskFilter {
    thread: u32,
    process: u32,
    pidfd: u32,
}

/// Size of [`TaskFilter`].
const FILTER_BYTES: u32 = 12;
const _: () = assert!(size_of::<TaskFilter>() == 12);

/// `union bpf_attr` for `BPF_LINK_CREATE` of an iterator.
#[repr(C)]
struct LinkCreate {
    program: RawFd,
    target: u32,
    attach_type: u32,
    flags: u32,
    filter: u64,
    filter_bytes: u32,
    padding: u32,
}

/// `union bpf_attr` for `BPF_ITER_CREATE`.
#[repr(C)]
struct IteratorCreate {
    link: RawFd,
    flags: u32,
}

/// bpf(2) for the commands that make a file descriptor.
fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: `attributes` is a live, fully initialised object of the size given, and the kernel only reads it.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    let descriptor = RawFd::try_from(answer).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both commands return a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The program `program` over the threads of one process, ready to be run.
#[derive(Debug)]
pub(crate) struct TaskLink(OwnedFd);

impl TaskLink {
    /// Links `program` to the process `pid`, which need not exist.
    ///
    /// # Errors
    /// What bpf(2) answers.
    pub(crate) fn new(program: BorrowedFd<'_>, pid: u32) -> io::Result<Self> {
        let filter = TaskFilter { process: pid, ..TaskFilter::default() };
        let attributes = LinkCreate {
            program: program.as_raw_fd(),
            target: 0,
            attach_type: BPF_TRACE_ITER,
            flags: 0,
            filter: std::ptr::from_ref(&filter).expose_provenance() as u64,
            filter_bytes: FILTER_BYTES,
            padding: 0,
        };
        bpf(BPF_LINK_CREATE, &attributes).map(Self)
    }

    /// Runs the program once.
    ///
    /// # Errors
    /// What bpf(2) or read(2) answers.
    pub(super) fn run(&self) -> io::Result<()> {
        let iterator = bpf(BPF_ITER_CREATE, &IteratorCreate { link: self.0.as_raw_fd(), flags: 0 })?;
        match retry_on_intr(|| read(&iterator, &mut [0_u8; 8])) {
            // EAGAIN: the program ended the iteration, as it has what it came for.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
