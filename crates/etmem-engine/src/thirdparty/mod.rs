//! Thirdparty: engines whose policy comes from a shared object. The daemon's plugin host makes them
//! ([`Hosted`](crate::Hosted)); here is what files say of them.

mod keys;

pub use keys::{HostedEngine, HostedTask, hosted};

use crate::kind::Kind;
use etmem_config::section::project::PAGE;
use etmem_config::{Keys, KindKeys};

pub(crate) const KIND: Kind = Kind {
    keys: KindKeys {
        name: "thirdparty",
        engine: Keys::of(keys::ENGINE),
        task: Keys::of(keys::TASK),
        scan: &PAGE,
        own_name: Some(&keys::ENG_NAME),
        machine: None,
        target: None,
    },
    about: "A policy of your own, from a shared object. Every other key of its groups is for the policy to read.",
    figures: &[],
    commands: &[],
    make: None,
};
