//! The text of a configuration file of etmem 1.0.

use crate::config;
use etmem_config::{ConfigFile, parse, parse_older};
use etmem_core::name::Name;
use etmem_engine::keys;
use std::collections::BTreeSet;

/// Panics if a file with these bytes is not read as it should be.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let project = Name::new("test").expect("a name");
    if let Ok(file) = config::check(&text, |text| parse_older(config::path(), text, &project, &keys())) {
        check_project(&text, &file, &project);
        assert!(parse(config::path(), &text, &keys()).is_err(), "a file is in one form or the other");
    }
}

/// One project of the given name, with a task for each `policies:`, and within what the project allows.
fn check_project(text: &str, file: &ConfigFile, project: &Name) {
    let [only] = &file.projects[..] else { panic!("a file holds one project: {:?}", file.projects) };
    let scan = only.page.as_ref().expect("its memory is looked at by pages");
    assert_eq!(&only.name, project);
    let [slide] = &file.engines[..] else { panic!("its engine is slide: {:?}", file.engines) };
    assert_eq!((slide.name.as_str(), &slide.project), ("slide", project));

    let is_policy = |line: &str| line.split_once(':').is_some_and(|(key, _)| key.trim_ascii() == "policies");
    let policies = (1..).zip(text.lines()).filter(|(_, line)| is_policy(line)).map(|(number, _)| number);
    assert_eq!(file.tasks.iter().map(|task| task.line).collect::<Vec<_>>(), policies.collect::<Vec<usize>>());
    let names: BTreeSet<&Name> = file.tasks.iter().map(|task| &task.name).collect();
    assert_eq!(names.len(), file.tasks.len(), "a name is given twice: {:?}", file.tasks);
    for task in &file.tasks {
        assert_eq!((&task.project, &task.engine), (project, &slide.name));
        let threshold = task.written.each_key_once().into_iter().find(|(key, _)| key == "T").expect("T");
        assert!(
            (1..=3 * scan.loops).contains(&threshold.1.parse().expect("a number")),
            "{task:?} with {scan:?}"
        );
    }
}
