//! Damon: the kernel watches the processes of all tasks, and acts by a scheme on the regions that fit.
//!
//! `keys` has the keys of project and engine, `settings` what they mean. All tasks of an engine share one `monitor`: `step` is
//! a cycle of one of them, which finds its processes, `report` is what is said of it. Nothing here moves pages.
//!
//! With an action that moves memory between NUMA nodes, the kernel watches control groups instead: `group_monitor`, `group_step` and
//! `group_report`.

mod change;
mod group_monitor;
mod group_report;
mod group_step;
mod keys;
mod members;
mod monitor;
mod report;
mod settings;
mod step;

pub use keys::RegionScan;

use crate::contract::{CommandError, Engine, EngineError, FaultClass, TaskRunner};
use crate::kind::Kind;
use etmem_config::{Keys, KindKeys, ProjectSection, TaskSection};
use etmem_core::kernel::groups::GroupPattern;
use etmem_core::kernel::nodes::NumaNodes;
use etmem_core::kernel::process::Target;
use etmem_core::name::Name;
use group_monitor::SharedGroupMonitor;
use group_step::GroupRunner;
use monitor::SharedMonitor;
use settings::{EngineSettings, Migration};
use std::sync::Arc;
use step::DamonRunner;

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: NAME,
        engine: Keys { rows: keys::ENGINE, agree: keys::bounds_in_order },
        task: Keys::NONE,
        scan: &keys::SCAN,
        own_name: None,
        machine: None,
        target: None,
    },
    about: "The kernel watches regions of memory and acts on them, by DAMON's schemes.",
    figures: report::FIGURES,
    commands: COMMANDS,
    make: Some(|section, _| {
        let settings = EngineSettings::new(section)?;
        Ok(Box::new(Damon { settings, monitor: Arc::default(), group_monitor: Arc::default() }))
    }),
};

/// Its name in files.
const NAME: &str = "damon";

const REGIONS: &str = "showregions";
const COMMANDS: &[&str] = &[REGIONS];

/// The engine `damon` of a project.
#[derive(Debug)]
struct Damon {
    settings: EngineSettings,
    monitor: Arc<SharedMonitor>,
    group_monitor: Arc<SharedGroupMonitor>,
}

impl Engine for Damon {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        if project.scan_type != keys::SCAN.name {
            return Err(EngineError::ScanType { engine: NAME, needed: keys::SCAN.name });
        }
        let settings = self.settings.with(&RegionScan::new(project)?);
        if let Some(migration) = self.settings.migration() {
            let pattern = groups_of(migration, task)?;
            let settings = (settings, migration.clone());
            let runner = GroupRunner::new(&task.name, pattern, settings, Arc::clone(&self.group_monitor));
            return Ok(Box::new(runner));
        }
        let runner = DamonRunner::new(&task.name, task.target.clone(), settings, Arc::clone(&self.monitor));
        Ok(Box::new(runner))
    }

    fn check(&self, nodes: &dyn NumaNodes) -> Result<(), EngineError> {
        self.settings.migration().map_or(Ok(()), |migration| migration.check(nodes))
    }

    fn command(&self, _: Option<&Name>, command: &str) -> Result<String, CommandError> {
        if command != REGIONS {
            let known = COMMANDS.join(", ");
            return Err(CommandError::Unknown { engine: NAME, command: command.to_owned(), known });
        }
        Ok(self.monitor.regions().unwrap_or_else(|| {
            "no regions yet: the engine lists them with action=stat, while a task of it runs\n".to_owned()
        }))
    }
}

/// The groups that `task` names: physical memory shows which group a page belongs to, and not which process.
fn groups_of(migration: &Migration, task: &TaskSection) -> Result<GroupPattern, EngineError> {
    match &task.target {
        Target::Groups(pattern) => Ok(pattern.clone()),
        other
        @ (Target::Pid(_) | Target::Process(_) | Target::Comm(_) | Target::Exe(_) | Target::Machine) => {
            Err(EngineError::Value {
                key: "type",
                value: other.written().0.to_owned(),
                rule: format!(
                    "must be cgroup with action={}, which moves memory by its control group; write type=cgroup, and as value the path in \
                     /proc/PID/cgroup of the program that is meant",
                    migration.action()
                ),
                class: FaultClass::Internal,
            })
        }
    }
}
