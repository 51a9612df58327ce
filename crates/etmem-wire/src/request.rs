//! What a client can ask for, and its one line on the wire.
//!
//! The wire has six numbers after `cmd`. Further requests share a number with the one that they are a form of, and
//! differ by a value that the other leaves absent. The commands of etmem 1.0 name a project; `obj` names none. A strict
//! add and its kin (ours) have a word as the engine command, which the original's daemon does not read. The same holds for `task show`
//! and `metrics` (ours), which that daemon takes for a `project show`.

use etmem_core::name::Name;

use crate::key::Key;
use crate::word::Word;

/// Most bytes of a request on the wire (the original's buffer on either side).
pub const REQUEST_MAX: usize = 512;

/// Bytes of a request whose values are all empty: six keys, the digit of `cmd` and the spaces between.
const FRAME: usize = "proj_name  file_name  cmd 0 eng_name  eng_cmd  task_name ".len();

/// The engine command of a strict add.
pub(crate) const STRICT: &str = "strict";

/// The engine commands of the other forms of an add.
pub(crate) const KEEP: &str = "keep";
pub(crate) const DIFF: &str = "diff";
pub(crate) const RELOAD: &str = "reload";

/// The engine command of a `project show` that shows more.
pub(crate) const VERBOSE: &str = "verbose";

/// The engine command of a request for metrics, by the form of its answer.
pub(crate) const METRICS: [(MetricsForm, &str); 2] =
    [(MetricsForm::OpenMetrics, "metrics"), (MetricsForm::Prometheus, "metrics-prometheus")];

/// The engine command of a `task show`, by the form of its answer.
pub(crate) const TASKS: [(TaskForm, &str); 2] = [(TaskForm::Text, "tasks"), (TaskForm::Json, "tasks-json")];

/// The engine command that stands for `form`; each form has one.
fn word_of<F: PartialEq>(words: &[(F, &'static str)], form: F) -> &'static str {
    words.iter().find(|(one, _)| *one == form).map_or("", |(_, word)| word)
}

/// The form that the engine command `word` stands for.
fn form_of<F: Copy>(words: &[(F, &'static str)], word: &[u8]) -> Option<F> {
    words.iter().find(|(_, known)| known.as_bytes() == word).map(|(form, _)| *form)
}

/// The form of an answer about tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskForm {
    /// Text for people.
    Text,
    /// A JSON object for each task, each on a line of its own.
    Json,
}

impl TaskForm {
    fn word(self) -> &'static str {
        word_of(&TASKS, self)
    }

    /// The form that this engine command stands for.
    pub(crate) fn from_word(word: &[u8]) -> Option<Self> {
        form_of(&TASKS, word)
    }
}

/// The form of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricsForm {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's older text format, which node_exporter's textfile collector reads.
    Prometheus,
}

impl MetricsForm {
    fn word(self) -> &'static str {
        word_of(&METRICS, self)
    }

    /// The form that this engine command stands for.
    pub(crate) fn from_word(word: &[u8]) -> Option<Self> {
        form_of(&METRICS, word)
    }
}

/// Path of a configuration file as the server sees it, short enough for a request (451 bytes).
pub type FilePath = Word<{ REQUEST_MAX - FRAME - "----".len() }>;

/// Path of a configuration file, short enough for a request beside the word of another form of an add (446 bytes).
pub type StrictFilePath = Word<{ REQUEST_MAX - FRAME - "---".len() - STRICT.len() }>;

/// Path of a configuration file, short enough for a request beside the longest name (388 bytes).
pub type ProjectFilePath = Word<{ REQUEST_MAX - FRAME - etmem_core::name::NAME_MAX - "---".len() }>;

/// Command of an engine, such as `showtaskpages`, short enough for a request beside three of the longest names
/// (262 bytes).
pub type CommandWord = Word<{ REQUEST_MAX - FRAME - 3 * etmem_core::name::NAME_MAX - "-".len() }>;

/// What a client asks of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// Create the projects, engines and tasks that a file lists.
    /// The file.
    ObjAdd(FilePath),
    /// The same, but only if nothing in the file would be ignored.
    /// The file.
    ObjAddStrict(StrictFilePath),
    /// The same, and keep a copy of the file in the folder that the daemon reads at its start (ours).
    /// The file.
    ObjAddKeep(StrictFilePath),
    /// Say by what a file differs from what there is (ours).
    /// The file.
    ObjDiff(StrictFilePath),
    /// Read the files of the folder again (ours).
    Reload,
    /// Delete the projects, engines and tasks that a file lists.
    /// The file.
    ObjDel(FilePath),
    /// Create a project from a file of etmem 1.0, which does not hold the project's name.
    ProjectAdd {
        /// The project.
        name: Name,
        /// The file.
        file: ProjectFilePath,
    },
    /// Delete a project with everything in it, as etmem 1.0 did.
    /// The project.
    ProjectDel(Name),
    /// Start every task of a project.
    /// The project.
    ProjectStart(Name),
    /// Stop every task of a project.
    /// The project.
    ProjectStop(Name),
    /// List tasks.
    ProjectShow {
        /// Of this project only, or of every project.
        name: Option<Name>,
        /// With how each task sees and moves pages, and why so (ours).
        verbose: bool,
    },
    /// Show what tasks of a project have done, and why not more (ours).
    TaskShow {
        /// The project.
        project: Name,
        /// This task only, or each.
        task: Option<Name>,
        /// The form of the answer.
        form: TaskForm,
    },
    /// The figures of all tasks, for monitoring (ours).
    Metrics(MetricsForm),
    /// Pass a command to an engine.
    Engine {
        /// The project that has the engine.
        project: Name,
        /// The engine.
        engine: Name,
        /// The command, which only the engine understands.
        command: CommandWord,
        /// The task it is about, if it is about one.
        task: Option<Name>,
    },
}

/// A request without its values: the number after `cmd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    ObjAdd,
    ObjDel,
    ProjectStart,
    ProjectStop,
    ProjectShow,
    Engine,
}

impl Verb {
    /// Each with the words of the command line that ask for it, by number.
    const ALL: [(Self, &'static str); 6] = [
        (Self::ObjAdd, "obj add"),
        (Self::ObjDel, "obj del"),
        (Self::ProjectStart, "project start"),
        (Self::ProjectStop, "project stop"),
        (Self::ProjectShow, "project show"),
        (Self::Engine, "engine"),
    ];

    pub(crate) fn from_number(number: i32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).map(|(verb, _)| *verb)
    }

    /// The words of the command line that ask for it.
    pub(crate) const fn words(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl Request {
    /// The line to send, without a terminator: at most [`REQUEST_MAX`] bytes, whatever the values.
    #[must_use]
    pub fn encode(&self) -> String {
        let (verb, [project, file, engine, command, task]) = match self {
            Self::ObjAdd(file) => (Verb::ObjAdd, [None, Some(file.as_str()), None, None, None]),
            Self::ObjAddStrict(file) => (Verb::ObjAdd, [None, Some(file.as_str()), None, Some(STRICT), None]),
            Self::ObjAddKeep(file) => (Verb::ObjAdd, [None, Some(file.as_str()), None, Some(KEEP), None]),
            Self::ObjDiff(file) => (Verb::ObjAdd, [None, Some(file.as_str()), None, Some(DIFF), None]),
            Self::Reload => (Verb::ObjAdd, [None, None, None, Some(RELOAD), None]),
            Self::ObjDel(file) => (Verb::ObjDel, [None, Some(file.as_str()), None, None, None]),
            Self::ProjectAdd { name, file } => {
                (Verb::ObjAdd, [Some(name.as_str()), Some(file.as_str()), None, None, None])
            }
            Self::ProjectDel(name) => (Verb::ObjDel, [Some(name.as_str()), None, None, None, None]),
            Self::ProjectStart(name) => (Verb::ProjectStart, [Some(name.as_str()), None, None, None, None]),
            Self::ProjectStop(name) => (Verb::ProjectStop, [Some(name.as_str()), None, None, None, None]),
            Self::ProjectShow { name, verbose } => {
                let name = name.as_ref().map(Name::as_str);
                (Verb::ProjectShow, [name, None, None, verbose.then_some(VERBOSE), None])
            }
            Self::TaskShow { project, task, form } => {
                let task = task.as_ref().map(Name::as_str);
                (Verb::ProjectShow, [Some(project.as_str()), None, None, Some(form.word()), task])
            }
            Self::Metrics(form) => (Verb::ProjectShow, [None, None, None, Some(form.word()), None]),
            Self::Engine { project, engine, command, task } => {
                let task = task.as_ref().map(Name::as_str);
                let (project, engine, command) = (project.as_str(), engine.as_str(), command.as_str());
                (Verb::Engine, [Some(project), None, Some(engine), Some(command), task])
            }
        };
        let number = (verb as u8).to_string();
        let values = [project, file, Some(&*number), engine, command, task];
        let pairs = Key::ALL.into_iter().zip(values);
        pairs.map(|(key, value)| format!("{key} {}", value.unwrap_or("-"))).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_values_fill_a_request() {
        let file = FilePath::new(&"f".repeat(451)).unwrap();
        assert_eq!(Request::ObjAdd(file).encode().len(), REQUEST_MAX);
        assert!(FilePath::new(&"f".repeat(452)).is_err());
        let file = StrictFilePath::new(&"f".repeat(446)).unwrap();
        assert_eq!(Request::ObjAddStrict(file).encode().len(), REQUEST_MAX);
        assert!(StrictFilePath::new(&"f".repeat(447)).is_err());
        let name = Name::new(&"n".repeat(64)).unwrap();
        let file = ProjectFilePath::new(&"f".repeat(388)).unwrap();
        assert_eq!(Request::ProjectAdd { name: name.clone(), file }.encode().len(), REQUEST_MAX);
        assert!(ProjectFilePath::new(&"f".repeat(389)).is_err());
        let command = CommandWord::new(&"c".repeat(262)).unwrap();
        let engine = |task| {
            let (project, engine, command) = (name.clone(), name.clone(), command.clone());
            Request::Engine { project, engine, command, task }.encode().len()
        };
        assert_eq!(engine(Some(name.clone())), REQUEST_MAX);
        assert_eq!(engine(None), REQUEST_MAX - 64 + "-".len());
        assert!(CommandWord::new(&"c".repeat(263)).is_err());
    }
}
