//! Noop: visits the processes of its tasks, and moves nothing. The engine to copy: one of everything that an engine has.
//!
//! `keys` has a row for each key, `step` is a cycle and declares the figure that it counts. This file ties them together.

mod keys;
mod step;

use crate::contract::{CommandError, Engine, EngineError, TaskRunner};
use crate::kind::Kind;
use etmem_config::section::project::PAGE;
use etmem_config::{Keys, KindKeys, ProjectSection, TaskSection};
use etmem_core::name::Name;
use step::NoopRunner;

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: NAME,
        engine: Keys::NONE,
        task: Keys::of(keys::TASK),
        scan: &PAGE,
        own_name: None,
        machine: None,
        target: None,
    },
    about: "Visits the processes of its tasks and moves nothing: for authors of engines, and to try a file or a stop.",
    figures: step::FIGURES,
    commands: &[],
    make: Some(|_, _| Ok(Box::new(Noop))),
};

/// Its name in files.
const NAME: &str = "noop";

/// The engine `noop` of a project. An engine whose tasks share something has it here.
#[derive(Debug)]
struct Noop;

impl Engine for Noop {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        let Some(scan) = &project.page else {
            return Err(EngineError::ScanType { engine: NAME, needed: PAGE.name });
        };
        Ok(Box::new(NoopRunner {
            task: task.name.to_string(),
            target: task.target.clone(),
            visit: task.get(&keys::VISIT)?,
            sleep: scan.sleep,
        }))
    }

    fn command(&self, _: Option<&Name>, _: &str) -> Result<String, CommandError> {
        Err(CommandError::None(NAME))
    }
}
