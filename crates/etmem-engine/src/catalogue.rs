//! Which kinds of engines there are: the one list from which files are read, engines made, and the reference pages written.

use crate::contract::{Engine, EngineError};
use crate::kind::Kind;
use crate::scan_locks::ScanLocks;
use etmem_config::{EngineSection, KindKeys};

/// Declares the folder of each kind as a module, and the list of all.
macro_rules! kinds {
    ($($name:ident),* $(,)?) => {
        /// The folders of the kinds, which are beside this file.
        #[path = "."]
        pub(crate) mod folders {
            $(pub mod $name;)*
        }

        /// All of them, in the order in which messages list them.
        pub const KINDS: &[&Kind] = &[$(&folders::$name::KIND,)*];
    };
}

kinds! {
    slide,
    cslide,
    thirdparty,
    damon,
    psi,
    memdcd,
    tiers,
    ksm,
    balloon,
    noop,
}

/// The kind called `name`.
fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.keys.name == name)
}

/// The engine of `section`, whose scanners take turns with those of `turns`.
///
/// # Errors
/// [`EngineError::NotBuilt`] for those of etmem 1.x that this version does not have yet.
pub fn engine(section: &EngineSection, turns: &ScanLocks) -> Result<Box<dyn Engine>, EngineError> {
    if let Some(make) = kind(section.kind).and_then(|kind| kind.make) {
        return make(section, turns.another());
    }
    let built = KINDS.iter().filter(|kind| kind.make.is_some()).map(|kind| kind.keys.name);
    let built = built.collect::<Vec<_>>().join(", ");
    Err(EngineError::NotBuilt { engine: section.kind.to_owned(), built })
}

/// The keys of all kinds, as [`etmem_config`] takes them.
#[must_use]
pub fn keys() -> Vec<&'static KindKeys> {
    KINDS.iter().map(|kind| &kind.keys).collect()
}
