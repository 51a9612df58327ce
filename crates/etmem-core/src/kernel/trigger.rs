//! Triggers: events of the machine that begin the next cycle of a task early.
//!
//! A worker arms the triggers of its project before the first cycle and waits on them between two cycles. What cannot be watched
//! is an outcome with a reason, the timer goes on, and it is tried again.

use super::pacer::Pacer;
use std::fmt;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;

/// What may begin the next cycle. Its text is how a configuration file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Programs wait for memory (PSI) for at least `stall` within `window`.
    Pressure {
        /// Which waits count.
        stalled: Stalled,
        /// How long they have to wait.
        stall: Duration,
        /// Within which time: a multiple of 2 s, for which the kernel asks for no right.
        window: Duration,
        /// In which control group; in the whole machine, if none.
        group: Option<GroupPath>,
    },
    /// The memory of a control group rises to this number of bytes or above.
    Usage {
        /// The group.
        group: GroupPath,
        /// The threshold.
        bytes: u64,
    },
    /// A control group exceeds its `memory.high`.
    High {
        /// The group.
        group: GroupPath,
    },
    /// Less than this share of the machine's memory is free (`MemFree`), in percent.
    Free {
        /// The share.
        below_percent: u8,
    },
}

/// Which programs wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stalled {
    /// At least one.
    Some,
    /// All that have something to do.
    Full,
}

impl Stalled {
    /// Its word in the kernel's files and in ours.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Some => "some",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pressure { stalled, stall, window, group } => {
                write!(f, "pressure {} {}/{}", stalled.word(), Written(*stall), Written(*window))?;
                group.as_ref().map_or(Ok(()), |group| write!(f, " {group}"))
            }
            Self::Usage { group, bytes } => write!(f, "usage {group} {}", Size(*bytes)),
            Self::High { group } => write!(f, "high {group}"),
            Self::Free { below_percent } => write!(f, "free {below_percent}%"),
        }
    }
}

/// A time as files have it.
struct Written(Duration);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        if milliseconds.is_multiple_of(1000) {
            write!(f, "{}s", milliseconds / 1000)
        } else {
            write!(f, "{milliseconds}ms")
        }
    }
}

/// A number of bytes as files have it, in the largest unit of which it is a whole number.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
        let whole = |(unit, _): &(u64, _)| self.0.is_multiple_of(*unit);
        let (unit, word) = units.into_iter().find(whole).unwrap_or((1, ""));
        write!(f, "{}{word}", self.0 / unit)
    }
}

/// The path of a control group below the folder where control groups are mounted; `/` is the root group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPath(Box<str>);

impl GroupPath {
    /// The path `text`, with or without a `/` before it; `None` if it has `.` or `..`, an empty part or a control character.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let path = text.strip_prefix('/').unwrap_or(text);
        if path.is_empty() {
            return (text == "/").then(|| Self("".into()));
        }
        let parts = Path::new(path).components();
        let clean = parts.clone().all(|part| matches!(part, Component::Normal(_)))
            && parts.as_path().as_os_str() == path
            && !path.contains("//")
            && !path.contains("/./")
            && !path.contains(char::is_control);
        clean.then(|| Self(path.into()))
    }

    /// The path, without a `/` before it: empty for the root group.
    #[must_use]
    pub fn relative(&self) -> &Path {
        Path::new(&*self.0)
    }
}

impl fmt::Display for GroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Woken {
    /// A stop was asked for.
    Stop,
    /// The longest wait is over.
    Timer,
    /// Whether a trigger can be watched is other than before: [`TriggerWait::faults`]. The next call goes on with the same wait.
    Changed,
    /// A trigger fired.
    Fired(Fired),
}

/// A trigger that fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// Its place among the triggers that are waited on.
    pub place: usize,
    /// What the kernel says, such as `usage is 530 MiB`.
    pub evidence: String,
}

/// Waits on triggers, the timer and a stop.
pub trait TriggerWait: fmt::Debug + Send {
    /// Waits for `limit` at most, by the clock of `pacer`. A threshold that was crossed since the last wait ended ends this one at
    /// once; pressure and `memory.high` count from now on, as the cycle itself may cause them.
    fn wait(&mut self, limit: Duration, pacer: &dyn Pacer) -> Woken;

    /// Ends waits from another thread, after `pacer` was asked to stop.
    fn interrupt(&self) -> Arc<dyn Interrupt>;

    /// Why each trigger cannot be watched, in their order.
    fn faults(&self) -> Vec<Option<String>>;
}

/// Ends a wait.
pub trait Interrupt: fmt::Debug + Send + Sync {
    /// The wait that lasts, or the next one, ends at once.
    fn interrupt(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_below_the_mount() {
        for (text, want) in [
            ("/", Some("/")),
            ("a", Some("a")),
            ("/a.slice/b.service", Some("a.slice/b.service")),
            ("a.slice/b.service", Some("a.slice/b.service")),
            ("", None),
            ("//", None),
            ("..", None),
            ("a/../b", None),
            ("./a", None),
            ("a/./b", None),
            ("a//b", None),
            ("a/", None),
            ("a\tb", None),
        ] {
            assert_eq!(GroupPath::new(text).map(|group| group.to_string()).as_deref(), want, "{text:?}");
        }
    }
}
