//! The memory of this process may be merged with equal pages of others (`PR_SET_MEMORY_MERGE`, Linux 6.4).

use std::io;

/// Lets the kernel merge equal pages of this process, of all its memory from now on. Children and the programs that it becomes
/// inherit that.
///
/// # Errors
/// What prctl(2) answers: `EINVAL` if the kernel is older, or was built without `CONFIG_KSM`.
pub(crate) fn allow() -> io::Result<()> {
    let (yes, none): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: the call takes five numbers and no address; it changes a flag of this process and none of its memory's contents.
    let done = unsafe { libc::prctl(libc::PR_SET_MEMORY_MERGE, yes, none, none, none) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
