//! Values that hold for ranges of addresses: a million pages that are alike cost one entry.

use std::collections::BTreeMap;
use std::ops::Range;

/// A value for some addresses, none for the others. Neighbours of the same value are one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs<V> {
    by_start: BTreeMap<u64, (u64, V)>,
}

impl<V> Default for Runs<V> {
    fn default() -> Self {
        Self { by_start: BTreeMap::new() }
    }
}

impl<V: Copy + PartialEq> Runs<V> {
    /// Whether no address has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    /// The bytes that have a value.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.by_start.iter().map(|(start, (end, _))| end - start).sum()
    }

    /// The bytes of `range` that have a value.
    #[must_use]
    pub fn bytes_in(&self, range: Range<u64>) -> u64 {
        let (mut at, mut bytes) = (range.start, 0);
        while at < range.end {
            let (next, value) = self.stretch(at, range.end);
            bytes += if value.is_some() { next - at } else { 0 };
            at = next;
        }
        bytes
    }

    /// The runs, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (Range<u64>, V)> + '_ {
        self.by_start.iter().map(|(start, (end, value))| (*start..*end, *value))
    }

    /// The value at `address`.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<V> {
        let (_, (end, value)) = self.by_start.range(..=address).next_back()?;
        (address < *end).then_some(*value)
    }

    /// The run that holds `address` or the gap around it, cut off at `end`: where it ends, and its value.
    #[must_use]
    pub fn stretch(&self, address: u64, end: u64) -> (u64, Option<V>) {
        if let Some((_, (run_end, value))) = self.by_start.range(..=address).next_back()
            && address < *run_end
        {
            return (end.min(*run_end), Some(*value));
        }
        let next = self.by_start.range(address..end).next().map_or(end, |(start, _)| *start);
        (next, None)
    }

    /// Sets `value` for all of `range`.
    pub fn set(&mut self, range: Range<u64>, value: V) {
        if range.is_empty() {
            return;
        }
        self.clear(range.clone());
        let Range { mut start, mut end } = range;
        if let Some((&before, &(before_end, before_value))) = self.by_start.range(..start).next_back()
            && before_end == start
            && before_value == value
        {
            start = before;
        }
        if let Some(&(after_end, after_value)) = self.by_start.get(&end)
            && after_value == value
        {
            self.by_start.remove(&end);
            end = after_end;
        }
        self.by_start.insert(start, (end, value));
    }

    /// Leaves no value in `range`.
    pub fn clear(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let overlapping: Vec<u64> = self
            .by_start
            .range(..range.end)
            .rev()
            .take_while(|(_, (end, _))| *end > range.start)
            .map(|(start, _)| *start)
            .collect();
        for start in overlapping {
            let Some((end, value)) = self.by_start.remove(&start) else { continue };
            if start < range.start {
                self.by_start.insert(start, (range.start, value));
            }
            if end > range.end {
                self.by_start.insert(range.end, (end, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::content::Random;

    #[test]
    fn the_same_as_a_plain_array() {
        let mut random = Random::new(1);
        for _ in 0..200 {
            let (mut runs, mut plain) = (Runs::default(), [None; 64]);
            for _ in 0..40 {
                let (start, length) = (random.below(60), random.below(20));
                let end = 64.min(start + length);
                let value = random.below(3);
                let range = start as u64..end as u64;
                if value == 0 {
                    runs.clear(range);
                    plain[start..end].fill(None);
                } else {
                    runs.set(range, value);
                    plain[start..end].fill(Some(value));
                }
                assert!((0..64).all(|at| runs.at(at as u64) == plain[at]), "{runs:?} {plain:?}");
            }
            let mut at = 0;
            while at < 64 {
                let (end, value) = runs.stretch(at as u64, 64);
                let end = usize::try_from(end).unwrap();
                assert!(end > at && plain[at..end].iter().all(|other| *other == value));
                at = end;
            }
            let list: Vec<_> = runs.iter().collect();
            assert!(list.windows(2).all(|pair| {
                pair[0].0.end < pair[1].0.start || pair[0].0.end == pair[1].0.start && pair[0].1 != pair[1].1
            }));
            assert_eq!(runs.bytes(), plain.iter().flatten().count() as u64);
            assert_eq!(runs.bytes_in(7..50), plain[7..50].iter().flatten().count() as u64);
        }
    }
}
