//! Stage two of the older form: what was written, as the project, the engine and the tasks that it means.

use super::choice;
use super::lines::{Document, Policy};
use super::settings::{
    ENGINE, INTERVAL, LOOP, OPTIONS, OPTIONS_KEYS, PARAM, PARAM_GROUP, PARAM_KEYS, POLICIES, POLICIES_GROUP,
    POLICIES_KEYS, SLEEP, T,
};
use super::task_names::TaskNames;
use crate::ConfigFile;
use crate::error::{ConfigError, FaultClass, Rule};
use crate::section::engine::{EngineKind, EngineSection};
use crate::section::key_lines::KeyLines;
use crate::section::project::{PageScan, ProjectSection, Scan};
use crate::section::task::{self, Care, SlideTask, TaskParameters, TaskSection};
use crate::setting::Reader;
use crate::values::within;
use crate::warning::Warnings;
use etmem_core::kernel::wishes::{Mover, Tracker};
use etmem_core::name::Name;
use std::path::Path;

/// Reads `document`, the content of the file at `path`, as the project called `project`.
pub(crate) fn read(path: &Path, document: &Document<'_>, project: &Name) -> Result<ConfigFile, ConfigError> {
    let mut warnings = Warnings::new(path);
    let mut reader = Reader::new(path, &document.options, OPTIONS, OPTIONS_KEYS);
    let scan =
        PageScan { loops: reader.get(&LOOP)?, interval: reader.get(&INTERVAL)?, sleep: reader.get(&SLEEP)? };
    if document.policies.is_empty() {
        return Err(reader.missing(&POLICIES_GROUP));
    }
    reader.warn(&mut warnings);
    let mut names = TaskNames::default();
    let mut tasks = Vec::with_capacity(document.policies.len());
    for policy in &document.policies {
        tasks.push(read_task(path, policy, project, scan.loops, &mut names, &mut warnings)?);
    }
    // Every task has the same.
    let engine = tasks.first().map(|task| EngineSection {
        line: task.line,
        project: project.clone(),
        name: task.engine.clone(),
        kind: EngineKind::Slide,
    });
    Ok(ConfigFile {
        path: path.into(),
        projects: vec![ProjectSection {
            line: document.options.line,
            name: project.clone(),
            scan: Scan::Page(scan),
            sysmem_threshold: None,
            swapcache_watermarks: None,
        }],
        engines: engine.into_iter().collect(),
        tasks,
        warnings: warnings.into_vec(),
    })
}

fn read_task(
    path: &Path,
    policy: &Policy<'_>,
    project: &Name,
    loops: u16,
    names: &mut TaskNames,
    warnings: &mut Warnings<'_>,
) -> Result<TaskSection, ConfigError> {
    let policies = choice::made(&policy.policies, warnings);
    let mut reader = Reader::new(path, &policies, POLICIES, POLICIES_KEYS);
    reader.faults_are(FaultClass::Internal);
    let target = task::target(&mut reader)?;
    let max_threads = reader.get(&task::MAX_THREADS)?;
    let engine = reader.get(&ENGINE)?;
    let param = policy.param.as_ref().ok_or_else(|| reader.missing(&PARAM_GROUP))?;
    let name = names.name_for(&target).map_err(|rule| reader.refuse(&task::VALUE, rule))?;
    reader.warn(warnings);

    let mut reader = Reader::new(path, param, PARAM, PARAM_KEYS);
    reader.faults_are(FaultClass::Internal);
    let written = reader.get(&T)?;
    let most = loops * 3;
    let threshold =
        within(&written, 1, most.into()).map_err(|_| reader.refuse(&T, Rule::TimesLoop { most, loops }))?;
    reader.warn(warnings);
    Ok(TaskSection {
        line: policy.policies.line,
        project: project.clone(),
        engine,
        name,
        target,
        parameters: TaskParameters::Slide(SlideTask {
            threshold,
            max_threads,
            swap_threshold: None,
            swap_flag: false,
            dram_percent: None,
            vm_flags: Vec::new(),
            tracker: Tracker::Auto,
            mover: Mover::Auto,
            dry_run: false,
            care: Care::default(),
        }),
        lines: KeyLines::new([&policy.policies, param]),
    })
}
