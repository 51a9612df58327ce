//! Psi: reclaims a cgroup's memory while that does not hurt. Its files are checked; the engine is not built in yet.

mod keys;

pub use keys::PsiScan;

use crate::kind::Kind;
use etmem_config::{Keys, KindKeys};

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: "psi",
        engine: Keys::NONE,
        task: Keys { rows: keys::TASK, agree: keys::rates_in_order },
        scan: &keys::SCAN,
        own_name: None,
    },
    about: "Reclaims the memory of control groups while their programs do not wait for memory. Not built into this version.",
    figures: &[],
    commands: &[],
    make: None,
};
