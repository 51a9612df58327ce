//! How a task is held back, in words.

use std::fmt;
use std::time::Duration;

/// From this length of a pause on it is said how much is owed.
const LONG_PAUSE: Duration = Duration::from_secs(3600);

/// How a task is held back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BackOff {
    /// Not at all.
    #[default]
    None,
    /// Too much refaulted: less moves.
    Slower {
        /// 1 to 3.
        step: u8,
        /// For how many cycles in a row a page must not have been touched.
        idle_cycles: u8,
        /// By how much the budget is divided.
        divisor: u32,
        /// What moves is paid for in advance.
        probation: bool,
    },
    /// More refaulted than was forecast: few MiB leave at once, and more while they stay out.
    Trial,
    /// Far too much refaulted: nothing moves until the goal has paid for it.
    Paused {
        /// How long that takes, if nothing more refaults.
        left: Duration,
        /// Bytes that are owed.
        owed: u64,
    },
}

impl fmt::Display for BackOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("not held back"),
            Self::Trial => f.write_str(
                "more came back than max_refault or max_stall allows: a few MiB leave at a time, and more as long as they stay out",
            ),
            Self::Slower { idle_cycles, divisor, probation, .. } => {
                let most = if *probation { ", and no more than may come back" } else { "" };
                write!(
                    f,
                    "more came back than max_refault or max_stall allows: pages go when idle for {idle_cycles} cycles, at 1/{divisor} of \
                     the rate{most}"
                )
            }
            Self::Paused { left, .. } if left.as_secs() > 365 * 86_400 => {
                f.write_str("more came back than max_refault or max_stall will ever allow: nothing moves")
            }
            Self::Paused { left, owed } => {
                let minutes = left.as_secs().div_ceil(60);
                write!(f, "far more came back than max_refault or max_stall allows: nothing moves for {minutes} min")?;
                if *left < LONG_PAUSE {
                    return Ok(());
                }
                write!(f, ", until {} KiB are paid for; less if samples stay out", owed >> 10)
            }
        }
    }
}
