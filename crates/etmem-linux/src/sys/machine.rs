//! What the C library and the kernel tell of the machine.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Bytes of a base page.
pub(crate) fn page_bytes() -> u64 {
    // SAFETY: it takes a number and returns one.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(0)
}

/// Processor time of the calling thread, that of the kernel on its behalf included.
pub(crate) fn thread_processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a whole `timespec` behind the pointer, which lives until the call returns.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } != 0 {
        return Duration::ZERO;
    }
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanoseconds)
}

/// Whether `path` lies on a procfs.
///
/// # Errors
/// What statfs(2) answers.
pub(crate) fn is_procfs(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut answer = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path is a string that ends in a zero byte, and the kernel writes a whole `statfs` behind the second
    // pointer where it answers 0. Both live until the call returns.
    if unsafe { libc::statfs(path.as_ptr(), answer.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has written it.
    let answer = unsafe { answer.assume_init() };
    Ok(answer.f_type == libc::PROC_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::idle_pages::PageSizes;

    #[test]
    fn this_machine() {
        assert!(PageSizes::of_base(page_bytes()).is_some());
        assert!(is_procfs(Path::new("/proc")).unwrap());
        assert!(!is_procfs(&std::env::temp_dir()).unwrap());
        assert!(is_procfs(Path::new("/nonexistent/proc")).is_err());
    }
}
