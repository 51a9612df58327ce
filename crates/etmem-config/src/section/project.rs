//! `[project]`: how memory is looked at, and how often.

use super::{Source, listed, scan_types};
use crate::error::{ConfigError, Order, Rule};
use crate::keys;
use crate::kind::{Keys, Kinds, ScanType};
use crate::listing::ListedProject;
use crate::reader::Reader;
use crate::triggers::triggers;
use crate::values::{Percent, Watermarks, name, pause, within, yes_or_no};
use crate::warning::Warnings;
use crate::written::WrittenGroup;
use etmem_core::kernel::trigger::Trigger;
use etmem_core::name::Name;
use std::time::Duration;

pub(crate) const GROUP: &str = "project";

/// A `[project]` group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectSection {
    /// The line it begins on, from 1.
    pub line: usize,
    /// The project's name.
    pub name: Name,
    /// How its engines look at memory: the word of `scan_type`.
    pub scan_type: &'static str,
    /// What goes with `scan_type=page`.
    pub page: Option<PageScan>,
    /// Act only while less than this share of the machine's memory is free; always, if none.
    pub sysmem_threshold: Option<Percent>,
    /// Between which bounds to keep the swap cache; leave it alone, if none.
    pub swapcache_watermarks: Option<Watermarks>,
    /// What begins the next cycle early.
    pub triggers: Vec<Trigger>,
    /// Whether the daemon starts it where it adds the file when it starts itself.
    pub autostart: bool,
    /// All that was written.
    pub written: WrittenGroup,
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

/// `scan_type=page`: page by page.
pub static PAGE: ScanType = ScanType { name: "page", keys: Keys::of(PAGE_KEYS) };

/// `scan_type=none`: not at all, for engines that go by other things.
pub static WITHOUT_SCAN: ScanType = ScanType { name: "none", keys: Keys::of(&[&INTERVAL]) };

keys! { pub KEYS;
    NAME: Name = needed("name", name).help("The project's name.").example("db");
    // Its words are those of the kinds of engines.
    SCAN_TYPE: Box<str> = or("scan_type", "page", |text| Ok(text.into()))
        .help("How memory is looked at. The engines say which of these they need.").example("page");
    SYSMEM_THRESHOLD: Option<Percent> = optional("sysmem_threshold", |text| Percent::read(text, 0).map(Some)).unit("%")
        .help("Act only while less than this share of the machine's memory is free. Absent: always.").example("50");
    SWAPCACHE_LOW: Option<Percent> = optional("swapcache_low_wmark", |text| Percent::read(text, 1).map(Some)).unit("%")
        .help("The swap cache is reclaimed until it is below this share of memory. Needs `swapcache_high_wmark`, and is below it.")
        .example("3");
    SWAPCACHE_HIGH: Option<Percent> = optional("swapcache_high_wmark", |text| Percent::read(text, 1).map(Some)).unit("%")
        .help("Above this share of memory the swap cache is reclaimed, where openEuler's module etmem_swap is loaded. Needs \
               `swapcache_low_wmark`.").example("5");
    TRIGGER: Vec<Trigger> = optional("trigger", triggers).ours("0.1.0")
        .help("What begins the next cycle early: `sleep` or `interval` is then the longest wait. `pressure`: programs of the machine, or \
               of the control group GROUP, wait for memory for STALL within WINDOW (PSI). `usage`: the memory of GROUP rises to SIZE. \
               `high`: GROUP exceeds its `memory.high`. `free`: less than PERCENT of memory is free. Several are separated by commas. \
               GROUP is a path below the mount of control groups.").example("pressure some 150ms/2s");
    AUTOSTART: bool = or("autostart", "yes", yes_or_no).ours("0.2.0")
        .help("Whether etmemd starts the project when it finds the file in the folder that `--config-dir` names. `no`: it is added only.                `etmem obj add` starts nothing in either case.").example("no");
}

keys! { pub PAGE_KEYS;
    LOOP: u16 = needed("loop", |text| within(text, 1, 120)).unit("scans").help("Scans in one cycle.").example("3");
    INTERVAL: Duration = needed("interval", pause).unit("s")
        .help("Time between two scans of a cycle. With `ms`, milliseconds from `10ms` (ours).").example("1");
    SLEEP: Duration = needed("sleep", pause).unit("s")
        .help("Time between two cycles. With `ms`, milliseconds from `10ms` (ours).").example("5");
}

/// Reads of `group` of the file at `path` by what the project is found, and nothing else.
pub(crate) fn list(Source { path, group, tables }: Source<'_>) -> Result<ListedProject, ConfigError> {
    let name = Reader::new(path, group, &tables.project).get(&NAME)?;
    Ok(ListedProject { line: group.line, name })
}

/// Reads `group` of the file at `path`.
pub(crate) fn read(source: Source<'_>, warnings: &mut Warnings<'_>) -> Result<ProjectSection, ConfigError> {
    let Source { path, group, tables } = source;
    let reader = Reader::new(path, group, &tables.project);
    let name = reader.get(&NAME)?;
    let scan = scan_type(&reader, tables.kinds)?;
    reader.check(scan.keys.rows)?;
    (scan.keys.agree)(&reader)?;
    let page = (scan.name == PAGE.name).then(|| {
        Ok::<_, ConfigError>(PageScan {
            loops: reader.get(&LOOP)?,
            interval: reader.get(&INTERVAL)?,
            sleep: reader.get(&SLEEP)?,
        })
    });
    let section = ProjectSection {
        line: group.line,
        name,
        scan_type: scan.name,
        page: page.transpose()?,
        sysmem_threshold: reader.get(&SYSMEM_THRESHOLD)?,
        swapcache_watermarks: watermarks(&reader)?,
        triggers: reader.get(&TRIGGER)?,
        autostart: reader.get(&AUTOSTART)?,
        written: group.clone(),
    };
    reader.warn(scan.keys.rows, warnings);
    Ok(section)
}

fn scan_type(reader: &Reader<'_>, kinds: Kinds<'_>) -> Result<&'static ScanType, ConfigError> {
    let (word, types) = (reader.get(&SCAN_TYPE)?, scan_types(kinds));
    types.iter().copied().find(|known| known.name == &*word).ok_or_else(|| {
        let words: Vec<&'static str> = types.iter().map(|known| known.name).collect();
        reader.refuse(SCAN_TYPE.name(), Rule::OneOf(listed(&words, "or")))
    })
}

fn watermarks(reader: &Reader<'_>) -> Result<Option<Watermarks>, ConfigError> {
    let (low_name, high_name) = (SWAPCACHE_LOW.name(), SWAPCACHE_HIGH.name());
    match (reader.get(&SWAPCACHE_LOW)?, reader.get(&SWAPCACHE_HIGH)?) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(reader.refuse(low_name, Rule::Alone(high_name))),
        (None, Some(_)) => Err(reader.refuse(high_name, Rule::Alone(low_name))),
        (Some(low), Some(high)) => {
            reader.check_order_of((low_name, &low), Order::Below, (high_name, &high))?;
            Ok(Some(Watermarks { low, high }))
        }
    }
}
