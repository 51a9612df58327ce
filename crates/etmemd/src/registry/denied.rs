//! Why a request was not carried out.

use etmem_config::{ConfigError, FaultClass, Warning};
use etmem_core::kernel::process::TargetError;
use etmem_core::name::Name;
use etmem_engine::{CommandError, EngineError, Refusal};
use etmem_wire::ErrorKind;
use std::path::Path;

/// How messages point into a file.
pub(super) fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}: ", path.display())
}

/// Why a request was not carried out: its text says why, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    /// The file.
    #[error(transparent)]
    Config(ConfigError),
    /// Something in it would be ignored, and the client asked to refuse that.
    #[error("{0}; --strict refuses it")]
    Ignored(Warning),
    /// A project of that name is there.
    #[error("{place}project {name} exists already: delete it first, or choose another name")]
    ProjectExists {
        /// The place in the file.
        place: String,
        /// The project.
        name: Name,
    },
    /// No project of that name.
    #[error("{place}there is no project {name}: add it first (etmem obj add), or see etmem project show")]
    NoSuchProject {
        /// The place in the file; empty for a command.
        place: String,
        /// The project.
        name: Name,
    },
    /// It runs.
    #[error("project {0} runs already")]
    Started(Name),
    /// It does not run.
    #[error("project {0} does not run")]
    Stopped(Name),
    /// The project has that engine.
    #[error("{place}project {project} has an engine {name} already")]
    EngineExists {
        /// The place in the file.
        place: String,
        /// The project.
        project: Name,
        /// The engine.
        name: Name,
    },
    /// The project does not have that engine.
    #[error("{place}project {project} has no engine {name}: add it first, or see etmem project show")]
    NoSuchEngine {
        /// The place in the file; empty for a command.
        place: String,
        /// The project.
        project: Name,
        /// The engine.
        name: Name,
    },
    /// The engine has that task.
    #[error("{place}engine {engine} of project {project} has a task {name} already")]
    TaskExists {
        /// The place in the file.
        place: String,
        /// The project.
        project: Name,
        /// The engine.
        engine: Name,
        /// The task.
        name: Name,
    },
    /// The engine does not have that task.
    #[error("{place}engine {engine} of project {project} has no task {name}: see etmem project show")]
    NoSuchTask {
        /// The place in the file; empty for a command.
        place: String,
        /// The project.
        project: Name,
        /// The engine.
        engine: Name,
        /// The task.
        name: Name,
    },
    /// No engine of the project has that task.
    #[error("project {project} has no task {name}: see etmem project show")]
    NoTaskOfProject {
        /// The project.
        project: Name,
        /// The task.
        name: Name,
    },
    /// The engine cannot be made, or refuses the task.
    #[error("{place}{error}")]
    Engine {
        /// The place in the file.
        place: String,
        /// What it says.
        error: EngineError,
    },
    /// A hosted engine cannot be loaded, or refuses.
    #[error("{place}{refusal}")]
    Hosted {
        /// The place in the file; empty for a command.
        place: String,
        /// What it says.
        refusal: Refusal,
    },
    /// The process that a task names cannot be a target.
    #[error("{place}[task] value={value}: {error}")]
    Target {
        /// The place in the file.
        place: String,
        /// The value as written.
        value: String,
        /// What it says.
        error: TargetError,
    },
    /// There would be too many threads, as each task has one.
    #[error(
        "{wanted} tasks are to start and {running} run; at most {most} run at once: stop others, or start fewer"
    )]
    TooMany {
        /// How many are to start.
        wanted: usize,
        /// How many run.
        running: usize,
        /// The most.
        most: usize,
    },
    /// An engine command needs a project that runs.
    #[error("project {0} does not run: start it first (etmem project start)")]
    NotRunning(Name),
    /// The engine has no task that works.
    #[error("engine {engine} of project {project} has no task")]
    NoTask {
        /// The project.
        project: Name,
        /// The engine.
        engine: Name,
    },
    /// The engine refused the command.
    #[error(transparent)]
    Command(CommandError),
    /// A project can only be made again by a file that lists all of it.
    #[error(
        "{place}project {project} would have to be made again, and the file does not list its {missing}: list all of it in \
         one file, or delete and add it (etmem obj del, etmem obj add)"
    )]
    InPieces {
        /// The place in the file.
        place: String,
        /// The project.
        project: Name,
        /// What is not listed.
        missing: String,
    },
    /// Another file of the folder lists it.
    #[error("{place}{object} is listed by {other} already")]
    Twice {
        /// The place in the file.
        place: String,
        /// What is listed twice.
        object: String,
        /// The first of the two files.
        other: String,
    },
    /// The daemon has no folder of files.
    #[error("etmemd keeps no files: start it with --config-dir DIR")]
    NoFolder,
    /// A file of the folder cannot be read or written.
    #[error("{path}: {reason}")]
    Folder {
        /// The file, or the folder.
        path: String,
        /// What the system says, and what to do.
        reason: String,
    },
    /// The machine lacks something.
    #[error("{0}")]
    Machine(String),
}

impl Denied {
    /// The refusal of a command by a hosted engine.
    pub(crate) fn unplaced(refusal: Refusal) -> Self {
        Self::Hosted { place: String::new(), refusal }
    }

    /// Which of the original's answers this is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(error) => class_kind(error.class()),
            Self::Engine { error, .. } => class_kind(error.class()),
            Self::Hosted { refusal, .. } => class_kind(refusal.class),
            Self::ProjectExists { .. } => ErrorKind::ProjectExists,
            Self::NoSuchProject { .. } => ErrorKind::NoSuchProject,
            Self::Started(_) => ErrorKind::ProjectStarted,
            Self::Stopped(_) => ErrorKind::ProjectStopped,
            Self::EngineExists { .. } => ErrorKind::EngineExists,
            Self::NoSuchEngine { .. } => ErrorKind::NoSuchEngine,
            Self::TaskExists { .. } => ErrorKind::TaskExists,
            Self::NoSuchTask { .. } | Self::NoTaskOfProject { .. } => ErrorKind::NoSuchTask,
            Self::Ignored(_)
            | Self::Target { .. }
            | Self::NotRunning(_)
            | Self::NoTask { .. }
            | Self::Command(_)
            | Self::InPieces { .. }
            | Self::Twice { .. }
            | Self::NoFolder
            | Self::Folder { .. } => ErrorKind::InvalidParameters,
            Self::TooMany { .. } | Self::Machine(_) => ErrorKind::Internal,
        }
    }
}

const fn class_kind(class: FaultClass) -> ErrorKind {
    match class {
        FaultClass::InvalidParameters => ErrorKind::InvalidParameters,
        FaultClass::Internal => ErrorKind::Internal,
    }
}
