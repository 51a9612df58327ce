//! Tiers: cool pages go to a slow NUMA node, cold ones to compressed swap, the longest untouched of that to the disk behind it.
//!
//! A task of processes is slide's (`crate::slide`), which moves pages between NUMA nodes as well. A task of the machine looks at no
//! process, since zram itself says when a slot was written or read last: `settings` is what it asks for; `step` is a cycle of all zram
//! devices, `cycle` that of one, the page to read first; `budget` is how much may be written in a day; `report` is what is said of it.
//! `keys` has the keys of both.

mod budget;
mod cycle;
mod keys;
mod report;
mod settings;
mod step;
#[cfg(test)]
mod tests;

use crate::contract::{CommandError, Engine, EngineError, FaultClass, Sections, TaskRunner};
use crate::kind::Kind;
use crate::scan_locks::ScanLocks;
use crate::slide::{self, Cooling, SlideRunner};
use etmem_config::section::project::PAGE;
use etmem_config::{Keys, KindKeys, MachineKeys, ProjectSection, TaskSection};
use etmem_core::kernel::process::Target;
use etmem_core::name::Name;
use settings::Settings;
use step::TiersRunner;

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: NAME,
        engine: Keys::NONE,
        task: Keys { rows: keys::TASK, agree: keys::nodes_and_threshold },
        scan: &PAGE,
        own_name: None,
        machine: Some(MachineKeys {
            of: "tiers with type=machine",
            others: "tiers with type=pid, name, exe or cgroup",
            keys: Keys { rows: keys::MACHINE, agree: keys::marks_in_order },
        }),
        target: None,
    },
    about: "Cool pages go to a slow NUMA node, cold ones to swap. With `type=machine`, the longest untouched pages of compressed swap \
            (zram) are written to the disk behind it, within a budget for its endurance.",
    figures: report::FIGURES,
    commands: &[],
    make: Some(|_, turns| Ok(Box::new(Tiers(turns)))),
};

/// Its name in files.
const NAME: &str = "tiers";

/// The engine `tiers` of a project.
#[derive(Debug)]
struct Tiers(ScanLocks);

/// What a task of processes asks for.
fn of_processes(project: &ProjectSection, task: &TaskSection) -> Result<slide::Settings, EngineError> {
    let mut settings = slide::Settings::new(project, task)?;
    let pairs = task.get(&keys::NODE_PAIR)?;
    if let Some(below) = task.get(&keys::T_COOL)?.filter(|_| !pairs.is_empty()) {
        let (least, most) = (task.get(&slide::keys::T)?, settings.schedule.loops * 3);
        if !(least..=most).contains(&below) {
            let rule = format!(
                "must be {least}..={most} (T={least}, and 3 times loop={} of project {})",
                settings.schedule.loops, project.name
            );
            let (key, value) = (keys::T_COOL.name(), below.to_string());
            return Err(EngineError::Value { key, value, rule, class: FaultClass::Internal });
        }
        settings.cooling = Some(Cooling { pairs, below });
    }
    Ok(settings)
}

impl Engine for Tiers {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        if project.page.is_none() {
            return Err(EngineError::ScanType { engine: NAME, needed: PAGE.name });
        }
        if task.target == Target::Machine {
            return Ok(Box::new(TiersRunner::new(Settings::new(project, task)?)));
        }
        Ok(Box::new(SlideRunner::new(of_processes(project, task)?, self.0.another())))
    }

    fn can_change(&self, before: Sections<'_>, now: Sections<'_>) -> bool {
        let settings = |(project, task): Sections<'_>| {
            let is_of_processes = task.target != Target::Machine;
            is_of_processes.then(|| of_processes(project, task).ok()).flatten()
        };
        settings(before).zip(settings(now)).is_some_and(|(before, now)| before.can_become(&now))
    }

    fn is_dry_run(&self, task: &TaskSection) -> bool {
        task.get(&keys::DRY_RUN).unwrap_or_default()
    }

    fn command(&self, _: Option<&Name>, _: &str) -> Result<String, CommandError> {
        Err(CommandError::None(NAME))
    }
}
