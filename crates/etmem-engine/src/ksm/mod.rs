//! Ksm: the kernel keeps equal pages of programs once, while that saves memory.
//!
//! `keys` has the keys of an engine, `settings` what they mean, `step` is a round of a task, `tuning` the speed on kernels that do not
//! choose it themselves, `report` what is said of it. Nothing here moves or compares pages: the kernel does
//! (`etmem_core::kernel::merging`), for the whole machine.

mod keys;
mod report;
mod settings;
mod step;
mod tuning;

use crate::contract::{CommandError, Engine, EngineError, TaskRunner};
use crate::kind::Kind;
use etmem_config::section::project::WITHOUT_SCAN;
use etmem_config::{Keys, KindKeys, ProjectSection, TaskSection};
use etmem_core::name::Name;
use settings::EngineSettings;
use step::KsmRunner;

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: NAME,
        engine: Keys::of(keys::ENGINE),
        task: Keys::NONE,
        scan: &WITHOUT_SCAN,
        own_name: None,
        machine: None,
        target: None,
    },
    about: "The kernel keeps equal pages of programs once (KSM), while that saves memory.",
    figures: report::FIGURES,
    commands: &[],
    make: Some(|section, _| Ok(Box::new(Ksm(EngineSettings::new(section)?)))),
};

/// Its name in files.
const NAME: &str = "ksm";

/// The engine `ksm` of a project.
#[derive(Debug)]
struct Ksm(EngineSettings);

impl Engine for Ksm {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        let settings = self.0.with(project)?;
        Ok(Box::new(KsmRunner::new(task.name.to_string(), task.target.clone(), settings)))
    }

    fn command(&self, _: Option<&Name>, _: &str) -> Result<String, CommandError> {
        Err(CommandError::None(NAME))
    }
}
