//! How long a thread has kept a processor busy.

use std::mem::MaybeUninit;
use std::time::Duration;

/// Processor time of the calling thread, its time in the kernel included; zero where the kernel does not count it.
pub(crate) fn of_this_thread() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel writes one `timespec` at the pointer, which lives until the call returns.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) } != 0 {
        return Duration::ZERO;
    }
    // SAFETY: the answer 0 says that it was written.
    let time = unsafe { time.assume_init() };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_work_and_is_each_threads_own() {
        let before = of_this_thread();
        let mut sum = 0_u64;
        while of_this_thread() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let own = of_this_thread();
        let other = std::thread::scope(|scope| scope.spawn(of_this_thread).join().unwrap());
        assert!(own > before && other > Duration::ZERO);
    }
}
