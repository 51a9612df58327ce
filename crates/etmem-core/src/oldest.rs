//! The oldest of many, in memory for those alone: at most twice as many are held as are wanted, however many there are.

/// Numbers with the time at which each was touched last, of which the oldest are wanted.
#[derive(Debug, Clone)]
pub struct Oldest {
    /// At least the oldest `most` of those that were seen.
    held: Vec<(u64, u32)>,
    most: usize,
    /// What was touched later is not among the oldest.
    bound: u64,
    seen: u64,
}

impl Oldest {
    /// None yet, of which the oldest `most` are wanted.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { held: Vec::new(), most, bound: u64::MAX, seen: 0 }
    }

    /// Takes note of `number`, which was touched at `time`.
    pub fn see(&mut self, number: u32, time: u64) {
        self.seen += 1;
        if self.most == 0 || time > self.bound {
            return;
        }
        self.held.push((time, number));
        if self.held.len() >= self.most.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.held.len() > self.most {
            let (_, last, _) = self.held.select_nth_unstable(self.most - 1);
            self.bound = last.0;
            self.held.truncate(self.most);
        }
    }

    /// How many were seen.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// The oldest, in the order of their age, and when the first of them was touched.
    #[must_use]
    pub fn chosen(mut self) -> (Vec<u32>, Option<u64>) {
        if self.most > 0 {
            self.cut();
        }
        self.held.sort_unstable();
        let first = self.held.first().map(|(time, _)| *time);
        (self.held.into_iter().map(|(_, number)| number).collect(), first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_the_first_of_all_sorted(times in prop::collection::vec(0u64..50, 0..300), most in 0usize..40) {
            let mut oldest = Oldest::new(most);
            let mut all = Vec::new();
            for (number, time) in (0u32..).zip(&times) {
                oldest.see(number, *time);
                all.push((*time, number));
                prop_assert!(oldest.held.len() < 2 * most.max(1));
            }
            all.sort_unstable();
            prop_assert_eq!(oldest.seen(), times.len() as u64);
            let (chosen, first) = oldest.chosen();
            prop_assert_eq!(first, all.first().map(|(time, _)| *time).filter(|_| most > 0));
            // Of equal times, any may be chosen.
            let of = |numbers: &[u32]| numbers.iter().map(|number| times[*number as usize]).collect::<Vec<_>>();
            let want: Vec<u64> = all.iter().take(most).map(|(time, _)| *time).collect();
            prop_assert_eq!(of(&chosen), want);
        }
    }
}
