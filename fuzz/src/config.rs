//! What holds for configuration files of either form.

use crate::choice::Choice;
use crate::{message, pace};
use etmem_config::{
    ConfigError, ConfigFile, CslideEngine, DamonEngine, EngineKind, MemdcdTask, ProjectSection, PsiTask,
    Scan, TaskParameters,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// A name that has to be escaped in messages.
const PATH: &str = "f\n.conf";
const PATH_SHOWN: &str = "f\\n.conf:";

/// More warnings than this are counted, not made.
const WARNINGS_MOST: usize = 51;

/// One input in so many is written in other ways as well.
const REWRITTEN_ONE_IN: u16 = 4;

/// One input in so many is repeated to see how the time grows.
const REPEATED_ONE_IN: u16 = 128;

/// What reading a file gives.
pub(crate) type Read = Result<ConfigFile, ConfigError>;

/// The path of every file.
pub(crate) fn path() -> &'static Path {
    Path::new(PATH)
}

/// Panics if `read` does not do with `text` as it should, and returns what it gives.
pub(crate) fn check(text: &str, read: impl Fn(&str) -> Read) -> Read {
    let result = read(text);
    check_messages(&result);
    let mut choice = Choice::from_input(text.as_bytes());
    if choice.below(REWRITTEN_ONE_IN) == 0 {
        check_other_writings(text, &result, &read);
    }
    if choice.below(REPEATED_ONE_IN) == 0 {
        pace::check_repeated(text, |text| check_messages(&read(text)));
    }
    if let Ok(file) = &result {
        check_bounds(file);
    }
    result
}

/// Every message is a line that begins with the file.
fn check_messages(result: &Read) {
    let said: Vec<String> = match result {
        Ok(file) => file.warnings.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
    assert!(said.len() <= WARNINGS_MOST, "{} warnings", said.len());
    for line in said {
        message::check_line(&line);
        assert!(line.starts_with(PATH_SHOWN), "{line}");
    }
}

/// The same file from another editor gives the same: its lines end otherwise, or comments stand in empty lines.
fn check_other_writings(text: &str, result: &Read, read: impl Fn(&str) -> Read) {
    let same = |one: &Read, other: &Read| match (one, other) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (one, other) => {
            let said = |read: &Read| read.as_ref().map_err(ToString::to_string).err();
            assert_eq!(said(one), said(other));
        }
    };
    same(&read(&text.replace('\n', "\r\n")), result);
    same(&read(&format!("# comment\n\t#\n{text}\n#")), &read(&format!("\n\n{text}\n")));
}

/// No value of an accepted file is out of its bounds.
fn check_bounds(file: &ConfigFile) {
    let objects = file.projects.len() + file.engines.len() + file.tasks.len();
    assert_ne!(objects, 0, "an accepted file has something for etmemd");
    file.projects.iter().for_each(check_project);
    for engine in &file.engines {
        let thirdparty = matches!(engine.kind, EngineKind::Thirdparty(_));
        let builtin =
            ["slide", "cslide", "thirdparty", "damon", "psi", "memdcd"].contains(&engine.name.as_str());
        assert_ne!(thirdparty, builtin, "{engine:?}");
        match &engine.kind {
            EngineKind::Cslide(engine) => check_cslide_engine(engine),
            EngineKind::Damon(engine) => check_damon_engine(engine),
            EngineKind::Thirdparty(engine) => {
                assert!(engine.library.is_absolute() && !engine.operations.is_empty(), "{engine:?}");
                check_keys(&engine.keys);
            }
            EngineKind::Slide | EngineKind::Psi | EngineKind::Memdcd => {}
        }
    }
    for task in &file.tasks {
        match &task.parameters {
            TaskParameters::Slide(slide) => {
                assert!(slide.threshold <= 360 && slide.max_threads >= 1, "{slide:?}");
                assert!(
                    slide.dram_percent.is_none_or(|percent| (1..=100).contains(&percent.get())),
                    "{slide:?}"
                );
            }
            TaskParameters::Psi(psi) => check_psi_task(psi),
            TaskParameters::Other(task) => {
                assert!(task.max_threads >= 1);
                check_keys(&task.keys);
            }
            TaskParameters::Memdcd(MemdcdTask { socket }) => {
                let text = format!("{socket:?}");
                assert!(text.len() > "Path(\"\")".len(), "{text}");
            }
            TaskParameters::Cslide(_) | TaskParameters::Damon => {}
        }
    }
}

fn check_project(project: &ProjectSection) {
    let seconds = |duration: Duration| {
        assert!((1..=1200).contains(&duration.as_secs()) && duration.subsec_nanos() == 0, "{project:?}");
    };
    match &project.scan {
        Scan::Page(page) => {
            assert!((1..=120).contains(&page.loops), "{project:?}");
            seconds(page.interval);
            seconds(page.sleep);
        }
        Scan::Region(region) => {
            assert!(region.min_regions >= 3 && region.min_regions < region.max_regions, "{project:?}");
            for interval in [region.sample_interval, region.aggregation_interval, region.update_interval] {
                assert!(!interval.is_zero(), "{project:?}");
            }
        }
        Scan::Psi(psi) => seconds(psi.interval),
    }
    if let Some(watermarks) = project.swapcache_watermarks {
        let (low, high) = (watermarks.low.get(), watermarks.high.get());
        assert!(1 <= low && low < high && high <= 100, "{project:?}");
    }
    assert!(project.sysmem_threshold.is_none_or(|percent| percent.get() <= 100), "{project:?}");
}

fn check_cslide_engine(engine: &CslideEngine) {
    let nodes = engine.node_pairs.iter().flat_map(|pair| [pair.first, pair.second]);
    let once: BTreeSet<u32> = nodes.collect();
    assert!(!once.is_empty() && once.len() == 2 * engine.node_pairs.len(), "{engine:?}");
}

fn check_damon_engine(engine: &DamonEngine) {
    assert!(engine.min_size <= engine.max_size, "{engine:?}");
    assert!(engine.min_accesses <= engine.max_accesses, "{engine:?}");
    assert!(engine.min_age <= engine.max_age, "{engine:?}");
}

fn check_psi_task(task: &PsiTask) {
    assert!((0.0..=100.0).contains(&task.pressure_percent), "{task:?}");
    let [least, rate, most] = [task.reclaim_rate_min, task.reclaim_rate, task.reclaim_rate_max];
    let [least, rate, most] = [least.get(), rate.get(), most.get()];
    assert!(0.0 <= least && least <= rate && rate <= most && most <= 1.0, "{task:?}");
    assert!(!task.cgroups.is_empty() && task.cgroups.split('/').all(|part| part != ".."), "{task:?}");
}

/// What a plugin gets to read: each key once.
fn check_keys(keys: &[(String, String)]) {
    let once: BTreeSet<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
    assert!(once.len() == keys.len() && !once.contains(""), "{keys:?}");
}
