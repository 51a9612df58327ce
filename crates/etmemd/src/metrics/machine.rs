//! Families of the machine's own counters, and of what the daemon takes itself.

use super::families::{Families, Family, Kind, Labels};
use super::seconds;
use etmem_linux::counters::{Counts, Reading, Unit, rows};
use nix::sys::resource::{UsageWho, getrusage};
use std::time::Duration;

/// Adds those of `counters`, and the processor time of this process.
pub(super) fn add(families: &mut Families, counters: &[Reading]) {
    for row in rows() {
        let unit = match row.unit {
            Unit::Bytes => "bytes",
            Unit::Percent => "ratio",
            Unit::Count => "",
        };
        let kind = match row.counts {
            Counts::Total => Kind::Counter,
            Counts::Now => Kind::Gauge,
        };
        let underscore = if unit.is_empty() { "" } else { "_" };
        let name = format!("etmem_{}{underscore}{unit}", row.name);
        let samples = counters.iter().filter(|reading| reading.row == row).map(|reading| {
            let mut labels = Labels::of(&[]);
            if let Some(level) = &reading.level {
                labels = labels.and("level", level);
            }
            if let Some(kind) = reading.kind {
                labels = labels.and("kind", kind);
            }
            (labels, number(row.unit, reading.amount))
        });
        families.add(&Family { name: &name, kind, unit, help: row.help }, samples);
    }
    let used = Family {
        name: "etmem_daemon_cpu_seconds",
        kind: Kind::Counter,
        unit: "seconds",
        help: "processor time of etmemd with all its threads, including the kernel's part",
    };
    families.add(&used, processor_time().map(|time| (Labels::of(&[]), seconds(time))));
}

fn number(unit: Unit, amount: u64) -> String {
    match unit {
        Unit::Bytes | Unit::Count => amount.to_string(),
        Unit::Percent => (f64::from(u32::try_from(amount).unwrap_or(u32::MAX)) / 100.0).to_string(),
    }
}

fn processor_time() -> Option<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let times = [usage.user_time(), usage.system_time()];
    let micros = times.iter().map(|time| time.tv_sec() * 1_000_000 + time.tv_usec()).sum::<i64>();
    u64::try_from(micros).ok().map(Duration::from_micros)
}
