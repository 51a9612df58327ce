//! What the C library and the kernel say of the machine.

use std::fs::File;
use std::io;
use std::path::Path;

/// Bytes of a base page.
pub(crate) fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// Whether `path` lies on a procfs.
///
/// # Errors
/// What statfs(2) answers.
pub(crate) fn is_procfs(path: &Path) -> io::Result<bool> {
    Ok(rustix::fs::statfs(path)?.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

/// Whether `file` is of a procfs, as far as the kernel says.
pub(crate) fn is_of_procfs(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type == rustix::fs::PROC_SUPER_MAGIC)
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
        assert!(is_of_procfs(&File::open("/proc/meminfo").unwrap()));
        assert!(!is_of_procfs(&tempfile::tempfile().unwrap()));
    }
}
