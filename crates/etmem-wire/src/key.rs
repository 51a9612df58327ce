//! The keys of a request line.

use std::fmt;

/// A key of a request line. Every request has all six, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// `proj_name`, a project's name.
    Project,
    /// `file_name`, a configuration file's path.
    File,
    /// `cmd`, the number of what is asked.
    Command,
    /// `eng_name`, an engine's name.
    Engine,
    /// `eng_cmd`, an engine's own command.
    EngineCommand,
    /// `task_name`, a task's name.
    Task,
}

impl Key {
    /// The six keys in the order of the line.
    pub(crate) const ALL: [Self; 6] =
        [Self::Project, Self::File, Self::Command, Self::Engine, Self::EngineCommand, Self::Task];

    /// The key as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "proj_name",
            Self::File => "file_name",
            Self::Command => "cmd",
            Self::Engine => "eng_name",
            Self::EngineCommand => "eng_cmd",
            Self::Task => "task_name",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
