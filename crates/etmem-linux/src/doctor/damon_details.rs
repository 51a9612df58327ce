//! What there is to know of DAMON besides who has it: the kernel's own users, and what its schemes can do.

use super::text::{line_of, numbered};
use crate::root::SysRoot;
use std::path::{Path, PathBuf};

/// Users of DAMON in the kernel, each a module with a switch, and the counters of regions that they tried.
const KERNEL_USERS: [(&str, &[&str]); 3] = [
    ("damon_reclaim", &["nr_reclaim_tried_regions"]),
    ("damon_lru_sort", &["nr_lru_sort_tried_hot_regions", "nr_lru_sort_tried_cold_regions"]),
    ("damon_stat", &[]),
];

/// What a context or its scheme can do, by the file that is there where the kernel can. None of them is there before a
/// program has set DAMON up.
const FEATURES: [(&str, &str); 7] = [
    ("avail_operations", "what it can watch"),
    ("schemes/0/tried_regions", "lists of regions"),
    ("schemes/0/apply_interval_us", "apply intervals"),
    ("schemes/0/filters", "filters"),
    ("schemes/0/quotas/goals", "quota goals"),
    ("schemes/0/target_nid", "migration to a node"),
    ("monitoring_attrs/intervals/intervals_goal", "tuning of intervals"),
];

/// A line for each of the kernel's own users that there is, and one for the features that show.
pub(super) fn details(sys: &SysRoot) -> Vec<String> {
    let mut details: Vec<String> =
        KERNEL_USERS.iter().filter_map(|(module, counters)| user(sys, module, counters)).collect();
    details.extend(features(&sys.damon().join("kdamonds")));
    details
}

/// Whether `module` is on, and whether it does anything.
fn user(sys: &SysRoot, module: &str, counters: &[&str]) -> Option<String> {
    let parameter = |name: &str| line_of(&sys.file(&format!("module/{module}/parameters/{name}")));
    let is_on = ["Y", "1"].contains(&parameter("enabled")?.as_str());
    let tried: Option<Vec<u64>> = counters.iter().map(|name| parameter(name)?.parse().ok()).collect();
    let tried = tried.filter(|tried| !tried.is_empty()).map(|tried| tried.iter().sum::<u64>());
    Some(match (is_on, tried) {
        (false, _) => format!("{module}: off"),
        (true, None) => format!("{module}: on"),
        (true, Some(0)) => {
            format!("{module}: on, and has tried no region yet; on Linux 6.11 to 6.16 it never does")
        }
        (true, Some(tried)) => format!("{module}: on, has tried {tried} regions"),
    })
}

/// The features that the files of a context show, if any context is set up.
fn features(kdamonds: &Path) -> Option<String> {
    let contexts = |(_, kdamond): (u32, PathBuf)| numbered(&kdamond.join("contexts"), "");
    let contexts: Vec<PathBuf> =
        numbered(kdamonds, "").into_iter().flat_map(contexts).map(|(_, path)| path).collect();
    let shows = |file: &str| contexts.iter().any(|context| context.join(file).exists());
    let found: Vec<&str> =
        FEATURES.iter().filter(|(file, _)| shows(file)).map(|(_, feature)| *feature).collect();
    (!found.is_empty()).then(|| format!("its files show: {}", found.join(", ")))
}
