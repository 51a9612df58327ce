//! Damon: the kernel acts by DAMON's schemes. Its files are checked; the engine is not built in yet.

mod keys;

pub use keys::RegionScan;

use crate::kind::Kind;
use etmem_config::{Keys, KindKeys};

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: "damon",
        engine: Keys { rows: keys::ENGINE, agree: keys::bounds_in_order },
        task: Keys::NONE,
        scan: &keys::SCAN,
        own_name: None,
        target: None,
    },
    about: "The kernel acts on regions by DAMON's schemes. Not built into this version.",
    figures: &[],
    commands: &[],
    make: None,
};
