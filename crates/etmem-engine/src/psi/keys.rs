//! The keys of a psi task and of its project.

use etmem_config::error::{ConfigError, Rule};
use etmem_config::section::project::INTERVAL;
use etmem_config::values::{Percent, at_least, decimal_or_none, rate, within, yes_or_no};
use etmem_config::{KeyError, Keys, ProjectSection, Reader, ScanType, keys};
use etmem_core::kernel::groups::{GroupPattern, Swappiness};
use etmem_core::kernel::process::Target;
use etmem_core::throttle::Rate;
use std::time::Duration;

/// `scan_type=psi`: not at all, as how long programs wait for memory says enough.
pub(crate) static SCAN: ScanType = ScanType { name: "psi", keys: Keys::of(&[&INTERVAL]) };

keys! { pub(super) TASK;
    CG_DIR: GroupPattern = needed("cg_dir", cgroups)
        .help("The control groups: a path or glob below the root of the cgroup file system. `*`, `?` and `[a-z]` stand for \
               characters other than `/`, `{a,b}` for either, `**` for any groups, `/` for the root. They are looked for again in \
               each round.").example("system.slice/*.service");
    PRESSURE: f64 = or("pressure", "0.1", above_zero).unit("% of time")
        .help("A round in which programs of a group wait for memory for this share of the time, or more, reclaims nothing of it. \
               What counts is the larger of the shares of 10 and of 60 s.").example("0.1");
    RECLAIM_RATE: f64 = or("reclaim_rate", "0.05", above_zero)
        .help("Share of the bytes above the floor that is reclaimed in a round, to begin with. After five rounds in a row that \
               reclaimed, it rises by 0.01; after two in which programs waited or too much was refaulted, it falls by 0.01.")
        .example("0.05");
    RECLAIM_RATE_MIN: f64 = or("reclaim_rate_min", "0.01", above_zero).help("Least that the rate falls to.").example("0.01");
    RECLAIM_RATE_MAX: f64 = or("reclaim_rate_max", "0.5", above_zero)
        .help("Most that the rate rises to. Above 1 acts as 1.").example("0.5");
    LIMIT_MIN_BYTES: u64 = or("limit_min_bytes", "0", |text| at_least(text, 0)).unit("bytes")
        .help("Always left, beside what cannot be reclaimed.").example("0");
    LIMIT_MIN_RATIO: f64 = or("limit_min_ratio", "0.1", above_zero)
        .help("Share of the group's limit (`memory.max` or `memory.high`) that is always left.").example("0.1");
    RECLAIM_MAX_BYTES: u64 = or("reclaim_max_bytes", "1073741824", |text| at_least(text, 0)).unit("bytes")
        .help("Most that is reclaimed of a group in a round.").example("1073741824");
    IO_PRESSURE: Option<f64> = or("io_pressure", "0.1", |text| decimal_or_none(text, 0.0, 100.0)).ours("0.1.0").unit("% of time")
        .help("The same as `pressure` of waiting for input and output (`io.pressure`).").example("0.1");
    MAX_REFAULT: Option<f64> = or("max_refault", "0.2", |text| decimal_or_none(text, 0.0, 100.0)).ours("0.1.0")
        .unit("% of the group's memory a minute")
        .help("How much of what was reclaimed may be refaulted. Above it less is reclaimed, or nothing. This holds where programs do \
               not wait though everything is refaulted, as with zram and zswap.").example("0.5");
    SWAPPINESS: Preference = or("swappiness", "auto", swappiness).ours("0.1.0")
        .help("Which memory leaves first: 0 is file pages only, 200 anonymous pages first, `none` as the kernel decides, `auto` by \
               the room in swap, how fast it fills, and which of both is refaulted. Linux 6.9 and later.").example("60");
    MAX_RATE: Rate = or("max_rate", "auto", rate).ours("0.1.0").unit("bytes a second")
        .help("How fast pages may leave. `auto` is a quarter of what the machine can do.").example("50m");
    MAX_SWAP_USE: Percent = or("max_swap_use", "80", |text| Percent::read(text, 1)).ours("0.1.0").unit("% of swap")
        .help("Reclaim file pages only while more of swap than this is in use.").example("80");
    DRY_RUN: bool = or("dry_run", "no", yes_or_no).ours("0.1.0")
        .help("Look and decide, but reclaim nothing. `etmem task show` reports what would be asked for.").example("yes");
}

/// `swappiness=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preference {
    /// By what is seen.
    Auto,
    /// As the kernel decides.
    Kernel,
    /// Always this.
    Fixed(Swappiness),
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

/// The groups of a task are its target, whatever its `type` and `value` say.
pub(super) fn target(reader: &Reader<'_>) -> Result<Target, ConfigError> {
    reader.get(&CG_DIR).map(Target::Groups)
}

/// A number above 0, without an upper bound, as etmem 1.x takes it.
fn above_zero(text: &str) -> Result<f64, Rule> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite());
    number.ok_or(Rule::Form("a number above 0"))
}

fn swappiness(text: &str) -> Result<Preference, Rule> {
    match text {
        "auto" => Ok(Preference::Auto),
        "none" => Ok(Preference::Kernel),
        _ => within(text, 0, Swappiness::MOST.into())
            .ok()
            .and_then(Swappiness::new)
            .map(Preference::Fixed)
            .ok_or(Rule::Form("auto, none, or 0..=200")),
    }
}

fn cgroups(text: &str) -> Result<GroupPattern, Rule> {
    GroupPattern::new(text).ok_or(Rule::Form("a path or glob below the cgroup root, without .."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_means_what_it_says() {
        let text = "[task]\nproject=a\nengine=psi\nname=t\ncg_dir=system.slice/*.service\n";
        for target in ["", "type=pid\nvalue=1\n", "type=name\nvalue=longer than any name of a process\n"] {
            let text = format!("{text}{target}");
            let task = etmem_config::parse("f".as_ref(), &text, &crate::keys()).unwrap().tasks.remove(0);
            let groups = GroupPattern::new("system.slice/*.service").unwrap();
            assert_eq!(task.target, Target::Groups(groups.clone()));
            assert_eq!(task.get(&CG_DIR).unwrap(), groups);
            let numbers = [&PRESSURE, &RECLAIM_RATE, &RECLAIM_RATE_MIN, &RECLAIM_RATE_MAX, &LIMIT_MIN_RATIO];
            assert_eq!(numbers.map(|key| task.get(key).unwrap()), [0.1, 0.05, 0.01, 0.5, 0.1]);
            assert_eq!(
                [&LIMIT_MIN_BYTES, &RECLAIM_MAX_BYTES].map(|key| task.get(key).unwrap()),
                [0, 1 << 30]
            );
            assert_eq!(task.get(&SWAPPINESS).unwrap(), Preference::Auto);
        }
    }
}
