//! What simulated programs touch.

use crate::scripted::hash;

/// A program with 8 MiB of memory of which a quarter is hot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// The hot quarter all the time, nothing else.
    Still,
    /// The same, and each page of a twentieth now and then: every three minutes in the middle.
    Steady,
    /// Another quarter is hot each hour.
    Phases,
    /// The hot quarter all the time, and all the rest within two minutes each two hours.
    Scan,
    /// The hot quarter all the time, and each page in the minute after it left.
    Adversary,
}

pub(crate) const PAGES: usize = 2048;
const QUARTER: usize = PAGES / 4;

impl Program {
    /// Whether it touches `page` in `minute`; `out_since` is when the page left, where it is out.
    pub(crate) fn touches(self, page: usize, minute: u64, out_since: Option<u64>) -> bool {
        let hot = page < QUARTER;
        match self {
            Self::Still => hot,
            Self::Steady => hot || (self.is_warm(page) && hash(page, minute).is_multiple_of(3)),
            Self::Phases => page / QUARTER == usize::try_from(minute / 60 % 4).unwrap(),
            Self::Scan => hot || (minute % 120 == 60 + u64::from(page >= PAGES / 2)),
            Self::Adversary => hot || out_since.is_some(),
        }
    }

    fn is_warm(self, page: usize) -> bool {
        self == Self::Steady && (QUARTER..QUARTER + PAGES / 20).contains(&page)
    }

    /// Whether an oracle would have moved `page` out: it is never touched again.
    pub(crate) fn is_cold(self, page: usize) -> bool {
        page >= QUARTER && !self.is_warm(page)
    }
}
