//! What the reader of files knows of the kinds of engines: their names and their keys, handed in as data.

use crate::error::ConfigError;
use crate::key::{Key, Row};
use crate::reader::Reader;
use etmem_core::kernel::process::Target;
use etmem_core::name::Name;

/// The keys that a kind of engine, or a way to look at memory, adds to a group.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// A row for each, in the order in which they are checked.
    pub rows: &'static [&'static dyn Row],
    /// Whether their values go together.
    pub agree: fn(&Reader<'_>) -> Result<(), ConfigError>,
}

impl Keys {
    /// No key.
    pub const NONE: Self = Self::of(&[]);

    /// Keys that have nothing to do with each other.
    #[must_use]
    pub const fn of(rows: &'static [&'static dyn Row]) -> Self {
        Self { rows, agree: |_| Ok(()) }
    }
}

/// A word of `scan_type`, with the keys that it adds to `[project]`.
#[derive(Debug)]
pub struct ScanType {
    /// The word.
    pub name: &'static str,
    /// Its keys.
    pub keys: Keys,
}

/// The keys of a kind's tasks that work on the machine as a whole.
#[derive(Debug, Clone, Copy)]
pub struct MachineKeys {
    /// Such tasks in words, after "engine".
    pub of: &'static str,
    /// The tasks that do not, likewise.
    pub others: &'static str,
    /// Their keys.
    pub keys: Keys,
}

/// A kind of engine, as far as files go.
#[derive(Debug)]
pub struct KindKeys {
    /// Its name in files.
    pub name: &'static str,
    /// What it adds to `[engine]`.
    pub engine: Keys,
    /// What it adds to `[task]`.
    pub task: Keys,
    /// How a project looks at memory for it.
    pub scan: &'static ScanType,
    /// Where its policy comes from outside: the key of `[engine]` by which such an engine is named. Keys that no row of its
    /// groups has are the policy's then, and tasks of it are those whose `engine` is the name of no kind.
    pub own_name: Option<&'static Key<Name>>,
    /// What it adds to `[task]` of `type=machine` in place of `task`, where it works on the machine as a whole.
    pub machine: Option<MachineKeys>,
    /// Where a task of it names whose memory it works on by keys of its own, and needs no `type` and `value`.
    pub target: Option<TargetReader>,
}

impl KindKeys {
    /// What it adds to `[task]`, and such tasks in words, after "engine": those that work on the machine as a whole, or on processes.
    #[must_use]
    pub const fn tasks(&self, of_machine: bool) -> (&'static str, Keys) {
        match self.machine {
            Some(machine) if of_machine => (machine.of, machine.keys),
            Some(machine) => (machine.others, self.task),
            None => (self.name, self.task),
        }
    }
}

/// Reads whose memory a task works on.
pub type TargetReader = fn(&Reader<'_>) -> Result<Target, ConfigError>;

/// All kinds, in the order in which messages list them.
pub type Kinds<'a> = &'a [&'static KindKeys];

/// The kind called `name`.
pub(crate) fn named(kinds: Kinds<'_>, name: &str) -> Option<&'static KindKeys> {
    kinds.iter().copied().find(|kind| kind.name == name)
}

/// The kind of a task's engine called `name`: that of this name, or else one from outside.
pub(crate) fn of_task(kinds: Kinds<'_>, name: &str) -> Option<&'static KindKeys> {
    named(kinds, name).or_else(|| kinds.iter().copied().find(|kind| kind.own_name.is_some()))
}
