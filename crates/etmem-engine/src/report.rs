//! What a cycle did, whatever engine ran it: for the log, for `task show`, and for the sums in [`crate::status`].

use crate::figures::{FOUND, Figures, LOOKED_AT, PROCESSOR_TIME, nanoseconds};
use crate::reason::Reason;
use etmem_core::feedback::BackOff;
use etmem_core::guard::SkipReason;
use etmem_core::kernel::pressure::Share;
use etmem_core::kernel::process::{Gone, ProcessError, ProcessId};
use etmem_core::plan::Ended;
use serde::{Serialize, Serializer};
use std::any::Any;
use std::fmt;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

/// One cycle of a task.
#[derive(Debug, Clone, Default)]
pub struct StepReport {
    /// Each process that was found, in ascending order of pid.
    pub processes: Vec<ProcessReport>,
    /// Why processes could not even be looked for.
    pub fault: Option<ProcessError>,
    /// Why there are none any more, where the task means a process that has ended.
    pub gone: Option<Gone>,
    /// What the log says of the task as a whole.
    pub events: Vec<Event>,
    /// A stop came before it was this task's turn.
    pub stopped: bool,
    /// Processor time that the cycle took, of all its threads.
    pub processor_time: Duration,
    /// What was done for its processes together.
    pub together: Figures,
}

impl StepReport {
    /// The figures of all its processes together.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::of([(&PROCESSOR_TIME, nanoseconds(self.processor_time))]);
        for process in &self.processes {
            figures.add(&FOUND, 1);
            figures.add(&LOOKED_AT, u64::from(matches!(process.result, ProcessResult::WorkedOn(_))));
            figures.add_all(&process.figures);
        }
        figures.add_all(&self.together);
        figures
    }
}

/// One process in a cycle.
#[derive(Debug, Clone)]
pub struct ProcessReport {
    /// Which.
    pub process: ProcessId,
    /// What became of it.
    pub result: ProcessResult,
    /// The same in a line, made of the engine's own report where it worked on the process.
    pub text: Line,
    /// Why not more of it was moved; `None` if all that was cold was.
    pub reason: Option<Reason>,
    /// What was done to how much of its memory.
    pub figures: Figures,
    /// How the task is held back by refaults, where the engine heeds them.
    pub feedback: Option<Feedback>,
    /// What the log says of it.
    pub events: Vec<Event>,
}

impl ProcessReport {
    /// Of a process that no engine worked on.
    #[must_use]
    pub fn new(process: ProcessId, result: ProcessResult) -> Self {
        let text = Line::new(result.clone());
        let event = match &result {
            ProcessResult::Skipped(reason) => {
                let key = format!("{:?}", discriminant(reason));
                let of_task = reason.is_of_machine();
                let event = Event::once(skip_level(*reason), key, text.clone());
                Event { repeated: Some(Level::Debug), of_task, ..event }
            }
            ProcessResult::Elsewhere(_) => Event::always(Level::Debug, text.clone()),
            // The call may name the process; what the kernel answers is the same for all, as without a module.
            ProcessResult::Lost(ProcessError::Refused { call, reason }) => {
                let line = Line::new(format!("process {process}: {call}: {reason}"));
                let event = Event::once(Level::Error, reason.clone(), line);
                Event { repeated: Some(Level::Debug), of_task: true, ..event }
            }
            ProcessResult::Lost(ProcessError::Exited | ProcessError::Replaced)
            | ProcessResult::WorkedOn(_)
            | ProcessResult::Stopped => Event::always(Level::Info, text.clone()),
        };
        Self {
            process,
            reason: result.reason(),
            result,
            text,
            figures: Figures::default(),
            feedback: None,
            events: vec![event],
        }
    }

    /// Of a process that an engine worked on: its word for that, and its own report.
    pub(crate) fn worked_on<T: Any + fmt::Display + fmt::Debug + Send + Sync>(
        process: ProcessId,
        word: &'static str,
        own: T,
        reason: Option<Reason>,
        figures: Figures,
    ) -> Self {
        let text = Line::new(own);
        let events = vec![Event::always(Level::Info, text.clone())];
        let result = ProcessResult::WorkedOn(word);
        Self { process, result, text, reason, figures, feedback: None, events }
    }
}

/// What became of a process in a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessResult {
    /// An engine looked at it and moved what it could: the engine's word for that.
    WorkedOn(&'static str),
    /// Another task of the engine, this one, looks at it.
    Elsewhere(String),
    /// Left alone.
    Skipped(SkipReason),
    /// Gone, or the kernel refused.
    Lost(ProcessError),
    /// A stop came first.
    Stopped,
}

impl ProcessResult {
    /// In a word, for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::WorkedOn(word) => word,
            Self::Elsewhere(_) => "elsewhere",
            Self::Skipped(_) => "held",
            Self::Lost(_) => "lost",
            Self::Stopped => "stopped",
        }
    }

    fn reason(&self) -> Option<Reason> {
        match self {
            Self::WorkedOn(_) => None,
            Self::Elsewhere(task) => Some(Reason::elsewhere(task)),
            Self::Skipped(reason) => Some(reason.into()),
            Self::Lost(error) => Some(error.into()),
            Self::Stopped => Some(Reason::stopped("the task was stopped in mid-scan")),
        }
    }
}

impl fmt::Display for ProcessResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkedOn(word) => f.write_str(word),
            Self::Elsewhere(task) => write!(f, "task {task} of this engine looks at it already"),
            Self::Skipped(reason) => reason.fmt(f),
            Self::Lost(error) => error.fmt(f),
            Self::Stopped => f.write_str("stopped in mid-scan"),
        }
    }
}

/// What refaults of a process say, and how its task is held back by them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Feedback {
    /// How the task is held back.
    #[serde(serialize_with = "as_text")]
    pub back_off: BackOff,
    /// What was refaulted by all processes of the task within the last minute, as a share of their working sets.
    #[serde(rename = "came_back_percent_per_minute", serialize_with = "as_percent")]
    pub refaults_per_minute: Share,
    /// Bytes touched in the last two minutes, as far as cycles were counted.
    #[serde(rename = "working_set_bytes")]
    pub working_set: u64,
    /// Bytes that were moved out and still are.
    #[serde(rename = "out_bytes")]
    pub out: u64,
    /// Bytes a second that may leave; `None` if nothing may, nothing limits it, or it is not known yet.
    #[serde(rename = "rate_bytes_per_second")]
    pub bytes_per_second: Option<u64>,
    /// Bytes a second that this machine moves at full speed; none while it is not known.
    pub ability_bytes_per_second: Option<u64>,
}

fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_percent<S: Serializer>(share: &Share, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(f64::from(share.hundredths()) / 100.0)
}

/// How urgent a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing can be done until a person acts.
    Error,
    /// Less is done than the task asks for.
    Warn,
    /// What is done.
    Info,
    /// The rest.
    Debug,
}

/// A line for the log.
#[derive(Debug, Clone)]
pub struct Event {
    /// At which level it is written in the first of several cycles in a row.
    pub level: Level,
    /// At which in the following ones; `None` if it is not written again.
    pub repeated: Option<Level>,
    /// What it is about: an event with the same key in the cycle before, of the same process, is the same.
    pub key: String,
    /// Whether it is one fact for all processes of the task, and so one line.
    pub of_task: bool,
    /// The line.
    pub text: Line,
}

impl Event {
    /// Written in each cycle.
    #[must_use]
    pub const fn always(level: Level, text: Line) -> Self {
        Self { level, repeated: Some(level), key: String::new(), of_task: false, text }
    }

    /// Written once for as long as it comes in each cycle.
    #[must_use]
    pub fn once(level: Level, key: impl Into<String>, text: Line) -> Self {
        Self { level, repeated: None, key: key.into(), of_task: false, text }
    }
}

/// A line for people, with the value that it was made of.
#[derive(Clone)]
pub struct Line(Arc<dyn Printed>);

trait Printed: Any + fmt::Display + fmt::Debug + Send + Sync {}
impl<T: Any + fmt::Display + fmt::Debug + Send + Sync> Printed for T {}

impl Line {
    /// The line that `value` prints.
    #[must_use]
    pub fn new<T: Any + fmt::Display + fmt::Debug + Send + Sync>(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// What it was made of, if that is a `T`: an engine's tests look into the engine's own report.
    #[must_use]
    pub fn value<T: Any>(&self) -> Option<&T> {
        let value: &dyn Any = &*self.0;
        value.downcast_ref()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, f)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

const fn skip_level(reason: SkipReason) -> Level {
    match reason {
        // Nothing moves at all, on the whole machine: the operator should know at any log level.
        SkipReason::NoSwap => Level::Error,
        SkipReason::SwapFull
        | SkipReason::SwapFullMemoryFine { .. }
        | SkipReason::SwapUse { .. }
        | SkipReason::ZramLimit { .. }
        | SkipReason::Pressure { .. }
        | SkipReason::GroupSwap(_)
        | SkipReason::GroupProtected(_) => Level::Warn,
        SkipReason::MemoryFree { .. } | SkipReason::Small { .. } | SkipReason::SwappedEnough { .. } => {
            Level::Info
        }
    }
}

pub(crate) const fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// The end of an engine's line, where its cycle ended early.
pub(crate) fn write_end(f: &mut fmt::Formatter<'_>, ended: Option<&Ended>) -> fmt::Result {
    match ended {
        None => Ok(()),
        Some(Ended::Stopped) => f.write_str(", stopped"),
        Some(Ended::Process(error)) => write!(f, ", ended early: {error}"),
    }
}
