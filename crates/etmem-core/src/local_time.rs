//! A moment as people read it: what the log and answers about a moment are stamped with.

use std::fmt;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A moment in the machine's time zone. Its `Display` is the timestamp of RFC 3164, section 4.1.2: `Nov  1 03:40:13`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// The year.
    pub year: i32,
    /// The month, January being 0.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
    /// The day of the week, Sunday being 0.
    pub weekday: u8,
    /// Hours, 0 to 23.
    pub hour: u8,
    /// Minutes, 0 to 59.
    pub minute: u8,
    /// Seconds, 0 to 60: leap seconds.
    pub second: u8,
}

impl LocalTime {
    /// The form of C's `asctime`, without its newline: `Sat Nov  1 03:40:13 2025`.
    #[must_use]
    pub fn asctime(&self) -> String {
        let weekday = WEEKDAYS.get(usize::from(self.weekday)).copied().unwrap_or("Sun");
        format!("{weekday} {self} {}", self.year)
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { month, day, hour, minute, second, .. } = self;
        let month = MONTHS.get(usize::from(*month)).copied().unwrap_or("Jan");
        write!(out, "{month} {day:>2} {hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let early = LocalTime { year: 2027, month: 1, day: 3, weekday: 3, hour: 4, minute: 5, second: 6 };
        assert_eq!(early.to_string(), "Feb  3 04:05:06");
        assert_eq!(early.asctime(), "Wed Feb  3 04:05:06 2027");
        let late = LocalTime { year: 2016, month: 11, day: 31, weekday: 6, hour: 23, minute: 59, second: 60 };
        assert_eq!(late.to_string(), "Dec 31 23:59:60");
        assert_eq!(late.asctime(), "Sat Dec 31 23:59:60 2016");
    }
}
