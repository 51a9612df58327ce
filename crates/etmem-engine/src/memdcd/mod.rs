//! Memdcd: hands the heat of pages to an external decider. Its files are checked; the engine is not built in yet.

mod keys;

use crate::kind::Kind;
use etmem_config::section::project::PAGE;
use etmem_config::{Keys, KindKeys};

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: "memdcd",
        engine: Keys::NONE,
        task: Keys::of(keys::TASK),
        scan: &PAGE,
        own_name: None,
        target: None,
    },
    about: "An external program decides by how often each page was accessed. Not built into this version.",
    figures: &[],
    commands: &[],
    make: None,
};
