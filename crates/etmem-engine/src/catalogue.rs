//! Which engines there are.

use crate::cslide::Cslide;
use crate::engine::{Engine, EngineError};
use crate::scan_locks::ScanLocks;
use crate::slide::Slide;
use etmem_config::EngineKind;

/// The engine of `kind`, whose scanners take turns with those of `turns`.
///
/// # Errors
/// [`EngineError::NotBuilt`] for those of etmem 1.x that this version does not have yet.
pub fn engine(kind: &EngineKind, turns: &ScanLocks) -> Result<Box<dyn Engine>, EngineError> {
    let missing = match kind {
        EngineKind::Slide => return Ok(Box::new(Slide::new(turns.another()))),
        EngineKind::Cslide(section) => return Ok(Box::new(Cslide::new(section.clone(), turns.another()))),
        EngineKind::Thirdparty(_) => "thirdparty",
        EngineKind::Damon(_) => "damon",
        EngineKind::Psi => "psi",
        EngineKind::Memdcd => "memdcd",
    };
    Err(EngineError::NotBuilt(missing.to_owned()))
}
