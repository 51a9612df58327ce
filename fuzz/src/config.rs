//! What holds for configuration files of either form.

use crate::choice::Choice;
use crate::{message, pace};
use etmem_config::key::Row;
use etmem_config::{ConfigError, ConfigFile, KindKeys, ProjectSection, WrittenGroup};
use etmem_core::kernel::process::Target;
use std::collections::BTreeSet;
use std::path::Path;

/// A name that has to be escaped in messages.
const PATH: &str = "f\n.conf";
const PATH_SHOWN: &str = "f\\n.conf:";

/// More warnings than this are counted, not made.
const WARNINGS_MOST: usize = 51;

/// One input in this number is written in other ways as well.
const REWRITTEN_ONE_IN: u16 = 4;

/// One input in this number is repeated to see how the time grows.
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
    let kinds = etmem_engine::keys();
    for engine in &file.engines {
        let kind = kinds.iter().find(|kind| kind.name == engine.kind).expect("an engine is of a kind");
        let of_a_kind = kinds.iter().any(|kind| kind.name == engine.name.as_str());
        assert_ne!(kind.own_name.is_some(), of_a_kind, "{engine:?}");
        check_rows(&engine.written, kind.engine.rows);
    }
    for task in &file.tasks {
        let named = |kind: &&&KindKeys| kind.name == task.engine.as_str();
        let kind = kinds.iter().find(named).or_else(|| kinds.iter().find(|kind| kind.own_name.is_some()));
        let of_machine = task.target == Target::Machine;
        check_rows(&task.written, kind.map_or(&[], |kind| kind.tasks(of_machine).1.rows));
    }
}

/// Every key of a kind is well, and every key is there once for those who read all of them.
fn check_rows(written: &WrittenGroup, rows: &[&dyn Row]) {
    let pairs = written.each_key_once();
    let once: BTreeSet<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    assert!(once.len() == pairs.len() && !once.contains(""), "{pairs:?}");
    for row in rows {
        let value = pairs.iter().find(|(key, _)| key == row.about().name).map(|(_, value)| value.as_str());
        assert_eq!(row.check(value), Ok(()), "{written:?}");
    }
}

fn check_project(project: &ProjectSection) {
    if let Some(page) = &project.page {
        assert!((1..=120).contains(&page.loops), "{project:?}");
        for pause in [page.interval, page.sleep] {
            assert!((10..=1_200_000).contains(&pause.as_millis()), "{project:?}");
        }
    }
    if let Some(watermarks) = project.swapcache_watermarks {
        let (low, high) = (watermarks.low.get(), watermarks.high.get());
        assert!(1 <= low && low < high && high <= 100, "{project:?}");
    }
    assert!(project.sysmem_threshold.is_none_or(|percent| percent.get() <= 100), "{project:?}");
}
