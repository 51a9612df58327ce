//! This process's own memory, kept out of swap.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is there stays, and what comes stays from when it is first touched: nothing is fetched for the sake of
/// being locked, so that the process does not grow by it.
const FLAGS: libc::c_int = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;

/// Whether [`lock`] did its work: the kernel's own state, which it does not show.
static LOCKED: AtomicBool = AtomicBool::new(false);

/// Lifts the limit on how much memory this process may lock.
///
/// # Errors
/// What setrlimit(2) answers.
pub(crate) fn lift_limit() -> io::Result<()> {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel only reads the structure, which lives until it returns.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) })
}

/// Locks all of this process's memory, now and from here on.
///
/// # Errors
/// What mlockall(2) answers.
pub(crate) fn lock() -> io::Result<()> {
    // SAFETY: locking changes where pages may lie, not what is in them.
    checked(unsafe { libc::mlockall(FLAGS) })?;
    LOCKED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Runs `give_back` with the lock taken off: pages inside of locked mappings cannot be given back (`MADV_DONTNEED`
/// is refused).
#[cfg(target_env = "gnu")]
pub(super) fn while_unlocked(give_back: impl FnOnce()) {
    if !LOCKED.load(Ordering::Relaxed) {
        give_back();
        return;
    }
    // SAFETY: as in `lock`.
    unsafe { libc::munlockall() };
    give_back();
    // SAFETY: as in `lock`. It succeeded before under the same limit; should it fail now, memory is swappable again,
    // which does no harm.
    unsafe { libc::mlockall(FLAGS) };
}

fn checked(answer: libc::c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
