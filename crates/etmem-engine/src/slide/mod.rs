//! Slide: the cold pages of a task's processes go to swap.
//!
//! `settings` is what a task asks for; `step` is a cycle of all its processes, `cycle` that of one, the page to read first; `memory` is
//! what is remembered from one to the next; `swap_cache` keeps openEuler's watermarks.

mod cycle;
mod memory;
mod settings;
mod step;
mod swap_cache;

pub use settings::Settings;
pub use step::SlideWork;

use crate::engine::{CommandError, Engine, EngineError, Work};
use crate::turns::Turns;
use etmem_config::{ProjectSection, TaskSection};
use etmem_core::name::Name;

/// The engine `slide` of a project.
#[derive(Debug)]
pub struct Slide {
    turns: Turns,
}

impl Slide {
    /// A slide whose scanners take turns with those of `turns`.
    #[must_use]
    pub const fn new(turns: Turns) -> Self {
        Self { turns }
    }
}

impl Engine for Slide {
    fn work(&self, project: &ProjectSection, task: &TaskSection) -> Result<Box<dyn Work>, EngineError> {
        let settings = Settings::new(project, task)?;
        Ok(Box::new(SlideWork::new(settings, self.turns.another())))
    }

    fn command(&self, _: Option<&Name>, _: &str) -> Result<String, CommandError> {
        Err(CommandError::None("slide"))
    }
}
