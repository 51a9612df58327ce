//! The rows of the tables in [`section`](crate::section), and reading a group by them.

use crate::error::{ConfigError, FaultClass, Order, Rule, SettingError};
use crate::keyfile::{Group, Pair};
use crate::nearest::Nearest;
use crate::warning::{Ignored, Warnings};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// Most keys of a group that are looked at for a mistyping: far more than any real group has.
const COMPARED_MAX: usize = 200;

/// A key of a group: everything that is to be known about it.
#[derive(Debug)]
pub(crate) struct Setting<T: 'static> {
    /// How it is written.
    pub(crate) key: &'static str,
    /// Who needs it, or at least uses it.
    pub(crate) used_by: &'static str,
    /// From what was written, if it was, to what it means: here are the bounds and the default.
    pub(crate) read: fn(Option<&str>) -> Result<T, Unread>,
}

impl<T> Setting<T> {
    /// What the list of the group's keys tells of it.
    pub(crate) const fn known(&self) -> Known {
        Known { key: self.key, used_by: self.used_by }
    }
}

/// What the list of a group's keys tells of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) key: &'static str,
    pub(crate) used_by: &'static str,
}

/// A table of settings: `NAME: type = "key", "who uses it", how to read it;` makes each row a [`Setting`] and
/// all of them together the list `KEYS`.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $key:literal, $used_by:literal, $read:expr;)+) => {
        $($(#[$doc])* pub(crate) const $name: $crate::setting::Setting<$type> =
            $crate::setting::Setting { key: $key, used_by: $used_by, read: $read };)+

        /// Every key of the group.
        const KEYS: &[$crate::setting::Known] =
            &[$($name.known()),+];
    };
}
pub(crate) use settings;

/// Why a row gives no value.
#[derive(Debug)]
pub(crate) enum Unread {
    /// Nothing was written where something has to be.
    Missing,
    /// What was written breaks this rule.
    Breaks(Rule),
}

/// Reads a value that has to be there.
pub(crate) fn needed<T>(
    written: Option<&str>,
    read: impl FnOnce(&str) -> Result<T, Rule>,
) -> Result<T, Unread> {
    read(written.ok_or(Unread::Missing)?).map_err(Unread::Breaks)
}

/// Reads a value that may be absent.
pub(crate) fn optional<T>(
    written: Option<&str>,
    read: impl FnOnce(&str) -> Result<T, Rule>,
) -> Result<Option<T>, Unread> {
    written.map(read).transpose().map_err(Unread::Breaks)
}

/// Reads a value that has a default, which is given as it would be written.
pub(crate) fn or_default<T>(
    written: Option<&str>,
    default: &str,
    read: impl FnOnce(&str) -> Result<T, Rule>,
) -> Result<T, Unread> {
    read(written.unwrap_or(default)).map_err(Unread::Breaks)
}

/// A group that is being read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    path: &'a Path,
    group: &'a Group<'a>,
    name: &'static str,
    known: &'static [Known],
    class: FaultClass,
    /// Of a repeated key the last.
    pairs: BTreeMap<&'a str, Pair<'a>>,
    asked: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    /// A reader of `group`, which is called `name` and may have the keys `known`. Faults found in it are of
    /// `class` until told otherwise.
    pub(crate) fn new(
        path: &'a Path,
        group: &'a Group<'a>,
        name: &'static str,
        known: &'static [Known],
    ) -> Self {
        let pairs = group.pairs.iter().map(|pair| (pair.key, *pair)).collect();
        let class = FaultClass::InvalidParameters;
        Self { path, group, name, known, class, pairs, asked: BTreeSet::new() }
    }

    /// From here on faults are of `class`.
    pub(crate) fn faults_are(&mut self, class: FaultClass) {
        self.class = class;
    }

    /// What `setting` is here.
    pub(crate) fn get<T>(&mut self, setting: &Setting<T>) -> Result<T, ConfigError> {
        self.asked.insert(setting.key);
        let written = self.pairs.get(setting.key).map(|pair| pair.value);
        (setting.read)(written).map_err(|unread| match unread {
            Unread::Breaks(rule) => self.refuse(setting, rule),
            Unread::Missing => self.missing(setting),
        })
    }

    /// `setting` is not there.
    pub(crate) fn missing<T>(&self, setting: &Setting<T>) -> ConfigError {
        let written = self.mistyping_of(setting.key);
        self.refuse(setting, Rule::Missing { used_by: setting.used_by, written })
    }

    /// The value of `setting` breaks `rule`.
    pub(crate) fn refuse<T>(&self, setting: &Setting<T>, rule: Rule) -> ConfigError {
        let pair = self.pairs.get(setting.key);
        ConfigError::Setting(Box::new(SettingError {
            path: self.path.into(),
            line: pair.map_or(self.group.line, |pair| pair.line),
            form: self.group.form,
            group: self.name,
            key: setting.key,
            value: pair.map(|pair| pair.value.into()),
            rule,
            class: self.class,
        }))
    }

    /// Whether `left` and `right`, settings with what they are here, stand in `order`. The one that was written
    /// is to blame if they do not: the other may be a default.
    pub(crate) fn check_order<L, R, T: PartialOrd + fmt::Display>(
        &self,
        (left, left_value): (&Setting<L>, &T),
        order: Order,
        (right, right_value): (&Setting<R>, &T),
    ) -> Result<(), ConfigError> {
        let rule = |order, other: &'static str, value: &T| {
            let written = self.pairs.get(other).map(|pair| pair.value.into());
            Rule::Order { order, other, value: written.unwrap_or_else(|| value.to_string()) }
        };
        if order.holds(left_value, right_value) {
            Ok(())
        } else if self.pairs.contains_key(left.key) {
            Err(self.refuse(left, rule(order, right.key, right_value)))
        } else {
            Err(self.refuse(right, rule(order.reversed(), left.key, left_value)))
        }
    }

    /// An unknown key of the group that was probably meant to be `key`.
    fn mistyping_of(&self, key: &'static str) -> Option<String> {
        let is_mistyping = |written: &&str| {
            !self.is_known(written) && Nearest::to(written, [key]).is_some_and(|nearest| nearest.probable)
        };
        self.pairs.keys().copied().take(COMPARED_MAX).find(is_mistyping).map(Into::into)
    }

    fn is_known(&self, key: &str) -> bool {
        self.known.iter().any(|known| known.key == key)
    }

    /// Every key of the group with its value, known or not.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        self.pairs.values().map(|pair| (pair.key.into(), pair.value.into())).collect()
    }

    /// Warns of what the group has and nobody asked for.
    pub(crate) fn warn(self, warnings: &mut Warnings<'_>) {
        for pair in &self.group.pairs {
            let last = self.pairs.get(pair.key).is_none_or(|last| last.line == pair.line);
            if last && self.asked.contains(pair.key) {
                continue;
            }
            warnings.add(pair.line, self.group, || {
                let key = pair.key.into();
                if !last {
                    return Ignored::Repeated { key };
                }
                match self.known.iter().find(|known| known.key == pair.key) {
                    Some(known) => Ignored::Unused { key, used_by: known.used_by },
                    None => {
                        let known = self.known.iter().map(|known| known.key);
                        Ignored::Key { key, nearest: Nearest::to(pair.key, known) }
                    }
                }
            });
        }
    }
}
