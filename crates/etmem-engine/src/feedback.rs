//! What refaults of a process say, and how its task is held back by them: one row for each field of the JSON, from which comes
//! the table in `docs/json.md` as well.

use crate::forecast::Shown;
use etmem_core::feedback::BackOff;
use etmem_core::forecast::Told;
use etmem_core::kernel::pressure::Share;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// What refaults of a process say, and how its task is held back by them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Feedback {
    /// How the task is held back.
    pub back_off: BackOff,
    /// What was refaulted by all processes of the task within the last minute, as a share of their working sets.
    pub refaults_per_minute: Share,
    /// How much of it may refault in a minute (`max_refault` and `max_stall`), in percent; none if nothing bounds it.
    pub max_refault: Option<f64>,
    /// How long was waited for what was refaulted in the last minute; absent where that is not measured.
    pub stall: Option<Duration>,
    /// How long may be waited in a minute (`max_stall`); none if nothing bounds it.
    pub max_stall: Option<Duration>,
    /// What a page costs that is refaulted; absent where that is not measured.
    pub refault_cost: Option<Duration>,
    /// Bytes touched in the last two minutes, as far as cycles were counted.
    pub working_set: u64,
    /// Bytes that were moved out and still are.
    pub out: u64,
    /// Bytes a second that may leave; `None` if nothing may, nothing limits it, or it is not known yet.
    pub bytes_per_second: Option<u64>,
    /// Bytes a second that this machine moves at full speed; none while it is not known.
    pub ability_bytes_per_second: Option<u64>,
    /// From which age on pages leave, and why; none if the task asks for no age.
    pub forecast: Option<Told>,
}

/// The value of a field.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Percent(f64),
    KnownNumber(Option<f64>),
    Number(u64),
    Known(Option<u64>),
    Forecast(Option<Shown>),
}

/// A field of the JSON.
#[derive(Debug)]
pub struct Field {
    /// Its name, with its unit.
    pub name: &'static str,
    /// Its type in JSON.
    pub kind: &'static str,
    /// What it says, in a line.
    pub help: &'static str,
    value: fn(&Feedback) -> Value,
}

/// All of them, in the order of the JSON.
pub const FIELDS: &[Field] = &[
    Field {
        name: "back_off",
        kind: "string",
        help: "how the task is held back, in words",
        value: |feedback| Value::Text(feedback.back_off.to_string()),
    },
    Field {
        name: "came_back_percent_per_minute",
        kind: "number",
        help: "what was refaulted in the last minute, in percent of the working sets of the task's processes, with two decimals",
        value: |feedback| Value::Percent(f64::from(feedback.refaults_per_minute.hundredths()) / 100.0),
    },
    Field {
        name: "max_refault_percent_per_minute",
        kind: "number or null",
        help: "what may be refaulted in a minute, in percent of the working sets (`max_refault` and `max_stall`); null if nothing bounds it",
        value: |feedback| Value::KnownNumber(feedback.max_refault.map(rounded)),
    },
    Field {
        name: "stall_ms_per_minute",
        kind: "number or null",
        help: "how long was waited for what was refaulted in the last minute, estimated by `refault_cost_us`, with three decimals; null if that is",
        value: |feedback| Value::KnownNumber(feedback.stall.map(milliseconds)),
    },
    Field {
        name: "max_stall_ms_per_minute",
        kind: "number or null",
        help: "how long may be waited in a minute (`max_stall`); null if nothing bounds it",
        value: |feedback| Value::KnownNumber(feedback.max_stall.map(milliseconds)),
    },
    Field {
        name: "refault_cost_us",
        kind: "number or null",
        help: "what a page costs that is refaulted, in microseconds, estimated by what reads from the machine's swap took, and by what is usual for such swap while few were seen; null where there is no swap, and with other engines than slide",
        value: |feedback| {
            Value::Known(feedback.refault_cost.and_then(|cost| u64::try_from(cost.as_micros()).ok()))
        },
    },
    Field {
        name: "working_set_bytes",
        kind: "number",
        help: "what was touched in the last two minutes, as far as cycles were counted",
        value: |feedback| Value::Number(feedback.working_set),
    },
    Field {
        name: "out_bytes",
        kind: "number",
        help: "what was moved out and still is out",
        value: |feedback| Value::Number(feedback.out),
    },
    Field {
        name: "rate_bytes_per_second",
        kind: "number or null",
        help: "what may leave; null if nothing may, nothing limits it, or it is not known yet",
        value: |feedback| Value::Known(feedback.bytes_per_second),
    },
    Field {
        name: "ability_bytes_per_second",
        kind: "number or null",
        help: "what this machine moves at full speed; null while that is not known",
        value: |feedback| Value::Known(feedback.ability_bytes_per_second),
    },
    Field {
        name: "forecast",
        kind: "object or null",
        help: "from which age on pages leave, and what is expected to come back, as below; the same for all processes of the task; null with `age=none`",
        value: |feedback| Value::Forecast(feedback.forecast.as_ref().map(Shown::from)),
    },
];

/// What people wrote, without what binary fractions add to it.
fn rounded(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

/// With three decimals.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl Serialize for Feedback {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(FIELDS.iter().map(|field| (field.name, (field.value)(self))))
    }
}
