//! The keys of the older form. Their ranges are those of the rows that they stand for in the INI form, but for
//! `T`, which is 1 or more here, and `engine`, of which there was one.

use crate::error::Rule;
use crate::key::{Key, Row};
use crate::keys;
use crate::section::task;
use crate::values::{name, seconds, threads, within};
use etmem_core::name::Name;
use std::time::Duration;

pub(super) const OPTIONS: &str = "options";
pub(super) const POLICIES: &str = "policies";
pub(super) const PARAM: &str = "param";

/// The one engine of this form.
pub(super) const SLIDE: &str = "slide";
pub(super) const ENGINE_SLIDE: &str = "engine slide";

keys! { pub(super) OPTIONS_KEYS;
    LOOP: u16 = needed("loop", |text| within(text, 1, 120));
    INTERVAL: Duration = needed("interval", seconds);
    SLEEP: Duration = needed("sleep", seconds);
}

pub(super) const MAX_THREADS: Key<usize> = Key::or("max_threads", "1", threads);
pub(super) const ENGINE: Key<Name> = Key::needed("engine", only_slide);

keys! { pub(super) PARAM_KEYS;
    // Its range depends on `loop`.
    T: Box<str> = needed("T", |text| Ok(text.into()));
}

pub(super) const POLICIES_KEYS: &[&dyn Row] = &[&task::TYPE, &task::VALUE, &MAX_THREADS, &ENGINE];

fn only_slide(text: &str) -> Result<Name, Rule> {
    match text {
        SLIDE => name(text),
        _ => Err(Rule::Form(
            "slide, the one engine of this form; for others write the INI form (etmem obj add)",
        )),
    }
}
