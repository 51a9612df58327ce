//! The keys of engine damon, a DAMOS access pattern in the kernel's units and what to do where it fits, and of its project.

use crate::node_pairs::{self, NodePair, node_pairs};
use etmem_config::error::{ConfigError, Order, Rule};
use etmem_config::values::{Percent, at_least, decimal_or_none, microseconds, rate, within};
use etmem_config::{KeyError, Keys, ProjectSection, Reader, ScanType, keys};
use etmem_core::kernel::monitoring::Action;
use etmem_core::throttle::Rate;
use std::time::Duration;

/// `scan_type=region`: by DAMON's regions.
pub(crate) static SCAN: ScanType =
    ScanType { name: "region", keys: Keys { rows: PROJECT, agree: regions_in_order } };

keys! { pub(super) PROJECT;
    SAMPLE_INTERVAL: Duration = needed("sample_interval", microseconds).unit("us")
        .help("Time between two samples of a region, at most `aggr_interval`.").example("5000");
    AGGREGATION_INTERVAL: Duration = needed("aggr_interval", microseconds).unit("us")
        .help("Time over which samples are counted.").example("100000");
    UPDATE_INTERVAL: Duration = needed("update_interval", microseconds).unit("us")
        .help("Time between two looks at which mappings there are.").example("1000000");
    // The kernel needs three regions for a process: heap, mappings and stack.
    MIN_REGIONS: u64 = needed("min_nr_regions", |text| at_least(text, 3)).unit("regions")
        .help("Least number of regions.").example("10");
    MAX_REGIONS: u64 = needed("max_nr_regions", |text| at_least(text, 3)).unit("regions")
        .help("Greatest number of regions, above `min_nr_regions`.").example("1000");
}

keys! { pub(super) ENGINE;
    MIN_SIZE: u64 = needed("min_size", |text| at_least(text, 0)).unit("bytes").help("Least size of a region.").example("4096");
    MAX_SIZE: u64 = needed("max_size", |text| at_least(text, 0)).unit("bytes")
        .help("Greatest size of a region.").example("1099511627776");
    MIN_ACCESSES: u32 = needed("min_acc", |text| within(text, 0, u32::MAX.into())).unit("accesses")
        .help("Least number of accesses in an aggregation interval.").example("0");
    MAX_ACCESSES: u32 = needed("max_acc", |text| within(text, 0, u32::MAX.into())).unit("accesses")
        .help("Greatest number of accesses in an aggregation interval.").example("0");
    MIN_AGE: u32 = needed("min_age", |text| within(text, 0, u32::MAX.into())).unit("aggregation intervals").help("Least age.").example("100");
    MAX_AGE: u32 = needed("max_age", |text| within(text, 0, u32::MAX.into())).unit("aggregation intervals")
        .help("Greatest age.").example("100000");
    ACTION: Action = needed("action", action)
        .help("What the kernel does with such a region. `stat` only counts it, for `etmem engine showregions`. `migrate_hot` and \
               `migrate_cold` (ours) move it to another NUMA node: Linux 6.11, tasks with `type=cgroup`, and `node_pair`.").example("pageout");
    NODE_PAIR: Vec<NodePair> = optional(node_pairs::NAME, node_pairs).ours("0.1.0")
        .help("Needed by `action=migrate_hot`, which moves memory from the slow node of each pair to the fast one, and by \
               `action=migrate_cold`, which moves it from the fast one to the slow one; not for other actions. Where the hardware shows \
               which node is slow, the order does not matter; else it is slow,fast.").example("1,0");
    MAX_RATE: Option<u64> = or("max_rate", "none", max_rate).ours("0.1.0").unit("bytes a second")
        .help("Most that the action is applied to.").example("50m");
    MAX_CPU: Option<Percent> = optional("max_cpu", |text| Percent::read(text, 1).map(Some)).ours("0.1.0")
        .unit("% of a processor").help("Most time that the kernel spends on the action. Absent: no limit.").example("5");
    MAX_REFAULT: Option<f64> = or("max_refault", "0.2", |text| decimal_or_none(text, 0.0, 100.0)).ours("0.1.0")
        .unit("% of what is in memory a minute")
        .help("With `action=pageout`: how much may be refaulted, by the counters of the processes. Above it nothing is paged out \
               for a while.").example("0.5");
    MAX_SWAP_USE: Percent = or("max_swap_use", "80", |text| Percent::read(text, 1)).ours("0.1.0").unit("% of swap")
        .help("With `action=pageout`: page out nothing while more of swap than this is in use.").example("80");
    MAX_PRESSURE: Option<f64> = or("max_pressure", "20", |text| decimal_or_none(text, 0.0, 100.0)).ours("0.1.0")
        .unit("% of the last 10 s")
        .help("With `action=pageout`, `migrate_hot` and `migrate_cold`: move nothing while programs wait for memory for more than this \
               share of the time.")
        .example("20");
}

/// What goes with `scan_type=region`: the attributes of DAMON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionScan {
    /// Between two looks at a region.
    pub sample_interval: Duration,
    /// Over which looks are counted.
    pub aggregation_interval: Duration,
    /// Between two looks at which mappings there are.
    pub update_interval: Duration,
    /// Least number of regions, at least 3.
    pub min_regions: u64,
    /// Greatest number of regions, above `min_regions`.
    pub max_regions: u64,
}

impl RegionScan {
    /// That of `project`.
    ///
    /// # Errors
    /// It has another `scan_type`.
    pub fn new(project: &ProjectSection) -> Result<Self, KeyError> {
        let written = &project.written;
        Ok(Self {
            sample_interval: written.get(&SAMPLE_INTERVAL)?,
            aggregation_interval: written.get(&AGGREGATION_INTERVAL)?,
            update_interval: written.get(&UPDATE_INTERVAL)?,
            min_regions: written.get(&MIN_REGIONS)?,
            max_regions: written.get(&MAX_REGIONS)?,
        })
    }
}

/// The kernel's own rules (`damon_set_attrs`), of which it says no more than "invalid argument".
fn regions_in_order(reader: &Reader<'_>) -> Result<(), ConfigError> {
    let (sample, aggregation) = (reader.get(&SAMPLE_INTERVAL)?, reader.get(&AGGREGATION_INTERVAL)?);
    let named = (AGGREGATION_INTERVAL.name(), &aggregation.as_micros());
    reader.check_order_of((SAMPLE_INTERVAL.name(), &sample.as_micros()), Order::AtMost, named)?;
    reader.check_order(&MIN_REGIONS, Order::Below, &MAX_REGIONS)
}

pub(super) fn bounds_in_order(reader: &Reader<'_>) -> Result<(), ConfigError> {
    reader.check_order(&MIN_SIZE, Order::AtMost, &MAX_SIZE)?;
    reader.check_order(&MIN_ACCESSES, Order::AtMost, &MAX_ACCESSES)?;
    reader.check_order(&MIN_AGE, Order::AtMost, &MAX_AGE)?;
    let action = reader.get(&ACTION)?;
    match (action.migrates(), reader.get(&NODE_PAIR)?.is_empty()) {
        (true, true) => Err(reader.missing_for(NODE_PAIR.name(), format!("action={action}"))),
        (false, false) => {
            let with = "action=migrate_hot or action=migrate_cold";
            Err(reader.refuse(NODE_PAIR.name(), Rule::OnlyWith { with, instead: format!("action={action}") }))
        }
        (_, _) => Ok(()),
    }
}

/// Reads a word of the kernel's `enum damos_action`.
fn action(text: &str) -> Result<Action, Rule> {
    let known = Action::ALL.into_iter().find(|action| action.word() == text);
    known
        .ok_or(Rule::Form("willneed, cold, pageout, hugepage, nohugepage, stat, migrate_hot or migrate_cold"))
}

/// Reads `none`, or digits and then `k`, `m` or `g`.
fn max_rate(text: &str) -> Result<Option<u64>, Rule> {
    const FORM: Rule = Rule::Form(
        "none, or digits (at least 1) and then k, m or g, at most 10 characters, for example 50m for 50 MiB a second",
    );
    match rate(text) {
        Ok(Rate::BytesPerSecond(bytes)) => Ok(Some(bytes)),
        Ok(Rate::Unlimited) => Ok(None),
        Ok(Rate::SharePercent(_)) | Err(_) => Err(FORM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_means_what_it_says() {
        let text = "[engine]\nproject=a\nname=damon\nmin_size=4096\nmax_size=8192\nmin_acc=0\nmax_acc=5\nmin_age=1\n\
                    max_age=9\naction=pageout\n";
        let engine = etmem_config::parse("f".as_ref(), text, &crate::keys()).unwrap().engines.remove(0);
        let numbers = [&MIN_ACCESSES, &MAX_ACCESSES, &MIN_AGE, &MAX_AGE];
        assert_eq!([&MIN_SIZE, &MAX_SIZE].map(|key| engine.get(key).unwrap()), [4096, 8192]);
        assert_eq!(numbers.map(|key| engine.get(key).unwrap()), [0, 5, 1, 9]);
        assert_eq!(engine.get(&ACTION).unwrap(), Action::PageOut);
    }
}
