//! Families of what refaults say of a task, and of how they hold it back.
//!
//! Most of it is the same for all processes of a task; memory is added up over them.

use super::families::{Families, Family, Kind, Labels};
use super::{of_task, seconds};
use crate::task_show::ShownWork;
use etmem_core::feedback::BackOff;
use etmem_core::forecast::{Stage, Told};
use etmem_core::kernel::pressure::Share;
use etmem_engine::Feedback;
use std::time::Duration;

/// A family: the unit and the help, and its sample of what is known of one task.
struct Row {
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    value: fn(&[&Feedback]) -> Option<String>,
}

const ROWS: &[Row] = &[
    Row {
        name: "etmem_task_refault_ratio",
        unit: "ratio",
        help: "what was refaulted in the last minute, as a share of the working sets of the task's processes",
        value: |all| Some(ratio(all.first()?.refaults_per_minute)),
    },
    Row {
        name: "etmem_task_max_refault_ratio",
        unit: "ratio",
        help: "what may be refaulted in a minute, as a share of the working sets (max_refault, max_stall); absent if nothing bounds it",
        value: |all| Some((all.first()?.max_refault? / 100.0).to_string()),
    },
    Row {
        name: "etmem_task_stall_ratio",
        unit: "ratio",
        help: "how much of the last minute was waited for what was refaulted in it, estimated by the cost of a page; absent if that is",
        value: |all| Some(of_a_minute(all.first()?.stall?)),
    },
    Row {
        name: "etmem_task_max_stall_ratio",
        unit: "ratio",
        help: "for how much of the time may be waited for what is refaulted (max_stall); absent if nothing bounds it",
        value: |all| Some(of_a_minute(all.first()?.max_stall?)),
    },
    Row {
        name: "etmem_task_refault_cost_seconds",
        unit: "seconds",
        help: "what a page costs that is refaulted, estimated by what reads from the machine's swap took; absent where there is no swap",
        value: |all| Some(all.first()?.refault_cost?.as_secs_f64().to_string()),
    },
    Row {
        name: "etmem_task_working_set_bytes",
        unit: "bytes",
        help: "what the task's processes touched in the last two minutes, as far as cycles were counted",
        value: |all| Some(all.iter().map(|one| one.working_set).sum::<u64>().to_string()),
    },
    Row {
        name: "etmem_task_rate_bytes_per_second",
        unit: "bytes_per_second",
        help: "what may leave in a second; absent if nothing may, nothing limits it, or it is not known yet",
        value: |all| Some(all.first()?.bytes_per_second?.to_string()),
    },
    Row {
        name: "etmem_task_ability_bytes_per_second",
        unit: "bytes_per_second",
        help: "what this machine moves in a second at full speed; absent while that is not known",
        value: |all| Some(all.first()?.ability_bytes_per_second?.to_string()),
    },
    Row {
        name: "etmem_task_age_seconds",
        unit: "seconds",
        help: "pages that were idle for so long leave; absent while no age is known, and with age=none",
        value: |all| Some(seconds(told(all)?.age?)),
    },
    Row {
        name: "etmem_task_watched_seconds",
        unit: "seconds",
        help: "for how long the task has been watched for the forecast",
        value: |all| Some(seconds(told(all)?.watched)),
    },
    Row {
        name: "etmem_task_forecast_refault_ratio",
        unit: "ratio",
        help: "refaults a minute that were expected in the last ten minutes that are over, as a share of the working sets",
        value: |all| Some(ratio(told(all)?.forecast)),
    },
    Row {
        name: "etmem_task_real_refault_ratio",
        unit: "ratio",
        help: "refaults a minute that there were in the same ten minutes, as a share of the working sets",
        value: |all| Some(ratio(told(all)?.truth)),
    },
    Row {
        name: "etmem_task_may_leave_bytes",
        unit: "bytes",
        help: "what may still leave in this stage of the forecast; absent if nothing limits it",
        value: |all| match told(all)?.stage {
            Stage::Free => None,
            Stage::First(bytes) | Stage::Trial(bytes) => Some(bytes.to_string()),
        },
    },
];

/// Adds all of them.
pub(super) fn add(families: &mut Families, tasks: &[ShownWork]) {
    let known: Vec<(Labels, Vec<&Feedback>)> =
        tasks.iter().map(|task| (of_task(task), task.feedback().collect())).collect();
    for Row { name, unit, help, value } in ROWS {
        let samples = known.iter().filter_map(|(labels, all)| Some((labels.clone(), value(all)?)));
        families.add(&Family { name, kind: Kind::Gauge, unit, help }, samples);
    }
    let held = Family {
        name: "etmem_task_held_back",
        kind: Kind::Gauge,
        unit: "",
        help: "how refaults hold the task back: 1 for the way in which they do, or none, and 0 for the others",
    };
    let samples = known.iter().filter_map(|(labels, all)| Some((labels, way(all.first()?.back_off))));
    let each = samples.flat_map(|(labels, now)| {
        WAYS.map(|way| (labels.clone().and("way", way), u8::from(way == now).to_string()))
    });
    families.add(&held, each);
}

const WAYS: [&str; 4] = ["none", "slower", "trial", "paused"];

const fn way(back_off: BackOff) -> &'static str {
    match back_off {
        BackOff::None => WAYS[0],
        BackOff::Slower { .. } => WAYS[1],
        BackOff::Trial => WAYS[2],
        BackOff::Paused { .. } => WAYS[3],
    }
}

fn told<'a>(all: &[&'a Feedback]) -> Option<&'a Told> {
    all.first()?.forecast.as_ref()
}

/// What share of a minute that is.
fn of_a_minute(time: Duration) -> String {
    (time.as_secs_f64() / 60.0).to_string()
}

fn ratio(share: Share) -> String {
    (f64::from(share.hundredths()) / 10_000.0).to_string()
}
