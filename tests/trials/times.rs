//! How long requests took.

use std::time::Duration;

/// Requests by their time, in microseconds; the last place is for all that took longer.
#[derive(Debug, Clone)]
pub(crate) struct Times(Vec<u64>);

const LONGEST: usize = 1_000_000;

impl Times {
    pub(crate) fn new() -> Self {
        Self(vec![0; LONGEST + 1])
    }

    pub(crate) fn add(&mut self, took: Duration) {
        let took = usize::try_from(took.as_micros()).unwrap_or(LONGEST);
        self.0[took.min(LONGEST)] += 1;
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The time below which this many thousandths of the requests were answered, in microseconds.
    pub(crate) fn at(&self, thousandths: u64) -> u64 {
        let mut left = self.count() * thousandths / 1000;
        let found = self.0.iter().position(|times| {
            let found = *times > left;
            left = left.saturating_sub(*times);
            found
        });
        found.unwrap_or(0) as u64
    }
}
