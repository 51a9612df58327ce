//! The time of day, for a log that other programs merge with theirs. Nothing waits by it: that is [`crate::pacer`].

use crate::sys;
use etmem_core::local_time::LocalTime;

/// The time now; `None` if the system cannot say.
#[must_use]
pub fn now() -> Option<LocalTime> {
    sys::local_time::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_a_time() {
        let now = now().unwrap();
        assert!(now.month < 12 && (1..=31).contains(&now.day) && now.hour < 24 && now.minute < 60, "{now:?}");
        assert!(now.year > 2000 && now.weekday < 7, "{now:?}");
    }
}
