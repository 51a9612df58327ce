//! What a cycle did, whatever engine ran it: for the log, for `task show`, and for the sums in [`crate::status`].

pub use crate::feedback::Feedback;
use crate::figures::{FOUND, Figures, LOOKED_AT, PROCESSOR_TIME, nanoseconds};
use crate::reason::Reason;
use etmem_core::guard::SkipReason;
use etmem_core::kernel::groups::Group;
use etmem_core::kernel::process::{Gone, ProcessError, ProcessId};
use etmem_core::plan::Ended;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

/// One cycle of a task.
#[derive(Debug, Clone, Default)]
pub struct StepReport {
    /// Each process that was found, in ascending order of pid.
    pub processes: Vec<ProcessReport>,
    /// Each control group that was found, by path, where the task works on groups as a whole.
    pub groups: Option<Vec<GroupReport>>,
    /// Each device that was found, where the task works on compressed swap.
    pub devices: Option<Vec<DeviceReport>>,
    /// Why processes, or groups, could not even be looked for.
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
        for group in self.groups.iter().flatten() {
            figures.add_all(&group.figures);
        }
        for device in self.devices.iter().flatten() {
            figures.add_all(&device.figures);
        }
        figures.add_all(&self.together);
        figures
    }

    /// How much it found to work on: devices, groups or processes.
    #[must_use]
    pub fn found(&self) -> usize {
        let devices = self.devices.as_ref().map(Vec::len);
        let groups = || self.groups.as_ref().map(Vec::len);
        devices.or_else(groups).unwrap_or(self.processes.len())
    }

    /// What it works on, for people.
    #[must_use]
    pub const fn subjects(&self) -> &'static str {
        if self.devices.is_some() {
            "zram devices that are swap"
        } else if self.groups.is_some() {
            "control groups"
        } else {
            "processes"
        }
    }

    /// Whether it found nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found() == 0
    }

    /// The figures of processes that were found by their control groups, group by group.
    #[must_use]
    pub fn by_group(&self) -> BTreeMap<&str, Figures> {
        let mut groups: BTreeMap<&str, Figures> = BTreeMap::new();
        for process in &self.processes {
            if let Some(group) = &process.group {
                let figures = groups.entry(group).or_default();
                figures.add(&FOUND, 1);
                figures.add_all(&process.figures);
            }
        }
        groups
    }
}

/// One control group in a cycle, of a task that works on groups as a whole.
#[derive(Debug, Clone)]
pub struct GroupReport {
    /// Which.
    pub group: Group,
    /// What became of it.
    pub result: GroupResult,
    /// The same in a line.
    pub text: Line,
    /// Why not more of it was reclaimed; `None` if all that was to be was.
    pub reason: Option<Reason>,
    /// What was done to how much of its memory.
    pub figures: Figures,
    /// What the log says of it.
    pub events: Vec<Event>,
}

/// One device in a cycle, of a task that works on compressed swap.
#[derive(Debug, Clone)]
pub struct DeviceReport {
    /// Which.
    pub device: Box<str>,
    /// What became of it, in a line.
    pub text: Line,
    /// Why not more was done; `None` if all that was to be was.
    pub reason: Option<Reason>,
    /// What was done to how much of it.
    pub figures: Figures,
    /// What the log says of it.
    pub events: Vec<Event>,
}

/// What became of a control group in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupResult {
    /// Memory of it was reclaimed, or would have been.
    Reclaimed,
    /// The kernel watches it, and acts itself.
    Watched,
    /// Left alone.
    Held,
    /// Gone, or the kernel refused.
    Lost,
    /// A stop came first.
    Stopped,
}

impl GroupResult {
    /// In a word, for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reclaimed => "reclaimed",
            Self::Watched => "watched",
            Self::Held => "held",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
        }
    }
}

/// One process in a cycle.
#[derive(Debug, Clone)]
pub struct ProcessReport {
    /// Which.
    pub process: ProcessId,
    /// Its control group, where the task names groups.
    pub group: Option<Arc<str>>,
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
            group: None,
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
        Self { process, group: None, result, text, reason, figures, feedback: None, events }
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
        | SkipReason::SwapFails { .. }
        | SkipReason::Pressure { .. }
        | SkipReason::GroupSwap(_)
        | SkipReason::GroupProtected(_) => Level::Warn,
        SkipReason::ByCommand
        | SkipReason::JustForked { .. }
        | SkipReason::MemoryFree { .. }
        | SkipReason::Small { .. }
        | SkipReason::SwappedEnough { .. } => Level::Info,
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
