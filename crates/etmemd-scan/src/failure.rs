//! Why a call failed: `errno` for the program, and a line in syslog for the administrator, as in etmem 1.x.

use etmem_core::kernel::process::ProcessError;
use etmem_linux::unavailable::Unavailable;
use std::ffi::{CString, c_int};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An argument that must not be NULL.
    #[error("{0} is NULL")]
    Null(&'static str),
    /// An argument with a value that is not allowed.
    #[error("{what} is {value:?}; it must be {rule}")]
    Argument {
        /// Its name.
        what: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
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
    /// A line of it that is no mapping.
    #[error("line {0} is not a mapping as proc_pid_maps(5) describes it")]
    Line(usize),
    /// The process has ended, or the kernel refuses.
    #[error("{0}")]
    Process(#[from] ProcessError),
    /// This machine cannot scan.
    #[error("{0}")]
    Unavailable(#[from] Unavailable),
    /// malloc(3) failed.
    #[error("out of memory")]
    Memory,
    /// A fault of the library itself.
    #[error("a fault of the library; please report it")]
    Panic,
}

impl Failure {
    /// The value for `errno`.
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

    /// Reports to the program and the administrator that `call` failed.
    pub(crate) fn report(&self, call: &str) {
        // No reason contains a zero byte. If one did, `errno` alone would report it.
        if let Ok(text) = CString::new(format!("{call}: {self}")) {
            // SAFETY: both are strings that end in zero, and the format takes exactly one.
            unsafe { libc::syslog(libc::LOG_DAEMON | libc::LOG_ERR, c"%s".as_ptr(), text.as_ptr()) };
        }
        // SAFETY: errno of this thread lives as long as the thread.
        unsafe { *libc::__errno_location() = self.number() };
    }
}
