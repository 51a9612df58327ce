//! What the daemon and the process of an engine send each other.

use super::section::Written;
use etmem_config::FaultClass;
use etmem_core::kernel::process::ProcessId;
use etmem_core::name::Name;
use etmem_engine::Refusal;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A request of the daemon, with its number: 0 for one that is not answered.
pub(super) type Numbered = (u64, Request);

/// What the daemon requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// The first request: make this engine.
    Open { project: Written, engine: Written, limit: Duration },
    /// Add a task.
    Add { task: Written, limit: Duration },
    /// Start a task on these processes, by pid and start time.
    Start { task: String, processes: Vec<(u32, u64)>, limit: Duration },
    /// Stop a task. Not answered.
    Stop { task: String },
    /// Remove a task. Not answered.
    Remove { task: String },
    /// The project has started or stopped. Not answered.
    Runs { runs: bool },
    /// Close the engine. Not answered.
    Close,
    /// Wait until all requests are carried out.
    Settle { limit: Duration },
    /// Answer an engine command.
    Ask { task: Option<String>, command: String },
}

impl Request {
    pub(super) fn start(task: &Name, processes: &[ProcessId], limit: Duration) -> Self {
        let processes = processes.iter().map(|process| (process.pid.get(), process.start_time));
        Self::Start { task: task.to_string(), processes: processes.collect(), limit }
    }

    /// Whether it is answered.
    pub(super) const fn is_answered(&self) -> bool {
        !matches!(self, Self::Stop { .. } | Self::Remove { .. } | Self::Runs { .. } | Self::Close)
    }
}

/// The answer to the request with this number: done, perhaps with a text, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) number: u64,
    result: Result<Option<String>, Refused>,
}

/// A [`Refusal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    reason: String,
    is_internal: bool,
}

impl Reply {
    pub(super) fn new(number: u64, result: Result<Option<String>, Refusal>) -> Self {
        let refused =
            |Refusal { reason, class }| Refused { reason, is_internal: class == FaultClass::Internal };
        Self { number, result: result.map_err(refused) }
    }

    pub(super) fn into_result(self) -> Result<Option<String>, Refusal> {
        self.result.map_err(|Refused { reason, is_internal }| {
            let class = if is_internal { FaultClass::Internal } else { FaultClass::InvalidParameters };
            Refusal { reason, class }
        })
    }
}
