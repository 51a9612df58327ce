//! The keys of a request line.

/// A key of a request line. Every request has all six, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, derive_more::Display)]
pub enum Key {
    /// `proj_name`, a project's name.
    #[display("proj_name")]
    Project,
    /// `file_name`, a configuration file's path.
    #[display("file_name")]
    File,
    /// `cmd`, the number of what is asked.
    #[display("cmd")]
    Command,
    /// `eng_name`, an engine's name.
    #[display("eng_name")]
    Engine,
    /// `eng_cmd`, an engine's own command.
    #[display("eng_cmd")]
    EngineCommand,
    /// `task_name`, a task's name.
    #[display("task_name")]
    Task,
}

impl Key {
    /// The six keys in the order of the line.
    pub(crate) const ALL: [Self; 6] =
        [Self::Project, Self::File, Self::Command, Self::Engine, Self::EngineCommand, Self::Task];
}
