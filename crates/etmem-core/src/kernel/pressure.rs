//! How much programs wait for memory: pressure stall information (PSI, `Documentation/accounting/psi.rst`).

use super::process::ProcessError;
use std::fmt;

/// A share in hundredths of a percent, as PSI tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display)]
#[display("{}.{:02} %", _0 / 100, _0 % 100)]
pub struct Share(u32);

impl Share {
    /// From hundredths of a percent.
    #[must_use]
    pub const fn of_hundredths(hundredths: u32) -> Self {
        Self(hundredths)
    }

    /// From percent.
    #[must_use]
    pub const fn of_percent(percent: u8) -> Self {
        Self(percent as u32 * 100)
    }

    /// The share nearest to `percent`; none outside 0 to 100.
    #[must_use]
    pub fn nearest_to_percent(percent: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
        let hundredths = |percent: f64| (percent * 100.0).round() as u32;
        (0.0..=100.0).contains(&percent).then(|| Self(hundredths(percent)))
    }

    /// In hundredths of a percent.
    #[must_use]
    pub const fn hundredths(self) -> u32 {
        self.0
    }
}

/// Shares of time in which memory was waited for (`/proc/pressure/memory`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// By at least one program, over the last 10 s.
    pub some_avg10: Share,
    /// Over the last 60 s.
    pub some_avg60: Share,
    /// By all that had something to do, over the last 10 s.
    pub full_avg10: Share,
}

/// Tells the pressure on memory.
pub trait MemoryPressure: fmt::Debug + Send + Sync {
    /// That of the machine now; `None` if the kernel does not tell (`CONFIG_PSI`, `psi=1`).
    ///
    /// # Errors
    /// When the kernel refuses, or its answer cannot be read.
    fn pressure(&self) -> Result<Option<Pressure>, ProcessError>;
}
