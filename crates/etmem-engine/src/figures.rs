//! The figures of cycles, one row each: from the rows come their sums, names and labels, the JSON, and the table in
//! `docs/json.md`.
//!
//! The rows here are those that engines share. An engine's own are in its folder, declared with the same macro, and named by its
//! [`Kind`](crate::Kind). A new figure is its row and the place in an engine that counts it. `tests/reasons` fails for one that
//! nothing counts.

use serde::{Serialize, Serializer};
use std::time::Duration;
use std::{fmt, ptr};

/// A time; in JSON a number of seconds with three decimals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.0.as_secs_f64() * 1000.0).round() / 1000.0)
    }
}

/// How a figure sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// Adds up, over processes and over cycles.
    Counter,
    /// Of one cycle only: the largest of its processes.
    Gauge,
    /// Of one cycle only: the sum of its processes.
    Level,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of memory.
    Bytes,
    /// Things.
    Count,
    /// A time, in nanoseconds.
    Time,
}

/// When the text of `task show` has a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Always.
    Always,
    /// Where it is not zero since the task was started: most of these never occur.
    NonZero,
}

/// What is known of a figure, whatever it amounts to.
#[derive(Debug)]
pub struct Row {
    /// Its name for programs, with its unit.
    pub name: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// What it says, in a line.
    pub help: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// How it sums.
    pub sums: Sums,
    /// When the text has it.
    pub shown: Shown,
}

/// Declares figures, one row each, and the list of all, with its visibility and name.
macro_rules! figures {
    ($visible:vis $list:ident; $($row:ident: $sums:ident $unit:ident, $name:literal, $label:literal, $shown:ident, $help:literal;)*) => {
        $(
            #[doc = $help]
            $visible static $row: $crate::figures::Row = $crate::figures::Row {
                name: $name,
                label: $label,
                help: $help,
                unit: $crate::figures::Unit::$unit,
                sums: $crate::figures::Sums::$sums,
                shown: $crate::figures::Shown::$shown,
            };
        )*

        /// All of them, in the order to show them.
        $visible static $list: &[&$crate::figures::Row] = &[$(&$row,)*];
    };
}

figures! { pub ROWS;
    FOUND: Counter Count, "found", "processes found", Always,
        "processes that the task names; in sums, each is counted again in each cycle";
    LOOKED_AT: Counter Count, "looked_at", "of them looked at", Always,
        "of them, those whose pages were looked at";
    SCANNED: Counter Bytes, "scanned_bytes", "scanned", Always,
        "in memory, of what was looked at";
    HOT: Counter Bytes, "hot_bytes", "hot", Always,
        "of these, what is in use and is to stay";
    COLD: Counter Bytes, "cold_bytes", "cold", Always,
        "of these, what was to be moved";
    MOVED: Counter Bytes, "moved_bytes", "moved out", Always,
        "taken out of memory by the kernel";
    GIVEN_BACK: Counter Bytes, "given_back_bytes", "given back when asked", NonZero,
        "given back by programs that were asked before memory was taken from them (`ask=yes`)";
    REFAULTED: Counter Bytes, "came_back_bytes", "came back", Always,
        "paged out before, and refaulted since";
    OUT: Level Bytes, "out_bytes", "still out", Always,
        "moved out before, and still out at the end of the cycle";
    SAVED: Level Bytes, "saved_bytes", "saved, net", Always,
        "of what is still out, the memory that is free for others: less what it takes compressed (zram, zswap) or in the swap cache, \
         by the average of the machine's swap";
    SECOND_COPIES: Counter Bytes, "second_copies_bytes", "second copies freed", NonZero,
        "of what is still out: what was in memory as well, in the swap cache (`SwapCached`), and was freed there";
    FREED: Counter Bytes, "freed_bytes", "freed", NonZero,
        "cold, and freed by the kernel instead of moved out, as the process had allowed (`MADV_FREE`)";
    LEFT_ALONE: Counter Bytes, "left_alone_bytes", "left alone, came back before", NonZero,
        "not moved, as they were refaulted before";
    MOVED_UP: Counter Bytes, "moved_up_bytes", "moved to fast nodes", NonZero,
        "moved to fast NUMA nodes";
    MOVED_DOWN: Counter Bytes, "moved_down_bytes", "moved to slow nodes", NonZero,
        "moved to slow NUMA nodes";
    NOT_CARRIED: Counter Count, "skipped_pages", "pages not moved between nodes", NonZero,
        "pages that were to move to another NUMA node and did not";
    WOULD_MOVE: Counter Bytes, "would_move_bytes", "would move (dry run)", NonZero,
        "that a dry run would have given to the kernel";
    TOUCHED: Counter Bytes, "skipped_touched_bytes", "touched meanwhile", NonZero,
        "cold, and touched again before they could be moved";
    LATER: Counter Bytes, "skipped_later_bytes", "left for later", NonZero,
        "cold, and left for later cycles by `max_rate`";
    STAYED: Counter Bytes, "skipped_stayed_bytes", "shared, pinned or in use", NonZero,
        "accepted by the kernel, and still in memory: shared with a forked process, pinned, or in use";
    KEPT: Counter Bytes, "skipped_kept_bytes", "left alone, stayed before", NonZero,
        "not tried, as the kernel kept it in memory again and again";
    LOCKED: Counter Bytes, "skipped_locked_bytes", "locked, not looked at", NonZero,
        "not looked at, as they are locked in memory";
    VANISHED: Counter Bytes, "skipped_vanished_bytes", "unmapped meanwhile", NonZero,
        "cold, and unmapped before they could be moved";
    REFUSED: Counter Bytes, "skipped_refused_bytes", "cannot be paged out", NonZero,
        "cold, and of a kind that cannot be paged out, such as locked memory";
    NO_ROOM: Counter Bytes, "skipped_no_room_bytes", "no room, or held back", NonZero,
        "cold, and kept because swap has no room, a limit does not allow it, or too much was refaulted";
    PROCESSOR_TIME: Counter Time, "cpu_seconds", "processor time", NonZero,
        "processor time of all threads of the task, including the kernel's part";
    TOOK: Gauge Time, "took_seconds", "took", Always,
        "from the start of the cycle to its end";
    WINDOW: Gauge Time, "window_seconds", "touches seen over", Always,
        "the time over which touches were seen, from the clearing of accessed bits to the last look: the longest of all processes";
}

/// What was done to how much memory: in one process, in one cycle, or in all.
#[derive(Clone, Default)]
pub struct Figures(Vec<(&'static Row, u64)>);

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(row, amount)| (row.name, amount))).finish()
    }
}

impl Figures {
    /// Those of `amounts`.
    #[must_use]
    pub fn of<const N: usize>(amounts: [(&'static Row, u64); N]) -> Self {
        Self(amounts.into())
    }

    /// How much `row` is; a gauge is not known before it was added.
    #[must_use]
    pub fn get(&self, row: &'static Row) -> Option<u64> {
        let found = self.0.iter().find(|(one, _)| ptr::eq(*one, row)).map(|(_, amount)| *amount);
        found.or((row.sums == Sums::Counter).then_some(0))
    }

    /// Adds `amount` to a counter or a level; a gauge is the largest of what was added.
    pub fn add(&mut self, row: &'static Row, amount: u64) {
        match self.0.iter_mut().find(|(one, _)| ptr::eq(*one, row)) {
            None => self.0.push((row, amount)),
            Some((_, largest)) if row.sums == Sums::Gauge => *largest = amount.max(*largest),
            Some((_, sum)) => *sum = sum.saturating_add(amount),
        }
    }

    /// Adds those of another process of the same cycle.
    pub fn add_all(&mut self, other: &Self) {
        for (row, amount) in &other.0 {
            self.add(row, *amount);
        }
    }

    /// Those that add up over cycles.
    #[must_use]
    pub fn counters(mut self) -> Self {
        self.0.retain(|(row, _)| row.sums == Sums::Counter);
        self
    }

    /// How much each shared figure is, and each of an engine's own that was counted, in the order to show them.
    pub fn amounts(&self) -> impl Iterator<Item = (&'static Row, Option<u64>)> {
        let own =
            self.0.iter().map(|(row, _)| *row).filter(|row| !ROWS.iter().any(|one| ptr::eq(*one, *row)));
        ROWS.iter().copied().chain(own).map(|row| (row, self.get(row)))
    }
}

impl PartialEq for Figures {
    fn eq(&self, other: &Self) -> bool {
        let amounts =
            |figures: &Self| figures.amounts().map(|(row, amount)| (row.name, amount)).collect::<Vec<_>>();
        amounts(self) == amounts(other)
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Number {
            Whole(u64),
            Time(Seconds),
        }
        serializer.collect_map(self.amounts().filter_map(|(row, amount)| {
            let amount = amount?;
            let time = row.unit == Unit::Time;
            let number = if time {
                Number::Time(Seconds(Duration::from_nanos(amount)))
            } else {
                Number::Whole(amount)
            };
            Some((row.name, number))
        }))
    }
}

/// A time as figures have it.
#[must_use]
pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    figures! { OF_ENGINE;
        OWN: Counter Count, "own", "of an engine", Always, "an engine's own";
    }

    #[test]
    fn a_name_tells_the_unit() {
        for Row { name, unit, .. } in crate::KINDS.iter().flat_map(|kind| kind.figures).chain(super::ROWS) {
            let of_name = match name.rsplit_once('_') {
                Some((_, "bytes")) => Unit::Bytes,
                Some((_, "seconds")) => Unit::Time,
                Some(_) | None => Unit::Count,
            };
            assert_eq!(of_name, *unit, "{name}");
        }
    }

    #[test]
    fn counters_add_up_levels_within_a_cycle_and_gauges_are_the_largest_of_it() {
        let one =
            Figures::of([(&MOVED, 3), (&PROCESSOR_TIME, 1_000_000_000), (&WINDOW, 5), (&OUT, 4), (&OWN, 7)]);
        let other =
            Figures::of([(&MOVED, u64::MAX), (&PROCESSOR_TIME, 1_000_000_000), (&WINDOW, 2), (&OUT, 8)]);
        let mut sum = one.clone();
        sum.add_all(&other);
        let counters = [(&MOVED, u64::MAX), (&PROCESSOR_TIME, 2_000_000_000), (&OWN, 7)];
        let mut expected = Figures::of(counters);
        assert_eq!(sum.clone().counters(), expected);
        assert_ne!(sum, expected);
        expected.add(&WINDOW, 5);
        expected.add(&OUT, 12);
        assert_eq!(sum, expected);
    }

    #[test]
    fn shared_counters_are_always_known_and_gauges_and_an_engines_own_once_added() {
        let figures = Figures::of([(&OWN, 0), (&TOOK, nanoseconds(Duration::from_micros(12_499)))]);
        assert_eq!(
            (figures.get(&MOVED), figures.get(&WINDOW), figures.get(&TOOK)),
            (Some(0), None, Some(12_499_000))
        );
        assert_eq!(
            figures.amounts().last().map(|(row, amount)| (row.name, amount)),
            Some((OF_ENGINE[0].name, Some(0)))
        );
        let json = serde_json::to_value(&figures).unwrap();
        assert_eq!(
            (&json["moved_bytes"], &json["took_seconds"], &json["own"]),
            (&0.into(), &0.012.into(), &0.into())
        );
        assert_eq!(
            (json.get("window_seconds"), Figures::default().amounts().count()),
            (None, super::ROWS.len())
        );
    }
}
