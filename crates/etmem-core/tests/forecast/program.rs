//! What simulated programs touch.

use crate::scripted::hash;
use std::time::Duration;

/// A program, of which a quarter is hot where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The hot quarter all the time, and each page of a twentieth every three minutes in the middle.
    Steady,
    /// Each page as often as its rank in a zipf distribution (0.99) says.
    Zipf,
    /// The hot quarter moves by a page every four minutes.
    Drift,
    /// Another quarter is hot each hour.
    Phases,
    /// The hot quarter, and all the rest each 15 s.
    Marking,
    /// Three tenths all the time, and all the rest within ten minutes each night at two.
    Nightly,
    /// A half is hot from eight to twenty, a tenth by night.
    DayAndNight,
    /// The hot quarter all the time, and each page in the minute after it left.
    Adversary,
}

/// A program and what is known of its pages.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) kind: Kind,
    pub(crate) pages: usize,
    /// Of a cycle.
    pub(crate) tick: Duration,
    /// How likely a page is touched in a tick, for a zipf distribution.
    likely: Vec<f64>,
}

/// Touches of a zipf distribution in a tick.
const ZIPF_TOUCHES: f64 = 100.0;

impl Program {
    pub(crate) fn new(kind: Kind) -> Self {
        let (pages, seconds) = match kind {
            Kind::Marking => (128, 5),
            // What leaves is few pages: with more of them it is less by chance.
            Kind::Zipf => (2048, 60),
            Kind::Steady
            | Kind::Drift
            | Kind::Phases
            | Kind::Nightly
            | Kind::DayAndNight
            | Kind::Adversary => (1024, 60),
        };
        let weight = |page: usize| (page as f64 + 1.0).powf(-0.99);
        let all: f64 = (0..pages).map(weight).sum();
        let likely = (0..pages).map(|page| {
            let touches = ZIPF_TOUCHES * weight(page) / all;
            1.0 - (-touches).exp()
        });
        Self { kind, pages, tick: Duration::from_secs(seconds), likely: likely.collect() }
    }

    /// Whether it touches `page` in `tick`; `is_out`: the page has left memory.
    pub(crate) fn touches(&self, page: usize, tick: u64, is_out: bool) -> bool {
        let quarter = self.pages / 4;
        let hot = page < quarter;
        match self.kind {
            Kind::Steady => {
                let warm = (quarter..quarter + self.pages / 20).contains(&page);
                hot || (warm && hash(page, tick).is_multiple_of(3))
            }
            Kind::Zipf => (hash(page, tick) as f64) < self.likely[page] * f64::from(u32::MAX),
            Kind::Drift => {
                let start = usize::try_from(tick / 4).unwrap() % self.pages;
                (page + self.pages - start) % self.pages < quarter
            }
            Kind::Phases => page / quarter == usize::try_from(tick / 60 % 4).unwrap(),
            Kind::Marking => hot || tick % 3 == 2,
            // The program starts at noon.
            Kind::Nightly => {
                let minute = (tick + 12 * 60) % (24 * 60);
                let part = usize::try_from(minute.wrapping_sub(120)).unwrap_or(usize::MAX);
                page < self.pages * 3 / 10 || (part < 10 && page * 10 / self.pages == part)
            }
            Kind::DayAndNight => {
                let hour = (tick / 60 + 12) % 24;
                let hot = if (8..20).contains(&hour) { self.pages / 2 } else { self.pages / 10 };
                page < hot
            }
            Kind::Adversary => hot || is_out,
        }
    }
}
