//! What could have been saved, by who knows the future: from all the times for which a page was not touched.

/// Ticks for which pages were not touched, and how often.
#[derive(Debug)]
pub(crate) struct Oracle {
    last: Vec<Option<u64>>,
    /// How many gaps of a length in ticks ended with a touch.
    ended: Vec<u64>,
    /// The same of those that lasted to the end.
    open: Vec<u64>,
}

impl Oracle {
    pub(crate) fn new(pages: usize, ticks: u64) -> Self {
        let ticks = usize::try_from(ticks).unwrap() + 1;
        Self { last: vec![None; pages], ended: vec![0; ticks], open: vec![0; ticks] }
    }

    pub(crate) fn touched(&mut self, page: usize, tick: u64) {
        let last = self.last[page].replace(tick);
        let gap = tick - last.map_or(0, |last| last + 1);
        self.ended[usize::try_from(gap).unwrap()] += 1;
    }

    pub(crate) fn end(&mut self, ticks: u64) {
        for last in &self.last {
            let gap = ticks - last.map_or(0, |last| last + 1);
            self.open[usize::try_from(gap).unwrap()] += 1;
        }
    }

    /// What is out all the time, in pages and ticks, of a policy that may cost `refaults` and knows each touch beforehand: the
    /// longest times first, from their beginning on.
    pub(crate) fn of_future(&self, mut refaults: u64) -> f64 {
        let free: f64 = (0u32..).zip(&self.open).map(|(gap, pages)| f64::from(gap) * *pages as f64).sum();
        let mut saved = free;
        for (gap, pages) in self.ended.iter().enumerate().rev() {
            let some = refaults.min(*pages);
            saved += gap as f64 * some as f64;
            refaults -= some;
        }
        saved
    }

    /// The same of a policy that acts at one age from the beginning on: the one that is best in hindsight.
    pub(crate) fn of_best_age(&self, refaults: u64) -> f64 {
        let mut back = 0;
        let mut age = self.ended.len() - 1;
        while age > 0 && back + self.ended[age] <= refaults {
            back += self.ended[age];
            age -= 1;
        }
        let after = |gaps: &[u64]| -> f64 {
            gaps.iter().enumerate().skip(age + 1).map(|(gap, pages)| (gap - age) as f64 * *pages as f64).sum()
        };
        after(&self.ended) + after(&self.open)
    }
}
