//! The text of a configuration file.

use crate::choice::Choice;
use crate::{message, pace};
use etmem_config::{
    ConfigError, ConfigFile, CslideEngine, DamonEngine, EngineKind, MemdcdTask, ProjectSection, PsiTask,
    Scan, TaskParameters, parse,
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

/// Panics if a file with these bytes is not read as it should be.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = read(&text);
    check_messages(&read);
    let mut choice = Choice::from_input(bytes);
    if choice.below(REWRITTEN_ONE_IN) == 0 {
        check_other_writings(&text, &read);
    }
    if let Ok(file) = &read {
        check_groups(&text, file);
        check_bounds(file);
    }
    if choice.below(REPEATED_ONE_IN) == 0 {
        pace::check_repeated(&text, |text| check_messages(&self::read(text)));
    }
}

fn read(text: &str) -> Result<ConfigFile, ConfigError> {
    parse(Path::new(PATH), text)
}

/// Every message is a line that begins with the file.
fn check_messages(read: &Result<ConfigFile, ConfigError>) {
    let said: Vec<String> = match read {
        Ok(file) => file.warnings.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
    assert!(said.len() <= WARNINGS_MOST, "{} warnings", said.len());
    for line in said {
        message::check_line(&line);
        assert!(line.starts_with(PATH_SHOWN), "{line}");
    }
}

/// The same file from another editor: its lines end otherwise, or a comment stands before it.
fn check_other_writings(text: &str, read: &Result<ConfigFile, ConfigError>) {
    const ABOVE: &str = "# comment\n\n";
    let meaning = |read: Result<ConfigFile, ConfigError>, lines_above: usize| {
        read.map(|file| without_warnings(file, lines_above)).map_err(|error| error.class())
    };
    let expected = |read: &Result<ConfigFile, ConfigError>| match read {
        Ok(file) => Ok(without_warnings(file.clone(), 0)),
        Err(error) => Err(error.class()),
    };
    assert_eq!(meaning(self::read(&text.replace('\n', "\r\n")), 0), expected(read));
    assert_eq!(meaning(self::read(&format!("{ABOVE}{text}")), ABOVE.lines().count()), expected(read));
}

/// `file` as it would be without the first lines, and without its warnings.
fn without_warnings(file: ConfigFile, lines_above: usize) -> ConfigFile {
    let mut file = ConfigFile { warnings: Vec::new(), ..file };
    file.projects.iter_mut().for_each(|section| section.line -= lines_above);
    file.engines.iter_mut().for_each(|section| section.line -= lines_above);
    file.tasks.iter_mut().for_each(|section| section.line -= lines_above);
    file
}

/// Every group of the text is there, in its order, at its line.
fn check_groups(text: &str, file: &ConfigFile) {
    let lines = |group: &str| -> Vec<usize> {
        let is_group =
            |line: &str| line.trim_matches(|character: char| character.is_ascii_whitespace()) == group;
        (1..).zip(text.lines()).filter(|(_, line)| is_group(line)).map(|(number, _)| number).collect()
    };
    assert_eq!(file.projects.iter().map(|project| project.line).collect::<Vec<_>>(), lines("[project]"));
    assert_eq!(file.engines.iter().map(|engine| engine.line).collect::<Vec<_>>(), lines("[engine]"));
    assert_eq!(file.tasks.iter().map(|task| task.line).collect::<Vec<_>>(), lines("[task]"));
}

/// No value of an accepted file is out of its bounds.
pub(crate) fn check_bounds(file: &ConfigFile) {
    assert!(!file.projects.is_empty() || !file.engines.is_empty() || !file.tasks.is_empty());
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
            TaskParameters::Other(keys) => check_keys(keys),
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
