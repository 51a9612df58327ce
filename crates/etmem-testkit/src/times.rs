//! How long many short things took: requests, touches.

use std::time::Duration;

/// How many took how many microseconds; the last place is for all that took longer.
#[derive(Debug, Clone)]
pub struct Times(Vec<u64>);

const LONGEST: usize = 1_000_000;

impl Default for Times {
    fn default() -> Self {
        Self(vec![0; LONGEST + 1])
    }
}

impl Times {
    /// Takes note of one.
    pub fn add(&mut self, took: Duration) {
        let took = usize::try_from(took.as_micros()).unwrap_or(LONGEST);
        self.0[took.min(LONGEST)] += 1;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The time, in microseconds, that this many thousandths of them do not exceed.
    pub fn at(&self, thousandths: u64) -> u64 {
        let mut left = self.count() * thousandths / 1000;
        let found = self.0.iter().position(|times| {
            let found = *times > left;
            left = left.saturating_sub(*times);
            found
        });
        found.unwrap_or(0) as u64
    }
}
