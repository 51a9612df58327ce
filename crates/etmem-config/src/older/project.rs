//! Stage two of the older form: what was written, as the groups of the INI form that mean the same.

use super::choice;
use super::lines::{Document, Policy};
use super::settings::{
    ENGINE, ENGINE_SLIDE, LOOP, MAX_THREADS, OPTIONS_KEYS, PARAM, PARAM_KEYS, POLICIES, POLICIES_KEYS, SLIDE,
    T,
};
use super::task_names::TaskNames;
use crate::ConfigFile;
use crate::error::{ConfigError, FaultClass, Rule};
use crate::form::Form;
use crate::kind::Kinds;
use crate::reader::{Reader, Table};
use crate::section::task::TYPE;
use crate::section::{engine, project, task};
use crate::values::within;
use crate::warning::Warnings;
use crate::written::{WrittenGroup, WrittenPair};
use etmem_core::name::Name;
use std::path::Path;

/// Reads `document`, the content of the file at `path`, as the project called `project`.
pub(crate) fn read(
    path: &Path,
    document: &Document,
    project: &Name,
    kinds: Kinds<'_>,
) -> Result<ConfigFile, ConfigError> {
    let mut warnings = Warnings::new(path);
    let table = Table::of_every("every project", OPTIONS_KEYS);
    let reader = Reader::new(path, &document.options, &table);
    reader.check(OPTIONS_KEYS)?;
    let loops = reader.get(&LOOP)?;
    if document.policies.is_empty() {
        return Err(reader.missing(POLICIES));
    }
    reader.warn(&[], &mut warnings);
    let known = OPTIONS_KEYS.iter().map(|row| row.about().name);
    let known: Vec<&str> = known.collect();
    let of_project = [("name", project.as_str())];
    let mut groups = vec![group(&document.options, project::GROUP, &of_project, &[], &known)];
    let mut names = TaskNames::default();
    for policy in &document.policies {
        let policies = choice::made(&policy.policies, &mut warnings);
        let (param, name) = task(path, policy, &policies, loops, &mut names, &mut warnings)?;
        if groups.len() == 1 {
            // Every task has the same engine.
            let of_engine = [("project", project.as_str()), ("name", SLIDE)];
            groups.push(group(&policies, engine::GROUP, &of_engine, &[], &[]));
        }
        let own = [("project", project.as_str()), (ENGINE.name(), SLIDE), ("name", name.as_str())];
        let known = [TYPE.name(), task::VALUE.name(), MAX_THREADS.name(), T.name()];
        groups.push(group(&policies, task::GROUP, &own, &param.pairs, &known));
    }
    let file = crate::read(path, &groups, kinds)?;
    Ok(ConfigFile { warnings: warnings.into_vec(), ..file })
}

/// Checks a task; gives its `param` and the name that it gets.
fn task<'p>(
    path: &Path,
    policy: &'p Policy,
    policies: &WrittenGroup,
    loops: u16,
    names: &mut TaskNames,
    warnings: &mut Warnings<'_>,
) -> Result<(&'p WrittenGroup, Name), ConfigError> {
    let table = Table::of_every("every task", POLICIES_KEYS);
    let mut reader = Reader::new(path, policies, &table);
    reader.faults_are(FaultClass::Internal);
    let target = task::target(&reader, false)?;
    reader.check(POLICIES_KEYS)?;
    let missing = || reader.missing_for(PARAM, ENGINE_SLIDE.to_owned());
    let param = policy.param.as_ref().ok_or_else(missing)?;
    let name = names.name_for(&target).map_err(|rule| reader.refuse(task::VALUE.name(), rule))?;
    reader.warn(&[], warnings);

    let table = Table::of_every(ENGINE_SLIDE, PARAM_KEYS);
    let mut reader = Reader::new(path, param, &table);
    reader.faults_are(FaultClass::Internal);
    let most = loops * 3;
    within::<u16>(&reader.get(&T)?, 1, most.into())
        .map_err(|_| reader.refuse(T.name(), Rule::TimesLoop { most, loops }))?;
    reader.warn(&[], warnings);
    Ok((param, name))
}

/// The group `name` of the INI form: the pairs `own`, and of those of `group` and `more` the ones with a key of `known`.
fn group(
    group: &WrittenGroup,
    name: &str,
    own: &[(&str, &str)],
    more: &[WrittenPair],
    known: &[&str],
) -> WrittenGroup {
    let line = group.line;
    let own = own.iter().map(|(key, value)| WrittenPair {
        line,
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    });
    let written = group.pairs.iter().chain(more).filter(|pair| known.contains(&pair.key.as_str())).cloned();
    WrittenGroup { line, form: Form::Older, name: name.to_owned(), pairs: own.chain(written).collect() }
}
