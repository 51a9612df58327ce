//! The keys of a psi task and of its project.

use etmem_config::error::{ConfigError, Order, Rule};
use etmem_config::section::project::INTERVAL;
use etmem_config::values::{at_least, decimal};
use etmem_config::{KeyError, Keys, ProjectSection, Reader, ScanType, keys};
use std::time::Duration;

/// `scan_type=psi`: not at all, as how long programs wait for memory says enough.
pub(crate) static SCAN: ScanType = ScanType { name: "psi", keys: Keys::of(&[&INTERVAL]) };

keys! { pub(super) TASK;
    CG_DIR: Box<str> = needed("cg_dir", cgroups)
        .help("The control groups: a path or glob below the root of the cgroup file system.").example("system.slice/*.service");
    PRESSURE: f64 = or("pressure", "0.1", |text| decimal(text, 0.0, 100.0)).unit("% of time")
        .help("A round in which programs wait for memory for this share of the time, or more, reclaims nothing.").example("0.1");
    RECLAIM_RATE: f64 = or("reclaim_rate", "0.05", share)
        .help("Share of the reclaimable bytes that is reclaimed in a round, to begin with.").example("0.05");
    RECLAIM_RATE_MIN: f64 = or("reclaim_rate_min", "0.01", share).help("Least that the rate falls to.").example("0.01");
    RECLAIM_RATE_MAX: f64 = or("reclaim_rate_max", "0.5", share).help("Most that the rate rises to.").example("0.5");
    LIMIT_MIN_BYTES: u64 = or("limit_min_bytes", "0", |text| at_least(text, 0)).unit("bytes")
        .help("Always left, beside what cannot be reclaimed.").example("0");
    LIMIT_MIN_RATIO: f64 = or("limit_min_ratio", "0.1", share).help("Share of the group's limit that is always left.").example("0.1");
    RECLAIM_MAX_BYTES: u64 = or("reclaim_max_bytes", "1073741824", |text| at_least(text, 0)).unit("bytes")
        .help("Most that is reclaimed in a round.").example("1073741824");
}

/// What goes with `scan_type=psi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PsiScan {
    /// From one round to the next.
    pub interval: Duration,
}

impl PsiScan {
    /// That of `project`.
    ///
    /// # Errors
    /// It has another `scan_type`.
    pub fn new(project: &ProjectSection) -> Result<Self, KeyError> {
        Ok(Self { interval: project.written.get(&INTERVAL)? })
    }
}

pub(super) fn rates_in_order(reader: &Reader<'_>) -> Result<(), ConfigError> {
    reader.check_order(&RECLAIM_RATE_MIN, Order::AtMost, &RECLAIM_RATE)?;
    reader.check_order(&RECLAIM_RATE, Order::AtMost, &RECLAIM_RATE_MAX)
}

fn share(text: &str) -> Result<f64, Rule> {
    decimal(text, 0.0, 1.0)
}

fn cgroups(text: &str) -> Result<Box<str>, Rule> {
    let climbs = text.split('/').any(|part| part == "..");
    if text.is_empty() || climbs || text.contains(char::is_control) {
        Err(Rule::Form("a path or glob below the cgroup root, without .."))
    } else {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_means_what_it_says() {
        let text =
            "[task]\nproject=a\nengine=psi\nname=t\ntype=pid\nvalue=1\ncg_dir=system.slice/*.service\n";
        let task = etmem_config::parse("f".as_ref(), text, &crate::keys()).unwrap().tasks.remove(0);
        assert_eq!(&*task.get(&CG_DIR).unwrap(), "system.slice/*.service");
        let numbers = [&PRESSURE, &RECLAIM_RATE, &RECLAIM_RATE_MIN, &RECLAIM_RATE_MAX, &LIMIT_MIN_RATIO];
        assert_eq!(numbers.map(|key| task.get(key).unwrap()), [0.1, 0.05, 0.01, 0.5, 0.1]);
        assert_eq!([&LIMIT_MIN_BYTES, &RECLAIM_MAX_BYTES].map(|key| task.get(key).unwrap()), [0, 1 << 30]);
    }
}
