//! This process's own memory, kept out of swap.

use rustix::mm::{MlockAllFlags, mlockall, munlockall};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is there stays, and what comes stays from when it is first touched: nothing is fetched for the sake of
/// being locked, so that the process does not grow by it.
const FLAGS: MlockAllFlags =
    MlockAllFlags::CURRENT.union(MlockAllFlags::FUTURE).union(MlockAllFlags::ONFAULT);

/// Whether [`lock`] did its work: the kernel's own state, which it does not show.
static LOCKED: AtomicBool = AtomicBool::new(false);

/// Lifts the limit on how much memory this process may lock.
///
/// # Errors
/// What setrlimit(2) answers.
pub(crate) fn lift_limit() -> io::Result<()> {
    Ok(setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None })?)
}

/// Locks all of this process's memory, now and from here on.
///
/// # Errors
/// What mlockall(2) answers.
pub(crate) fn lock() -> io::Result<()> {
    mlockall(FLAGS)?;
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
    // Locking succeeded before under the same limit; should it fail now, memory is swappable again, which does no harm.
    let _ = munlockall();
    give_back();
    let _ = mlockall(FLAGS);
}
