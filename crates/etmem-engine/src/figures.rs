//! The figures of cycles, one row each: from the rows come the typed fields, their sums, their names and labels, the JSON,
//! and the table in `docs/json.md`.
//!
//! A new figure is its row and the place in an engine that counts it. `tests/reasons` fails for one that nothing counts.

use serde::{Serialize, Serializer};
use std::time::Duration;

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
pub enum Kind {
    /// Adds up, over processes and over cycles.
    Counter,
    /// Of one cycle only: the largest of its processes.
    Gauge,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of memory.
    Bytes,
    /// Things.
    Count,
    /// A time.
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
    pub kind: Kind,
    /// When the text has it.
    pub shown: Shown,
}

/// How much of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Bytes.
    Bytes(u64),
    /// A number of things.
    Count(u64),
    /// A time.
    Time(Duration),
}

impl Amount {
    /// Whether it is nothing.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        match self {
            Self::Bytes(amount) | Self::Count(amount) => *amount == 0,
            Self::Time(time) => time.is_zero(),
        }
    }
}

/// A field of [`Figures`]; a gauge is an option.
trait Value: Copy {
    fn add(&mut self, other: Self);
    fn is_absent(&self) -> bool;
    /// What a sum of cycles starts from.
    fn of_all_cycles(self) -> Self;
    fn amount(self, unit: Unit) -> Option<Amount>;
}

impl Value for u64 {
    fn add(&mut self, other: Self) {
        *self = self.saturating_add(other);
    }

    fn is_absent(&self) -> bool {
        false
    }

    fn of_all_cycles(self) -> Self {
        self
    }

    fn amount(self, unit: Unit) -> Option<Amount> {
        Some(if unit == Unit::Bytes { Amount::Bytes(self) } else { Amount::Count(self) })
    }
}

impl Value for Seconds {
    fn add(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }

    fn is_absent(&self) -> bool {
        false
    }

    fn of_all_cycles(self) -> Self {
        self
    }

    fn amount(self, _: Unit) -> Option<Amount> {
        Some(Amount::Time(self.0))
    }
}

impl<V: Value + Ord> Value for Option<V> {
    fn add(&mut self, other: Self) {
        *self = (*self).max(other);
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn of_all_cycles(self) -> Self {
        None
    }

    fn amount(self, unit: Unit) -> Option<Amount> {
        self?.amount(unit)
    }
}

macro_rules! value {
    (Counter Time) => { Seconds };
    (Counter $unit:ident) => { u64 };
    (Gauge $unit:ident) => { Option<value!(Counter $unit)> };
}

macro_rules! figures {
    ($($field:ident: $kind:ident $unit:ident, $name:literal, $label:literal, $shown:ident, $help:literal;)*) => {
        /// What was done to how much memory: in one process, in one cycle, or in all.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        pub struct Figures {
            $(
                #[doc = $help]
                #[serde(rename = $name, skip_serializing_if = "Value::is_absent")]
                pub $field: value!($kind $unit),
            )*
        }

        impl Figures {
            /// Every figure, in the order to show them.
            pub const ROWS: &[Row] = &[$(Row {
                name: $name,
                label: $label,
                help: $help,
                unit: Unit::$unit,
                kind: Kind::$kind,
                shown: Shown::$shown,
            },)*];

            /// Adds those of another process of the same cycle.
            pub fn add(&mut self, other: &Self) {
                $(Value::add(&mut self.$field, other.$field);)*
            }

            /// Those that add up over cycles.
            #[must_use]
            pub fn of_all_cycles(self) -> Self {
                Self { $($field: self.$field.of_all_cycles(),)* }
            }

            /// How much each row of [`Figures::ROWS`] is; none while it is not known.
            #[must_use]
            pub fn amounts(&self) -> Vec<Option<Amount>> {
                vec![$(self.$field.amount(Unit::$unit),)*]
            }
        }
    };
}

figures! {
    processes: Counter Count, "found", "processes found", Always,
        "processes that the task names; in sums, each is counted again in each cycle";
    looked_at: Counter Count, "looked_at", "of them looked at", Always,
        "of them, those whose pages were looked at";
    scanned: Counter Bytes, "scanned_bytes", "scanned", Always,
        "in memory, of what was looked at";
    hot: Counter Bytes, "hot_bytes", "hot", Always,
        "of these, what is in use and is to stay";
    cold: Counter Bytes, "cold_bytes", "cold", Always,
        "of these, what was to be moved";
    moved: Counter Bytes, "moved_bytes", "moved out", Always,
        "taken out of memory by the kernel";
    refaulted: Counter Bytes, "came_back_bytes", "came back", Always,
        "paged out before, and refaulted since";
    freed: Counter Bytes, "freed_bytes", "freed", NonZero,
        "cold, and freed by the kernel instead of moved out, as the process had allowed (`MADV_FREE`)";
    left_alone: Counter Bytes, "left_alone_bytes", "left alone, came back before", NonZero,
        "not moved, as they were refaulted before";
    moved_up: Counter Bytes, "moved_up_bytes", "moved to fast nodes", NonZero,
        "moved to fast NUMA nodes";
    moved_down: Counter Bytes, "moved_down_bytes", "moved to slow nodes", NonZero,
        "moved to slow NUMA nodes";
    not_carried: Counter Count, "skipped_pages", "pages not moved between nodes", NonZero,
        "pages that were to move to another NUMA node and did not";
    would_move: Counter Bytes, "would_move_bytes", "would move (dry run)", NonZero,
        "that a dry run would have given to the kernel";
    touched: Counter Bytes, "skipped_touched_bytes", "touched meanwhile", NonZero,
        "cold, and touched again before they could be moved";
    later: Counter Bytes, "skipped_later_bytes", "left for later", NonZero,
        "cold, and left for later cycles by `max_rate`";
    stayed: Counter Bytes, "skipped_stayed_bytes", "shared, pinned or in use", NonZero,
        "accepted by the kernel, and still in memory: shared with a forked process, pinned, or in use";
    kept: Counter Bytes, "skipped_kept_bytes", "left alone, stayed before", NonZero,
        "not tried, as the kernel kept it in memory again and again";
    locked: Counter Bytes, "skipped_locked_bytes", "locked, not looked at", NonZero,
        "not looked at, as they are locked in memory";
    vanished: Counter Bytes, "skipped_vanished_bytes", "unmapped meanwhile", NonZero,
        "cold, and unmapped before they could be moved";
    refused: Counter Bytes, "skipped_refused_bytes", "cannot be paged out", NonZero,
        "cold, and of a kind that cannot be paged out, such as locked memory";
    no_room: Counter Bytes, "skipped_no_room_bytes", "no room, or held back", NonZero,
        "cold, and kept because swap has no room, a limit does not allow it, or too much was refaulted";
    processor_time: Counter Time, "cpu_seconds", "processor time", NonZero,
        "processor time of all threads of the task, including the kernel's part";
    took: Gauge Time, "took_seconds", "took", Always,
        "from the start of the cycle to its end";
    window: Gauge Time, "window_seconds", "touches seen over", Always,
        "the time over which touches were seen, from the clearing of accessed bits to the last look: the longest of all processes";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_unit() {
        for Row { name, unit, .. } in Figures::ROWS {
            let of_name = match name.rsplit_once('_') {
                Some((_, "bytes")) => Unit::Bytes,
                Some((_, "seconds")) => Unit::Time,
                Some(_) | None => Unit::Count,
            };
            assert_eq!(of_name, *unit, "{name}");
        }
    }

    #[test]
    fn counters_add_up_and_gauges_are_the_largest_of_a_cycle() {
        let seconds = |seconds| Seconds(Duration::from_secs(seconds));
        let one =
            Figures { moved: 3, processor_time: seconds(1), window: Some(seconds(5)), ..Figures::default() };
        let other = Figures { moved: u64::MAX, window: Some(seconds(2)), ..one };
        let mut sum = one;
        sum.add(&other);
        let expected = Figures {
            moved: u64::MAX,
            processor_time: seconds(2),
            window: Some(seconds(5)),
            ..Figures::default()
        };
        assert_eq!(sum, expected);
        assert_eq!(sum.of_all_cycles(), Figures { window: None, ..expected });
    }

    #[test]
    fn a_time_has_three_decimals() {
        let time = Seconds(Duration::from_micros(12_499));
        assert_eq!(serde_json::to_string(&time).unwrap(), "0.012");
    }
}
