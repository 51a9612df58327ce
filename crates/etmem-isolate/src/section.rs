//! Sections of a configuration file on their way to another process: as the text that they were read from.
//!
//! What is typed is written out again and read by `etmem-config`, as on this side; what a plugin reads goes as it was
//! written, group by group.

use crate::message::{Fields, Unreadable};
use etmem_config::{
    EngineKind, EngineSection, ProjectSection, Scan, SiblingGroups, TaskParameters, TaskSection, WrittenGroup,
};
use std::fmt::Write;
use std::path::Path;

/// How messages call the text; a message about it is a fault of ours.
const NAME: &str = "what etmemd passed on";

/// The group that `project` was read from, as far as it means anything.
pub(crate) fn project_text(project: &ProjectSection) -> String {
    let mut text = format!("[project]\nname={}\n", project.name);
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key}={value}");
    };
    match &project.scan {
        Scan::Page(page) => {
            line("scan_type", &"page");
            line("loop", &page.loops);
            line("interval", &page.interval.as_secs());
            line("sleep", &page.sleep.as_secs());
        }
        Scan::Region(region) => {
            line("scan_type", &"region");
            line("sample_interval", &region.sample_interval.as_micros());
            line("aggr_interval", &region.aggregation_interval.as_micros());
            line("update_interval", &region.update_interval.as_micros());
            line("min_nr_regions", &region.min_regions);
            line("max_nr_regions", &region.max_regions);
        }
        Scan::Psi(psi) => {
            line("scan_type", &"psi");
            line("interval", &psi.interval.as_secs());
        }
    }
    if let Some(threshold) = project.sysmem_threshold {
        line("sysmem_threshold", &threshold.get());
    }
    if let Some(watermarks) = project.swapcache_watermarks {
        line("swapcache_high_wmark", &watermarks.high.get());
        line("swapcache_low_wmark", &watermarks.low.get());
    }
    text
}

/// The project of `text`.
pub(crate) fn read_project(text: &str) -> Result<ProjectSection, Unreadable> {
    read(text)?.projects.pop().ok_or(Unreadable("a project"))
}

/// Writes what an engine of a plugin was read from.
pub(crate) fn push_engine(engine: &EngineSection, fields: &mut Fields) -> Result<(), Unreadable> {
    let EngineKind::Thirdparty(plugin) = &engine.kind else { return Err(Unreadable("a plugin's engine")) };
    push(fields, "engine", &plugin.keys, &plugin.siblings);
    Ok(())
}

/// Reads what [`push_engine`] wrote.
pub(crate) fn take_engine(fields: &mut Fields) -> Result<EngineSection, Unreadable> {
    let (text, siblings) = take(fields, "engine")?;
    let mut engine = read(&text)?.engines.pop().ok_or(Unreadable("an engine"))?;
    let EngineKind::Thirdparty(plugin) = &mut engine.kind else {
        return Err(Unreadable("a plugin's engine"));
    };
    plugin.siblings = siblings;
    Ok(engine)
}

/// Writes what a task of a plugin was read from.
pub(crate) fn push_task(task: &TaskSection, fields: &mut Fields) -> Result<(), Unreadable> {
    let TaskParameters::Other(plugin) = &task.parameters else { return Err(Unreadable("a plugin's task")) };
    push(fields, "task", &plugin.keys, &plugin.siblings);
    Ok(())
}

/// Reads what [`push_task`] wrote.
pub(crate) fn take_task(fields: &mut Fields) -> Result<TaskSection, Unreadable> {
    let (text, siblings) = take(fields, "task")?;
    let mut task = read(&text)?.tasks.pop().ok_or(Unreadable("a task"))?;
    let TaskParameters::Other(plugin) = &mut task.parameters else {
        return Err(Unreadable("a plugin's task"));
    };
    plugin.siblings = siblings;
    Ok(task)
}

fn read(text: &str) -> Result<etmem_config::ConfigFile, Unreadable> {
    etmem_config::parse(Path::new(NAME), text).map_err(|_| Unreadable("a group as it was read before"))
}

fn push(fields: &mut Fields, group: &str, keys: &[(String, String)], siblings: &SiblingGroups) {
    let own = WrittenGroup { name: group.to_owned(), pairs: keys.to_vec() };
    let groups: Vec<&WrittenGroup> = std::iter::once(&own).chain(siblings.iter()).collect();
    fields.push_number(groups.len() as u64);
    for group in groups {
        fields.push_text(&group.name);
        fields.push_number(group.pairs.len() as u64);
        for (key, value) in &group.pairs {
            fields.push_text(key);
            fields.push_text(value);
        }
    }
}

/// The text of the group itself, and the groups beside it.
fn take(fields: &mut Fields, group: &str) -> Result<(String, SiblingGroups), Unreadable> {
    let mut groups = Vec::new();
    for _ in 0..fields.take_number()? {
        let name = fields.take_text()?;
        let mut pairs = Vec::new();
        for _ in 0..fields.take_number()? {
            pairs.push((fields.take_text()?, fields.take_text()?));
        }
        groups.push(WrittenGroup { name, pairs });
    }
    if groups.is_empty() {
        return Err(Unreadable("a group"));
    }
    let own = groups.remove(0);
    let lines: String = own.pairs.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    Ok((format!("[{group}]\n{lines}"), SiblingGroups::new(groups)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_of_every_kind_comes_over_whole() {
        for text in [
            "loop=120\ninterval=1200\nsleep=7\n",
            "loop=1\ninterval=2\nsleep=3\nsysmem_threshold=0\nswapcache_high_wmark=9\nswapcache_low_wmark=1\n",
            "scan_type=region\nsample_interval=5000\naggr_interval=100000\nupdate_interval=1000000\n\
             min_nr_regions=10\nmax_nr_regions=1000\n",
            "scan_type=psi\ninterval=5\nsysmem_threshold=100\n",
        ] {
            let project = read_project(&format!("[project]\nname=a-b\n{text}")).unwrap();
            assert_eq!(read_project(&project_text(&project)).unwrap(), project, "{text}");
        }
    }

    #[test]
    fn what_is_no_group_is_an_error() {
        let mut fields = Fields::default();
        assert!(take_engine(&mut fields).is_err());
        fields.push_number(u64::MAX);
        assert!(take_task(&mut fields).is_err());
        assert!(read_project("").is_err());
    }
}
