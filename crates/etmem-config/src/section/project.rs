//! `[project]`: how memory is looked at, and how often.

use crate::error::{ConfigError, Order, Rule};
use crate::keyfile::Group;
use crate::listing::ListedProject;
use crate::setting::{Reader, needed, optional, or_default, settings};
use crate::values::{Percent, Watermarks, at_least, microseconds, name, seconds, within};
use crate::warning::Warnings;
use etmem_core::name::Name;
use std::path::Path;
use std::time::Duration;

pub(crate) const GROUP: &str = "project";

/// A `[project]` group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectSection {
    /// The line it begins on, from 1.
    pub line: usize,
    /// The project's name.
    pub name: Name,
    /// How its engines look at memory.
    pub scan: Scan,
    /// Act only while less than this share of the machine's memory is free; always, if none.
    pub sysmem_threshold: Option<Percent>,
    /// Between which bounds to keep the swap cache; leave it alone, if none.
    pub swapcache_watermarks: Option<Watermarks>,
}

/// How memory is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// Page by page.
    Page(PageScan),
    /// By DAMON's regions.
    Region(RegionScan),
    /// Not at all: how much work is held up by want of memory tells enough.
    Psi(PsiScan),
}

/// `scan_type=page`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageScan {
    /// Scans in one cycle, 1 to 120.
    pub loops: u16,
    /// From one scan of a cycle to the next.
    pub interval: Duration,
    /// From the end of one cycle to the next.
    pub sleep: Duration,
}

/// `scan_type=region`: the attributes of DAMON.
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

/// `scan_type=psi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PsiScan {
    /// From one round to the next.
    pub interval: Duration,
}

/// The words of `scan_type`.
#[derive(Debug)]
pub(crate) enum ScanType {
    Page,
    Region,
    Psi,
}

settings! {
    NAME: Name = "name", "every project", |text| needed(text, name);
    SCAN_TYPE: ScanType = "scan_type", "every project", |text| or_default(text, "page", scan_type);
    LOOP: u16 = "loop", "scan_type=page", |text| needed(text, |text| within(text, 1, 120));
    INTERVAL: Duration = "interval", "scan_type=page or psi", |text| needed(text, seconds);
    SLEEP: Duration = "sleep", "scan_type=page", |text| needed(text, seconds);
    SYSMEM_THRESHOLD: Option<Percent> = "sysmem_threshold", "every project", |text| optional(text, |text| Percent::read(text, 0));
    SWAPCACHE_HIGH: Option<Percent> = "swapcache_high_wmark", "every project", |text| optional(text, |text| Percent::read(text, 1));
    SWAPCACHE_LOW: Option<Percent> = "swapcache_low_wmark", "every project", |text| optional(text, |text| Percent::read(text, 1));
    SAMPLE_INTERVAL: Duration = "sample_interval", "scan_type=region", |text| needed(text, microseconds);
    AGGREGATION_INTERVAL: Duration = "aggr_interval", "scan_type=region", |text| needed(text, microseconds);
    UPDATE_INTERVAL: Duration = "update_interval", "scan_type=region", |text| needed(text, microseconds);
    /// The kernel needs three regions for a process: heap, mappings and stack.
    MIN_REGIONS: u64 = "min_nr_regions", "scan_type=region", |text| needed(text, |text| at_least(text, 3));
    MAX_REGIONS: u64 = "max_nr_regions", "scan_type=region", |text| needed(text, |text| at_least(text, 3));
}

fn scan_type(text: &str) -> Result<ScanType, Rule> {
    match text {
        "page" => Ok(ScanType::Page),
        "region" => Ok(ScanType::Region),
        "psi" => Ok(ScanType::Psi),
        _ => Err(Rule::Form("page, region or psi")),
    }
}

/// Reads of `group` of the file at `path` by what the project is found, and nothing else.
pub(crate) fn list(path: &Path, group: &Group<'_>) -> Result<ListedProject, ConfigError> {
    let name = Reader::new(path, group, GROUP, KEYS).get(&NAME)?;
    Ok(ListedProject { line: group.line, name })
}

/// Reads `group` of the file at `path`.
pub(crate) fn read(
    path: &Path,
    group: &Group<'_>,
    warnings: &mut Warnings<'_>,
) -> Result<ProjectSection, ConfigError> {
    let mut reader = Reader::new(path, group, GROUP, KEYS);
    let section = ProjectSection {
        line: group.line,
        name: reader.get(&NAME)?,
        scan: match reader.get(&SCAN_TYPE)? {
            ScanType::Page => Scan::Page(PageScan {
                loops: reader.get(&LOOP)?,
                interval: reader.get(&INTERVAL)?,
                sleep: reader.get(&SLEEP)?,
            }),
            ScanType::Region => Scan::Region(region_scan(&mut reader)?),
            ScanType::Psi => Scan::Psi(PsiScan { interval: reader.get(&INTERVAL)? }),
        },
        sysmem_threshold: reader.get(&SYSMEM_THRESHOLD)?,
        swapcache_watermarks: watermarks(&mut reader)?,
    };
    reader.warn(warnings);
    Ok(section)
}

fn region_scan(reader: &mut Reader<'_>) -> Result<RegionScan, ConfigError> {
    let scan = RegionScan {
        sample_interval: reader.get(&SAMPLE_INTERVAL)?,
        aggregation_interval: reader.get(&AGGREGATION_INTERVAL)?,
        update_interval: reader.get(&UPDATE_INTERVAL)?,
        min_regions: reader.get(&MIN_REGIONS)?,
        max_regions: reader.get(&MAX_REGIONS)?,
    };
    let (least, most) = (scan.min_regions, scan.max_regions);
    reader.check_order((&MIN_REGIONS, &least), Order::Below, (&MAX_REGIONS, &most))?;
    Ok(scan)
}

fn watermarks(reader: &mut Reader<'_>) -> Result<Option<Watermarks>, ConfigError> {
    match (reader.get(&SWAPCACHE_LOW)?, reader.get(&SWAPCACHE_HIGH)?) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(reader.refuse(&SWAPCACHE_LOW, Rule::Alone { other: SWAPCACHE_HIGH.key })),
        (None, Some(_)) => Err(reader.refuse(&SWAPCACHE_HIGH, Rule::Alone { other: SWAPCACHE_LOW.key })),
        (Some(low), Some(high)) => {
            reader.check_order((&SWAPCACHE_LOW, &low), Order::Below, (&SWAPCACHE_HIGH, &high))?;
            Ok(Some(Watermarks { low, high }))
        }
    }
}
