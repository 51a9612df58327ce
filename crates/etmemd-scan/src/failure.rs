//! Why a call failed: `errno` for the program, a line of syslog for its administrator, as in etmem 1.x.

use etmem_core::kernel::process::ProcessError;
use etmem_linux::unavailable::Unavailable;
use std::ffi::{CString, c_int};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An argument that must not be NULL.
    #[error("{0} is NULL")]
    Null(&'static str),
    /// An argument that cannot be.
    #[error("{what} is {value:?}; it has to be {rule}")]
    Argument {
        /// Which.
        what: &'static str,
        /// As it came.
        value: String,
        /// What it has to be.
        rule: &'static str,
    },
    /// `etmemd_scan_init` was called twice.
    #[error("already initialised; call etmemd_scan_exit first")]
    AlreadyInitialised,
    /// `etmemd_scan_init` was not called.
    #[error("not initialised; call etmemd_scan_init first")]
    NotInitialised,
    /// A file that cannot be read.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// A line of it that is none.
    #[error("line {0} is not a mapping as proc_pid_maps(5) describes it")]
    Line(usize),
    /// The process is gone or the kernel refuses.
    #[error("{0}")]
    Process(#[from] ProcessError),
    /// Nothing here can scan.
    #[error("{0}")]
    Unavailable(#[from] Unavailable),
    /// malloc(3) has none left.
    #[error("out of memory")]
    Memory,
    /// A fault of the library itself.
    #[error("a fault of the library; please report it")]
    Panic,
}

impl Failure {
    /// The number for `errno`.
    fn number(&self) -> c_int {
        match self {
            Self::Null(_) | Self::Argument { .. } => libc::EINVAL,
            Self::AlreadyInitialised => libc::EALREADY,
            Self::NotInitialised => libc::EPERM,
            Self::File(error) if error.raw_os_error() == Some(libc::ENOENT) => libc::ESRCH,
            Self::File(error) => error.raw_os_error().unwrap_or(libc::EIO),
            Self::Process(ProcessError::Exited) => libc::ESRCH,
            Self::Process(ProcessError::Replaced) => libc::EAGAIN,
            Self::Line(_) | Self::Process(ProcessError::Refused { .. }) => libc::EIO,
            Self::Unavailable(_) => libc::ENODEV,
            Self::Memory => libc::ENOMEM,
            Self::Panic => libc::EFAULT,
        }
    }

    /// Tells the program and its administrator that `call` failed.
    pub(crate) fn tell(&self, call: &str) {
        // A zero byte cannot come from a C string; should it, the number alone has to do.
        if let Ok(text) = CString::new(format!("{call}: {self}")) {
            // SAFETY: both are strings that end in zero, and the format takes exactly one.
            unsafe { libc::syslog(libc::LOG_DAEMON | libc::LOG_ERR, c"%s".as_ptr(), text.as_ptr()) };
        }
        // SAFETY: errno of this thread is there as long as the thread.
        unsafe { *libc::__errno_location() = self.number() };
    }
}
