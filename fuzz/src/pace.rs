//! Whether a reader's time grows with its input, and not with the square of it.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Bytes to which an input is repeated: enough for a square to stand out, few enough to be read often.
const REPEATED: usize = 64 << 10;

/// What reading a number of bytes takes at the very most: some ten times what the costliest inputs take. With a square,
/// a nanosecond per step would make it four seconds.
const MOST: Duration = Duration::from_millis(500);

/// Tries before a slow reading counts: the machine may have been busy otherwise.
const TRIES: u32 = 3;

/// Panics if `read` takes too long for `text` repeated to [`REPEATED`] bytes.
pub(crate) fn check_repeated(text: &str, read: impl Fn(&str)) {
    if text.is_empty() {
        return;
    }
    let repeated = text.repeat(REPEATED.div_ceil(text.len()));
    let mut shortest = Duration::MAX;
    for _ in 0..TRIES {
        let before = processor_time();
        read(&repeated);
        shortest = shortest.min(processor_time().saturating_sub(before));
        if shortest <= MOST {
            return;
        }
    }
    panic!("{} bytes took {shortest:?} of processor time, at best", repeated.len());
}

/// What this thread has had of a processor: other programs do not count.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    Duration::from(time.expect("Linux has a clock for each thread"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn what_takes_too_long_is_found() {
        check_repeated("ab", |text| assert_eq!(text.len(), REPEATED));
        check_repeated("", |_| panic!("nothing repeated is nothing"));
        let idle_away = |_: &str| {
            let begin = processor_time();
            while processor_time() - begin <= MOST {}
        };
        assert!(catch_unwind(|| check_repeated("ab", idle_away)).is_err());
    }
}
