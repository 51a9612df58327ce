//! `[task]`: whose memory an engine works on, and how.

use super::Source;
use crate::error::{ConfigError, FaultClass, Rule};
use crate::key::Key;
use crate::keys;
use crate::kind::{Keys, of_task};
use crate::listing::ListedTask;
use crate::reader::Reader;
use crate::sibling_groups::SiblingGroups;
use crate::values::{name, within};
use crate::warning::{Ignored, Warnings};
use crate::written::{KeyError, WrittenGroup};
use etmem_core::kernel::groups::GroupPattern;
use etmem_core::kernel::process::{ExePattern, Pid, Target};
use etmem_core::name::Name;
use std::borrow::Cow;

pub(crate) const GROUP: &str = "task";

/// Most bytes of a process's name: what the kernel keeps of it (`TASK_COMM_LEN` less its zero).
const COMM_MAX: usize = 15;

/// Most bytes of a `value`: those of a path (`PATH_MAX` less its zero).
const VALUE_MAX: usize = 4095;

/// A `[task]` group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSection {
    /// The line it begins on, from 1.
    pub line: usize,
    /// The project its engine belongs to.
    pub project: Name,
    /// Its engine's name in the project.
    pub engine: Name,
    /// Its own name, unique in its engine.
    pub name: Name,
    /// Which processes it works on.
    pub target: Target,
    /// All that was written; the keys of the engine's kind are well.
    pub written: WrittenGroup,
    /// The other groups of the file that a policy from outside gets to read.
    pub siblings: SiblingGroups,
}

impl TaskSection {
    /// What `key` means here.
    ///
    /// # Errors
    /// It is none of the kind's keys, and missing or not a value of it.
    pub fn get<T>(&self, key: &Key<T>) -> Result<T, KeyError> {
        self.written.get(key)
    }

    /// The line that `key` is written on, from 1; that of the group for a key that is not written.
    #[must_use]
    pub fn line_of(&self, key: &str) -> usize {
        self.written.line_of(key)
    }
}

/// The words of `type`.
#[derive(Debug)]
pub enum TargetType {
    /// `value` is a pid.
    Pid,
    /// `value` is a process's name.
    Name,
    /// `value` is the path of an executable, or a pattern of such paths.
    Exe,
    /// `value` is the path of a control group, or a pattern of such paths.
    Cgroup,
    /// The machine as a whole; there is no `value`.
    Machine,
}

keys! { pub KEYS;
    PROJECT: Name = needed("project", name).help("The project that the task's engine belongs to.").example("db");
    ENGINE: Name = needed("engine", name).help("The engine's name in the project.").example("slide");
    NAME: Name = needed("name", name).help("The task's name, unique in its engine.").example("mysql");
    TYPE: TargetType = needed("type", target_type).help("How `value` names the target process.").example("name");
    VALUE: Box<str> = needed("value", target_value)
        .help("The target process: its name exactly as in /proc/PID/comm (at most 15 bytes), its pid, or with `type=exe` (ours) the \
               path of its executable, in which `*`, `?` and `[a-z]` stand for characters other than `/`, and `**` for any folders. Its \
               descendants belong to it. With `type=cgroup` (ours), a path or glob of control groups below their root: all processes \
               of these groups and of the groups below them. With `type=machine` (ours, engine tiers), the machine as a whole, without a `value`. An engine that names its targets by a key of its own needs neither `type` nor `value`.")
        .example("mysqld");
}

fn target_type(text: &str) -> Result<TargetType, Rule> {
    match text {
        "pid" => Ok(TargetType::Pid),
        "name" => Ok(TargetType::Name),
        "exe" => Ok(TargetType::Exe),
        "cgroup" => Ok(TargetType::Cgroup),
        "machine" => Ok(TargetType::Machine),
        // As the samples write it, where a reader is to choose.
        "pid/name" => Err(Rule::Form("either pid or name, and value the one to fit")),
        _ => Err(Rule::Form("pid, name, exe, cgroup or machine")),
    }
}

fn target_value(text: &str) -> Result<Box<str>, Rule> {
    if (1..=VALUE_MAX).contains(&text.len()) && !text.contains(char::is_control) {
        Ok(text.into())
    } else {
        Err(Rule::Form(
            "1 to 4095 bytes of text: a name of at most 15 bytes, a pid, or the path of an executable or control group",
        ))
    }
}

/// Reads `group` of the file at `path`.
pub(crate) fn read(source: Source<'_>, warnings: &mut Warnings<'_>) -> Result<TaskSection, ConfigError> {
    let Source { path, group, tables } = source;
    let group = name_taken_for_value(group);
    if let Cow::Owned(meant) = &group {
        for pair in meant.pairs.iter().filter(|pair| pair.key == VALUE.name()) {
            warnings.add(pair.line, meant, || Ignored::NameForValue(pair.value.clone()));
        }
    }
    let mut reader = Reader::new(path, &group, &tables.task);
    let (project, engine, name) = names(&reader)?;
    reader.faults_are(FaultClass::Internal);
    let kind = of_task(tables.kinds, engine.as_str());
    let target = match kind.and_then(|kind| kind.target) {
        Some(read) => read(&reader)?,
        None => target(&reader, kind.is_some_and(|kind| kind.machine.is_some()))?,
    };
    let keys = kind.map_or(Keys::NONE, |kind| {
        let (word, keys) = kind.tasks(target == Target::Machine);
        reader.is_of(word);
        keys
    });
    reader.check(keys.rows)?;
    (keys.agree)(&reader)?;
    if kind.is_some_and(|kind| kind.own_name.is_none()) {
        reader.warn(keys.rows, warnings);
    }
    let (line, written) = (group.line, group.into_owned());
    Ok(TaskSection { line, project, engine, name, target, written, siblings: SiblingGroups::default() })
}

/// The group as it was meant where it has no `value` but `name` twice, as the sample in the original's manual
/// does: the first is the name, the second the value.
fn name_taken_for_value(group: &WrittenGroup) -> Cow<'_, WrittenGroup> {
    if group.pair(VALUE.name()).is_some() {
        return Cow::Borrowed(group);
    }
    let mut names =
        (0..).zip(&group.pairs).filter(|(_, pair)| pair.key == NAME.name()).map(|(place, _)| place);
    let [_, Some(second), None] = [names.next(), names.next(), names.next()] else {
        return Cow::Borrowed(group);
    };
    let mut meant = group.clone();
    if let Some(pair) = meant.pairs.get_mut(second) {
        pair.key = VALUE.name().to_owned();
    }
    Cow::Owned(meant)
}

/// By what the task is found: its project, its engine and its own name.
fn names(reader: &Reader<'_>) -> Result<(Name, Name, Name), ConfigError> {
    Ok((reader.get(&PROJECT)?, reader.get(&ENGINE)?, reader.get(&NAME)?))
}

/// Reads of `group` of the file at `path` by what the task is found, and nothing else.
pub(crate) fn list(Source { path, group, tables }: Source<'_>) -> Result<ListedTask, ConfigError> {
    let group = &name_taken_for_value(group);
    let (project, engine, name) = names(&Reader::new(path, group, &tables.task))?;
    Ok(ListedTask { line: group.line, project, engine, name })
}

/// Whose memory the task works on, by `type` and `value`; `of_machine` says whether that may be the machine's.
pub(crate) fn target(reader: &Reader<'_>, of_machine: bool) -> Result<Target, ConfigError> {
    let target_type = reader.get(&TYPE)?;
    // Of the machine, there is no value to be missed.
    let value = match target_type {
        TargetType::Machine => Box::default(),
        TargetType::Pid | TargetType::Name | TargetType::Exe | TargetType::Cgroup => reader.get(&VALUE)?,
    };
    let refuse = |form| reader.refuse(VALUE.name(), Rule::Form(form));
    match target_type {
        TargetType::Machine if of_machine => Ok(Target::Machine),
        TargetType::Machine => {
            let rule = "pid, name, exe or cgroup; type=machine is for tasks of engine tiers";
            Err(reader.refuse(TYPE.name(), Rule::Form(rule)))
        }
        TargetType::Name if value.len() > COMM_MAX => {
            Err(refuse("at most 15 bytes, as in /proc/PID/comm; type=exe finds a process by its executable"))
        }
        TargetType::Name => Ok(Target::Comm(value)),
        TargetType::Pid => within(&value, 1, i32::MAX.into())
            .ok()
            .and_then(Pid::new)
            .map(Target::Pid)
            .ok_or_else(|| refuse("the number of a process, 1 or more")),
        TargetType::Exe => ExePattern::new(&value).map(Target::Exe).ok_or_else(|| {
            refuse("the path of an executable from / on, or a pattern of such paths with * ? [a-z] **")
        }),
        TargetType::Cgroup => GroupPattern::new(&value).map(Target::Groups).ok_or_else(|| {
            refuse("a path or glob of control groups below their root, without .., with * ? [a-z] {a,b} **")
        }),
    }
}
