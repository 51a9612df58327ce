//! The oldest of many, in the order of their age, in little memory: the list of all is gone through twice. First the ages are counted;
//! then each of the oldest has its place, and is put there.

/// Ages that differ by less than a 512th count as equal.
const BITS: u32 = 9;
const CLASSES: usize = ((u64::BITS - BITS + 1) as usize) << BITS;
/// A place that is still free.
const NONE: u32 = u32::MAX;

/// The class of an age; an older one has no lower class.
fn class(age: u64) -> usize {
    let above = age.checked_ilog2().unwrap_or(0).saturating_sub(BITS);
    usize::try_from((u64::from(above) << BITS) + (age >> above)).unwrap_or(CLASSES - 1)
}

/// How many have which age.
#[derive(Debug, Clone)]
pub struct AgeCount {
    classes: Vec<u32>,
    seen: u64,
    oldest: u64,
}

impl Default for AgeCount {
    fn default() -> Self {
        Self { classes: vec![0; CLASSES], seen: 0, oldest: 0 }
    }
}

impl AgeCount {
    /// Counts one that is `age` old, in any unit.
    pub fn see(&mut self, age: u64) {
        self.seen += 1;
        self.oldest = self.oldest.max(age);
        let count = &mut self.classes[class(age)];
        *count = count.saturating_add(1);
    }

    /// How many were seen.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// The highest age that was seen.
    #[must_use]
    pub const fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Places for the oldest `most` of them.
    #[must_use]
    pub fn places(self, most: usize) -> OldestPlaces {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let (mut next, mut ends) = (self.classes, vec![0; CLASSES]);
        let mut taken = 0;
        for (next, end) in next.iter_mut().zip(&mut ends).rev() {
            let count = (*next).min(most - taken);
            *next = taken;
            taken += count;
            *end = taken;
        }
        OldestPlaces { next, ends, numbers: vec![NONE; taken as usize] }
    }
}

/// Places for the oldest, the oldest first.
#[derive(Debug, Clone)]
pub struct OldestPlaces {
    /// Of each class, the next free place, and the end of its places.
    next: Vec<u32>,
    ends: Vec<u32>,
    numbers: Vec<u32>,
}

impl OldestPlaces {
    /// Puts `number`, which is `age` old, into its place if it is among the oldest. One that was younger when ages were counted has
    /// perhaps none.
    pub fn put(&mut self, number: u32, age: u64) {
        let class = class(age);
        let next = &mut self.next[class];
        if *next < self.ends[class] {
            self.numbers[*next as usize] = number;
            *next += 1;
        }
    }

    /// The numbers, the oldest first.
    #[must_use]
    pub fn chosen(self) -> Vec<u32> {
        let mut numbers = self.numbers;
        // Places of those that are gone since ages were counted.
        numbers.retain(|number| *number != NONE);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(counted: &[u64], then: &[u64], most: usize) -> Vec<u32> {
        let mut count = AgeCount::default();
        counted.iter().for_each(|age| count.see(*age));
        assert_eq!(count.seen(), counted.len() as u64);
        assert_eq!(count.oldest(), counted.iter().copied().max().unwrap_or(0));
        let mut places = count.places(most);
        (0u32..).zip(then).for_each(|(number, age)| places.put(number, *age));
        places.chosen()
    }

    #[test]
    fn each_age_has_a_class_and_no_older_one_a_lower_class() {
        let mut before = 0;
        let edges = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        let mut ages: Vec<u64> = edges.chain([u64::MAX]).collect();
        ages.sort_unstable();
        for age in ages {
            assert!((before..CLASSES).contains(&class(age)), "{age}");
            before = class(age);
        }
        assert_eq!(class(u64::MAX), CLASSES - 1);
        assert!(class(1_000_000) < class(1_002_000), "a 512th");
    }

    #[test]
    fn what_changes_between_the_two_times_takes_no_other_place() {
        // The second is gone, the third was touched, the last is new and as old as the first.
        assert_eq!(chosen(&[90, 80, 70, 60], &[90, 5, 5, 60, 90], 3), [0]);
        assert_eq!(chosen(&[90, 80, 70, 60], &[], 3), [0u32; 0]);
        assert_eq!(chosen(&[], &[90], 3), [0u32; 0]);
    }

    proptest! {
        #[test]
        fn they_are_the_first_of_all_sorted(ages in prop::collection::vec(0u64..5000, 0..300), most in 0usize..400) {
            let chosen = chosen(&ages, &ages, most);
            prop_assert_eq!(chosen.len(), most.min(ages.len()));
            // Of ages that count as equal, any may come first.
            let mut all: Vec<usize> = ages.iter().map(|age| class(*age)).collect();
            all.sort_unstable_by(|one, other| other.cmp(one));
            let of: Vec<usize> = chosen.iter().map(|number| class(ages[*number as usize])).collect();
            prop_assert_eq!(&of[..], &all[..of.len()]);
        }
    }
}
