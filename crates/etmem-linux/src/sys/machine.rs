//! What the C library and the kernel say of the machine.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes of a base page.
pub(crate) fn page_bytes() -> u64 {
    // SAFETY: it takes a number and returns one.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(0)
}

/// Whether `path` lies on a procfs.
///
/// # Errors
/// What statfs(2) answers.
pub(crate) fn is_procfs(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut answer = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path is a string that ends in a zero byte, and the kernel writes a whole `statfs` at the second
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
