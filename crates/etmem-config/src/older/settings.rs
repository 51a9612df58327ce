//! The keys of the older form. Their ranges are those of the rows that they stand for in the INI form, but for
//! `T`, which is 1 or more here, and `engine`, of which there was one.

use crate::error::Rule;
use crate::section::{project, task};
use crate::setting::{Known, Setting, Unread, needed};
use crate::values::name;
use etmem_core::name::Name;
use std::time::Duration;

pub(super) const OPTIONS: &str = "options";
pub(super) const POLICIES: &str = "policies";
pub(super) const PARAM: &str = "param";

pub(super) const LOOP: Setting<u16> = Setting { used_by: "every project", ..project::LOOP };
pub(super) const INTERVAL: Setting<Duration> = Setting { used_by: "every project", ..project::INTERVAL };
pub(super) const SLEEP: Setting<Duration> = Setting { used_by: "every project", ..project::SLEEP };
pub(super) const ENGINE: Setting<Name> =
    Setting { key: "engine", used_by: "every task", read: |text| needed(text, only_slide) };
/// Its range depends on `loop`.
pub(super) const T: Setting<Box<str>> =
    Setting { key: task::T.key, used_by: task::T.used_by, read: |text| needed(text, |text| Ok(text.into())) };

/// Groups whose absence is told as that of a key is.
pub(super) const POLICIES_GROUP: Setting<()> =
    Setting { key: POLICIES, used_by: "every project", read: |_| Err(Unread::Missing) };
pub(super) const PARAM_GROUP: Setting<()> =
    Setting { key: PARAM, used_by: "engine slide", read: |_| Err(Unread::Missing) };

pub(super) const OPTIONS_KEYS: &[Known] = &[LOOP.known(), INTERVAL.known(), SLEEP.known()];
pub(super) const POLICIES_KEYS: &[Known] =
    &[task::TYPE.known(), task::VALUE.known(), task::MAX_THREADS.known(), ENGINE.known()];
pub(super) const PARAM_KEYS: &[Known] = &[T.known()];

fn only_slide(text: &str) -> Result<Name, Rule> {
    match text {
        "slide" => name(text),
        _ => Err(Rule::Form(
            "slide, the one engine of this form; for others write the INI form (etmem obj add)",
        )),
    }
}
