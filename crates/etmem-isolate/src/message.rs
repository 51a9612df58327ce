//! What the two processes say to each other, and its fields.

use crate::section;
use etmem_config::{EngineSection, FaultClass, ProjectSection, TaskSection};
use etmem_core::kernel::process::{Pid, ProcessId};
use etmem_core::name::Name;
use etmem_engine::Refusal;
use std::collections::VecDeque;
use std::time::Duration;

/// What was read is not what was to come; between two copies of one program that is a fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message is not {0}")]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// What the daemon says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// The first: make this engine.
    Open { project: ProjectSection, engine: EngineSection, limit: Duration },
    /// A task is added.
    Add { task: TaskSection, limit: Duration },
    /// A task is to start.
    Start { task: Name, processes: Vec<ProcessId>, limit: Duration },
    /// A task is to stop. Not answered; nor is what follows, but for the last two.
    Stop { task: Name },
    /// A task is taken away.
    Remove { task: Name },
    /// Whether the project runs.
    Runs { runs: bool },
    /// The engine is removed.
    Close,
    /// Wait until all is done.
    Settle { limit: Duration },
    /// An engine command.
    Ask { task: Option<Name>, command: String },
}

/// The answer to the request with this number: done, perhaps with a text, or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) number: u64,
    pub(crate) result: Result<Option<String>, Refusal>,
}

/// The fields of a message, written at the end and read from the beginning.
#[derive(Debug, Default)]
pub(crate) struct Fields(VecDeque<Vec<u8>>);

impl Fields {
    pub(crate) fn new(fields: Vec<Vec<u8>>) -> Self {
        Self(fields.into())
    }

    pub(crate) fn into_vec(self) -> Vec<Vec<u8>> {
        self.0.into()
    }

    pub(crate) fn push_text(&mut self, text: &str) {
        self.0.push_back(text.as_bytes().to_vec());
    }

    pub(crate) fn push_number(&mut self, number: u64) {
        self.0.push_back(number.to_ne_bytes().to_vec());
    }

    fn push_time(&mut self, time: Duration) {
        self.push_number(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    fn push_optional(&mut self, text: Option<&str>) {
        self.push_number(u64::from(text.is_some()));
        text.into_iter().for_each(|text| self.push_text(text));
    }

    fn take(&mut self) -> Result<Vec<u8>, Unreadable> {
        self.0.pop_front().ok_or(Unreadable("complete"))
    }

    pub(crate) fn take_text(&mut self) -> Result<String, Unreadable> {
        String::from_utf8(self.take()?).map_err(|_| Unreadable("text"))
    }

    pub(crate) fn take_number(&mut self) -> Result<u64, Unreadable> {
        let bytes = self.take()?.try_into().map_err(|_| Unreadable("a number"))?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn take_time(&mut self) -> Result<Duration, Unreadable> {
        self.take_number().map(Duration::from_micros)
    }

    fn take_name(&mut self) -> Result<Name, Unreadable> {
        Name::new(&self.take_text()?).map_err(|_| Unreadable("a name"))
    }

    fn take_optional(&mut self) -> Result<Option<String>, Unreadable> {
        Ok(if self.take_number()? == 0 { None } else { Some(self.take_text()?) })
    }
}

impl Request {
    /// Whether it is answered.
    pub(crate) const fn is_answered(&self) -> bool {
        match self {
            Self::Open { .. }
            | Self::Add { .. }
            | Self::Start { .. }
            | Self::Settle { .. }
            | Self::Ask { .. } => true,
            Self::Stop { .. } | Self::Remove { .. } | Self::Runs { .. } | Self::Close => false,
        }
    }

    /// As the request with this number.
    pub(crate) fn encode(&self, number: u64) -> Result<Vec<Vec<u8>>, Unreadable> {
        let mut fields = Fields::default();
        fields.push_number(number);
        match self {
            Self::Open { project, engine, limit } => {
                fields.push_text("open");
                fields.push_time(*limit);
                section::push_project(project, &mut fields);
                section::push_engine(engine, &mut fields);
            }
            Self::Add { task, limit } => {
                fields.push_text("add");
                fields.push_time(*limit);
                section::push_task(task, &mut fields);
            }
            Self::Start { task, processes, limit } => {
                fields.push_text("start");
                fields.push_time(*limit);
                fields.push_text(task.as_str());
                fields.push_number(processes.len() as u64);
                for process in processes {
                    fields.push_number(process.pid.get().into());
                    fields.push_number(process.start_time);
                }
            }
            Self::Stop { task } => {
                fields.push_text("stop");
                fields.push_text(task.as_str());
            }
            Self::Remove { task } => {
                fields.push_text("remove");
                fields.push_text(task.as_str());
            }
            Self::Runs { runs } => {
                fields.push_text("runs");
                fields.push_number(u64::from(*runs));
            }
            Self::Close => fields.push_text("close"),
            Self::Settle { limit } => {
                fields.push_text("settle");
                fields.push_time(*limit);
            }
            Self::Ask { task, command } => {
                fields.push_text("ask");
                fields.push_optional(task.as_ref().map(Name::as_str));
                fields.push_text(command);
            }
        }
        Ok(fields.into_vec())
    }

    /// What was encoded, with its number.
    pub(crate) fn decode(fields: Vec<Vec<u8>>) -> Result<(u64, Self), Unreadable> {
        let mut fields = Fields::new(fields);
        let number = fields.take_number()?;
        let request = match fields.take_text()?.as_str() {
            "open" => {
                let limit = fields.take_time()?;
                let project = section::take_project(&mut fields)?;
                Self::Open { project, engine: section::take_engine(&mut fields)?, limit }
            }
            "add" => {
                let limit = fields.take_time()?;
                Self::Add { task: section::take_task(&mut fields)?, limit }
            }
            "start" => {
                let (limit, task) = (fields.take_time()?, fields.take_name()?);
                let mut processes = Vec::new();
                for _ in 0..fields.take_number()? {
                    let pid = u32::try_from(fields.take_number()?).ok().and_then(Pid::new);
                    let pid = pid.ok_or(Unreadable("a process"))?;
                    processes.push(ProcessId { pid, start_time: fields.take_number()? });
                }
                Self::Start { task, processes, limit }
            }
            "stop" => Self::Stop { task: fields.take_name()? },
            "remove" => Self::Remove { task: fields.take_name()? },
            "runs" => Self::Runs { runs: fields.take_number()? != 0 },
            "close" => Self::Close,
            "settle" => Self::Settle { limit: fields.take_time()? },
            "ask" => {
                let task = fields.take_optional()?.map(|name| Name::new(&name)).transpose();
                let task = task.map_err(|_| Unreadable("a name"))?;
                Self::Ask { task, command: fields.take_text()? }
            }
            _ => return Err(Unreadable("a request")),
        };
        Ok((number, request))
    }
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<Vec<u8>> {
        let mut fields = Fields::default();
        fields.push_number(self.number);
        match &self.result {
            Ok(text) => {
                fields.push_text("done");
                fields.push_optional(text.as_deref());
            }
            Err(Refusal { reason, class: FaultClass::InvalidParameters }) => {
                fields.push_text("invalid");
                fields.push_text(reason);
            }
            Err(Refusal { reason, class: FaultClass::Internal }) => {
                fields.push_text("internal");
                fields.push_text(reason);
            }
        }
        fields.into_vec()
    }

    pub(crate) fn decode(fields: Vec<Vec<u8>>) -> Result<Self, Unreadable> {
        let mut fields = Fields::new(fields);
        let number = fields.take_number()?;
        let refused = |reason, class| Err(Refusal { reason, class });
        let result = match fields.take_text()?.as_str() {
            "done" => Ok(fields.take_optional()?),
            "invalid" => refused(fields.take_text()?, FaultClass::InvalidParameters),
            "internal" => refused(fields.take_text()?, FaultClass::Internal),
            _ => return Err(Unreadable("a reply")),
        };
        Ok(Self { number, result })
    }
}
