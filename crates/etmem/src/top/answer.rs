//! `task show --json` as types. A field that an older daemon does not have is as if it were 0 or unknown.

use serde::Deserialize;

/// A task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Task {
    pub(super) project: String,
    pub(super) engine: String,
    pub(super) task: String,
    pub(super) state: String,
    pub(super) dry_run: bool,
    pub(super) reason: Option<Reason>,
    pub(super) running_seconds: f64,
    pub(super) total: Figures,
    pub(super) last_cycle: Option<LastCycle>,
}

/// Why not more was done.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reason {
    pub(super) text: String,
}

/// The last cycle that is over.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct LastCycle {
    #[serde(flatten)]
    pub(super) figures: Figures,
    pub(super) processes: Vec<Process>,
    pub(super) groups: Vec<Group>,
}

/// A process of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) name: Option<String>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) swapped_bytes: Option<u64>,
    pub(super) reason: Option<Reason>,
    pub(super) figures: Figures,
    pub(super) feedback: Option<Feedback>,
}

/// A control group of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Group {
    pub(super) group: String,
    pub(super) reason: Option<Reason>,
    pub(super) figures: Figures,
}

/// The figures that are shown.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Figures {
    pub(super) scanned_bytes: u64,
    pub(super) hot_bytes: u64,
    pub(super) cold_bytes: u64,
    pub(super) out_bytes: u64,
    pub(super) saved_bytes: u64,
    pub(super) cpu_seconds: f64,
}

/// What refaults say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Feedback {
    pub(super) back_off: String,
    pub(super) came_back_percent_per_minute: f64,
    pub(super) max_refault_percent_per_minute: Option<f64>,
    pub(super) working_set_bytes: u64,
    pub(super) out_bytes: u64,
}

/// The tasks of an answer, an object on each line.
pub(super) fn tasks(text: &str) -> Result<Vec<Task>, serde_json::Error> {
    text.lines().filter(|line| !line.is_empty()).map(serde_json::from_str).collect()
}
