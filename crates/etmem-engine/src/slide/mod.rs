//! Slide: the cold pages of a task's processes go to swap.
//!
//! `settings` is what a task asks for; `step` is a cycle of all its processes, `resting` when looks get rarer, `cycle` that of one, the page to read first; `asking`
//! asks programs for what is cold; `cooling` moves pages between NUMA nodes, for engine tiers; `acting` moves pages, a sample first; `easing` slows it down where programs feel it; `compressing` asks whether what is cold compresses;
//! `second_copies` sees to it that what is out is not in memory as well, when `next_pass` says;
//! `machine` is the machine's figures, which processes share;
//! `history` is what is remembered from one to the next, `remembered` writes it down for the next daemon; `report` is what is said of it, `not_looked_at` what of its memory was left
//! out; `swap_cache` keeps openEuler's watermarks.

mod acting;
mod asking;
mod compressing;
mod cooling;
mod cycle;
mod easing;
mod history;
pub(crate) mod keys;
mod machine;
mod next_pass;
mod not_looked_at;
mod remembered;
mod report;
mod resting;
mod second_copies;
mod settings;
mod step;
mod swap_cache;
mod ticks;

pub use cooling::Cooled;
pub(crate) use cooling::Cooling;
pub use not_looked_at::NotLookedAt;
pub use report::{Blind, Effort, History, Scanned};
pub use settings::Settings;
pub use step::SlideRunner;

use crate::contract::{CommandError, Engine, EngineError, Sections, TaskRunner};
use crate::kind::Kind;
use crate::scan_locks::ScanLocks;
use etmem_config::section::project::PAGE;
use etmem_config::{Keys, KindKeys, ProjectSection, TaskSection};
use etmem_core::name::Name;

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
    about: "Cold pages are paged out to swap.",
    figures: not_looked_at::FIGURES,
    commands: &[],
    make: Some(|_, turns| Ok(Box::new(Slide(turns)))),
};

/// Its name in files.
const NAME: &str = "slide";

/// The engine `slide` of a project.
#[derive(Debug)]
pub struct Slide(pub ScanLocks);

impl Engine for Slide {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn TaskRunner>, EngineError> {
        let settings = Settings::new(project, task)?;
        Ok(Box::new(SlideRunner::new(settings, self.0.another())))
    }

    fn can_change(&self, before: Sections<'_>, now: Sections<'_>) -> bool {
        let settings = |(project, task): Sections<'_>| Settings::new(project, task);
        settings(before).is_ok_and(|before| settings(now).is_ok_and(|now| before.can_become(&now)))
    }

    fn is_dry_run(&self, task: &TaskSection) -> bool {
        task.get(&keys::DRY_RUN).unwrap_or_default()
    }

    fn command(&self, _: Option<&Name>, _: &str) -> Result<String, CommandError> {
        Err(CommandError::None(NAME))
    }
}
