//! The time of day, for a log that other programs merge with theirs. Nothing waits by it: that is [`crate::pacer`].

use crate::sys;
use std::fmt;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment in the machine's time zone. Its `Display` is the timestamp of RFC 3164, section 4.1.2: `Nov  1 03:40:13`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// The month, January being 0.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
    /// Hours, 0 to 23.
    pub hour: u8,
    /// Minutes, 0 to 59.
    pub minute: u8,
    /// Seconds, 0 to 60: leap seconds.
    pub second: u8,
}

impl LocalTime {
    /// The time now; nothing where the system cannot tell.
    #[must_use]
    pub fn now() -> Option<Self> {
        sys::local_time::now()
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { month, day, hour, minute, second } = self;
        let month = MONTHS.get(usize::from(*month)).copied().unwrap_or("Jan");
        write!(out, "{month} {day:>2} {hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timestamp_of_rfc_3164() {
        let early = LocalTime { month: 1, day: 3, hour: 4, minute: 5, second: 6 };
        assert_eq!(early.to_string(), "Feb  3 04:05:06");
        let late = LocalTime { month: 11, day: 31, hour: 23, minute: 59, second: 60 };
        assert_eq!(late.to_string(), "Dec 31 23:59:60");
    }

    #[test]
    fn now_is_a_time() {
        let now = LocalTime::now().unwrap();
        assert!(now.month < 12 && (1..=31).contains(&now.day) && now.hour < 24 && now.minute < 60, "{now:?}");
    }
}
