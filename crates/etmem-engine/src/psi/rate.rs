//! The share of a group's memory that a round reclaims, which adapts as etmem 1.x means it to.

use super::settings::Settings;

/// Rounds in a row that reclaimed, after which the rate rises; and bad ones, after which it falls.
const GOOD_ROUNDS: u8 = 5;
const BAD_ROUNDS: u8 = 2;

/// By how much.
const STEP: f64 = 0.01;

/// A rate between its bounds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AdaptiveRate {
    rate: f64,
    least: f64,
    most: f64,
    good: u8,
    bad: u8,
}

impl AdaptiveRate {
    pub(super) fn new(settings: &Settings) -> Self {
        let most = settings.rate_max.min(1.0);
        let least = settings.rate_min.min(most);
        Self { rate: settings.rate.clamp(least, most), least, most, good: 0, bad: 0 }
    }

    pub(super) const fn get(&self) -> f64 {
        self.rate
    }

    /// A round reclaimed.
    pub(super) fn good(&mut self) {
        self.bad = 0;
        self.good += 1;
        if self.good == GOOD_ROUNDS {
            self.good = 0;
            self.rate = (self.rate + STEP).min(self.most);
        }
    }

    /// Programs waited in a round, or too much was refaulted.
    pub(super) fn bad(&mut self) {
        self.good = 0;
        self.bad += 1;
        if self.bad == BAD_ROUNDS {
            self.bad = 0;
            self.rate = (self.rate - STEP).max(self.least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(rate: f64, least: f64, most: f64) -> AdaptiveRate {
        AdaptiveRate { rate, least, most, good: 0, bad: 0 }
    }

    #[test]
    fn five_good_rounds_in_a_row_raise_it_and_two_bad_ones_lower_it() {
        let mut adaptive = rate(0.05, 0.01, 0.07);
        let mut seen = Vec::new();
        for round in "ggggbgggggggggggggggbbbbbbbbbbbbbbbb".chars() {
            if round == 'g' {
                adaptive.good()
            } else {
                adaptive.bad()
            }
            seen.push(format!("{:.2}", adaptive.get()));
        }
        let mut want = vec!["0.05"; 9];
        want.extend(["0.06"; 5]);
        want.extend(["0.07"; 7]);
        let down = ["0.06", "0.05", "0.04", "0.03", "0.02", "0.01"].map(|rate| [rate; 2]);
        want.extend(down.concat());
        want.extend(["0.01"; 3]);
        assert_eq!(seen, want);
    }
}
