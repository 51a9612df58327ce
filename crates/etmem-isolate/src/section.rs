//! Sections of a configuration file on their way to another process: as the groups that they were read from, which
//! `etmem-config` reads again there.

use crate::message::{Fields, Unreadable};
use etmem_config::error::Form;
use etmem_config::{
    ConfigFile, EngineSection, ProjectSection, SiblingGroups, TaskSection, WrittenGroup, WrittenPair,
};
use std::path::Path;

/// How messages call the groups; a message about them is a fault of ours.
const NAME: &str = "what etmemd passed on";

/// Writes what `project` was read from.
pub(crate) fn push_project(project: &ProjectSection, fields: &mut Fields) {
    push(fields, &project.written, &SiblingGroups::default());
}

/// Reads what [`push_project`] wrote.
pub(crate) fn take_project(fields: &mut Fields) -> Result<ProjectSection, Unreadable> {
    read(take(fields)?.0)?.projects.pop().ok_or(Unreadable("a project"))
}

/// Writes what an engine of a plugin was read from.
pub(crate) fn push_engine(engine: &EngineSection, fields: &mut Fields) {
    push(fields, &engine.written, &engine.siblings);
}

/// Reads what [`push_engine`] wrote.
pub(crate) fn take_engine(fields: &mut Fields) -> Result<EngineSection, Unreadable> {
    let (written, siblings) = take(fields)?;
    let engine = read(written)?.engines.pop().ok_or(Unreadable("an engine"))?;
    Ok(EngineSection { siblings, ..engine })
}

/// Writes what a task of a plugin was read from.
pub(crate) fn push_task(task: &TaskSection, fields: &mut Fields) {
    push(fields, &task.written, &task.siblings);
}

/// Reads what [`push_task`] wrote.
pub(crate) fn take_task(fields: &mut Fields) -> Result<TaskSection, Unreadable> {
    let (written, siblings) = take(fields)?;
    let task = read(written)?.tasks.pop().ok_or(Unreadable("a task"))?;
    Ok(TaskSection { siblings, ..task })
}

fn read(written: WrittenGroup) -> Result<ConfigFile, Unreadable> {
    etmem_config::read(Path::new(NAME), &[written], &etmem_engine::keys())
        .map_err(|_| Unreadable("a group as it was read before"))
}

fn push(fields: &mut Fields, own: &WrittenGroup, siblings: &SiblingGroups) {
    let groups: Vec<&WrittenGroup> = std::iter::once(own).chain(siblings.iter()).collect();
    fields.push_number(groups.len() as u64);
    for group in groups {
        fields.push_text(&group.name);
        fields.push_number(group.line as u64);
        fields.push_number(group.pairs.len() as u64);
        for pair in &group.pairs {
            fields.push_number(pair.line as u64);
            fields.push_text(&pair.key);
            fields.push_text(&pair.value);
        }
    }
}

/// The group itself, and the groups beside it.
fn take(fields: &mut Fields) -> Result<(WrittenGroup, SiblingGroups), Unreadable> {
    let mut groups = Vec::new();
    for _ in 0..fields.take_number()? {
        let (name, line) = (fields.take_text()?, take_line(fields)?);
        let mut pairs = Vec::new();
        for _ in 0..fields.take_number()? {
            let line = take_line(fields)?;
            pairs.push(WrittenPair { line, key: fields.take_text()?, value: fields.take_text()? });
        }
        groups.push(WrittenGroup { line, form: Form::KeyFile, name, pairs });
    }
    if groups.is_empty() {
        return Err(Unreadable("a group"));
    }
    let own = groups.remove(0);
    Ok((own, SiblingGroups::new(groups)))
}

fn take_line(fields: &mut Fields) -> Result<usize, Unreadable> {
    usize::try_from(fields.take_number()?).map_err(|_| Unreadable("a line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_of_every_kind_comes_over_whole() {
        for text in [
            "loop=120\ninterval=1200\nsleep=7\n",
            "loop=1\ninterval=200ms\nsleep=3\nsysmem_threshold=0\nswapcache_high_wmark=9\nswapcache_low_wmark=1\n",
            "scan_type=region\nsample_interval=5000\naggr_interval=100000\nupdate_interval=1000000\n\
             min_nr_regions=10\nmax_nr_regions=1000\n",
            "scan_type=psi\ninterval=5\nsysmem_threshold=100\n",
        ] {
            let file = etmem_engine::parse(Path::new("f"), &format!("[project]\nname=a-b\n{text}")).unwrap();
            let mut fields = Fields::default();
            push_project(&file.projects[0], &mut fields);
            assert_eq!(take_project(&mut fields).unwrap(), file.projects[0], "{text}");
        }
    }

    #[test]
    fn what_is_no_group_is_an_error() {
        let mut fields = Fields::default();
        assert!(take_engine(&mut fields).is_err());
        fields.push_number(u64::MAX);
        assert!(take_task(&mut fields).is_err());
        assert!(take_project(&mut fields).is_err());
    }
}
