//! The text of a configuration file.

use crate::config;
use etmem_config::{ConfigFile, parse, parse_names};
use etmem_engine::keys;

/// Panics if a file with these bytes is not read as it should be.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(file) = config::check(&text, |text| parse(config::path(), text, &keys())) {
        check_groups(&text, &file);
        check_deletable(&text, &file);
    }
}

/// Every group of the text is there, in its order, at its line. A byte order mark is no part of the first line.
fn check_groups(text: &str, file: &ConfigFile) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = |group: &str| -> Vec<usize> {
        let is_group = |line: &str| line.trim_ascii() == group;
        (1..).zip(text.lines()).filter(|(_, line)| is_group(line)).map(|(number, _)| number).collect()
    };
    assert_eq!(file.projects.iter().map(|project| project.line).collect::<Vec<_>>(), lines("[project]"));
    assert_eq!(file.engines.iter().map(|engine| engine.line).collect::<Vec<_>>(), lines("[engine]"));
    assert_eq!(file.tasks.iter().map(|task| task.line).collect::<Vec<_>>(), lines("[task]"));
}

/// A file deletes just what it adds.
fn check_deletable(text: &str, file: &ConfigFile) {
    let listed = parse_names(config::path(), text, &keys()).expect("what can be added can be deleted");
    let added = file.projects.iter().map(|project| &project.name);
    assert!(listed.projects.iter().map(|project| &project.name).eq(added), "{listed:?}");
    let added = file.engines.iter().map(|engine| (&engine.project, &engine.name));
    assert!(listed.engines.iter().map(|engine| (&engine.project, &engine.name)).eq(added), "{listed:?}");
    let added = file.tasks.iter().map(|task| (&task.project, &task.engine, &task.name));
    assert!(
        listed.tasks.iter().map(|task| (&task.project, &task.engine, &task.name)).eq(added),
        "{listed:?}"
    );
}
