//! The choice that the manual's sample leaves to its reader, made for those who add it as it stands.
//!
//! It writes `type : pid/name` and `value : 123456/mysql`, meaning a line of either. The process by its name is
//! what such a file can mean on any machine; the number is that of some process long gone.

use crate::excerpt::excerpt;
use crate::section::task;
use crate::warning::{Ignored, Warnings};
use crate::written::WrittenGroup;
use std::borrow::Cow;

/// What the sample's `type` says.
const EITHER: &str = "pid/name";

/// `group` with the choice made, where it leaves one; a warning says so.
pub(super) fn made<'g>(group: &'g WrittenGroup, warnings: &mut Warnings<'_>) -> Cow<'g, WrittenGroup> {
    let place = |key| group.pairs.iter().rposition(|pair| pair.key == key);
    let (Some(kind), Some(value)) = (place(task::TYPE.name()), place(task::VALUE.name())) else {
        return Cow::Borrowed(group);
    };
    let Some((_, name)) = group.pairs[value].value.split_once('/') else { return Cow::Borrowed(group) };
    if group.pairs[kind].value != EITHER || name.contains('/') {
        return Cow::Borrowed(group);
    }
    let mut made = group.clone();
    made.pairs[kind].value = "name".to_owned();
    made.pairs[value].value = name.to_owned();
    warnings.add(group.pairs[kind].line, group, || Ignored::Choice {
        written: format!("type : {EITHER}"),
        taken: format!("type : name with value : {}", excerpt(name)),
    });
    Cow::Owned(made)
}
