//! Reading a group by the rows of its keys.

use crate::error::{ConfigError, FaultClass, Order, Rule, SettingError};
use crate::key::{Key, Row, Unread};
use crate::nearest::Nearest;
use crate::warning::{Ignored, ValuePart, Warnings};
use crate::written::{WrittenGroup, WrittenPair};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// Most keys of a group that are looked at for a mistyping: far more than any real group has.
const COMPARED_MAX: usize = 200;

/// All keys that groups of one name may have, and who uses which.
#[derive(Debug)]
pub(crate) struct Table {
    /// Who uses the common ones, such as `every task`.
    pub(crate) every: &'static str,
    pub(crate) common: &'static [&'static dyn Row],
    /// Those of some groups alone, by the word that tells such groups.
    pub(crate) own: Vec<(&'static str, &'static [&'static dyn Row])>,
    /// Several of these words, as the users of a key.
    pub(crate) users: fn(&[&'static str]) -> String,
}

impl Table {
    /// Keys that every such group has.
    pub(crate) const fn of_every(every: &'static str, common: &'static [&'static dyn Row]) -> Self {
        Self { every, common, own: Vec::new(), users: |_| String::new() }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        let own = self.own.iter().flat_map(|(_, rows)| rows.iter());
        self.common.iter().chain(own).map(|row| row.about().name)
    }

    /// Who uses `key`; `None` if it is not known.
    fn used_by(&self, key: &str) -> Option<String> {
        let has = |rows: &[&'static dyn Row]| rows.iter().any(|row| row.about().name == key);
        if has(self.common) {
            return Some(self.every.to_owned());
        }
        let users = self.own.iter().filter(|(_, rows)| has(rows)).map(|(word, _)| *word);
        let users: Vec<&'static str> = users.collect();
        (!users.is_empty()).then(|| (self.users)(&users))
    }
}

/// A group that is being read.
#[derive(Debug)]
pub struct Reader<'a> {
    path: &'a Path,
    group: &'a WrittenGroup,
    table: &'a Table,
    class: FaultClass,
    /// The word that tells what the group is, once it is known.
    word: Option<&'static str>,
}

impl<'a> Reader<'a> {
    /// A reader of `group`, whose keys are those of `table`. Faults found in it are of `class` InvalidParameters until it is
    /// set otherwise.
    pub(crate) const fn new(path: &'a Path, group: &'a WrittenGroup, table: &'a Table) -> Self {
        Self { path, group, table, class: FaultClass::InvalidParameters, word: None }
    }

    /// From here on faults are of `class`.
    pub(crate) const fn faults_are(&mut self, class: FaultClass) {
        self.class = class;
    }

    /// The group is one of those that `word` tells.
    pub(crate) const fn is_of(&mut self, word: &'static str) {
        self.word = Some(word);
    }

    fn written(&self, key: &str) -> Option<&'a str> {
        self.group.pair(key).map(|pair| pair.value.as_str())
    }

    /// What `key` is here.
    ///
    /// # Errors
    /// It is missing or breaks its rule.
    pub fn get<T>(&self, key: &Key<T>) -> Result<T, ConfigError> {
        key.value(self.written(key.name())).map_err(|unread| self.unread(key.name(), unread))
    }

    /// Checks the keys of `rows`.
    pub(crate) fn check(&self, rows: &[&'static dyn Row]) -> Result<(), ConfigError> {
        rows.iter().try_for_each(|row| {
            let name = row.about().name;
            row.check(self.written(name)).map_err(|unread| self.unread(name, unread))
        })
    }

    fn unread(&self, key: &'static str, unread: Unread) -> ConfigError {
        match unread {
            Unread::Breaks(rule) => self.refuse(key, rule),
            Unread::Missing => self.missing(key),
        }
    }

    /// `key` is not there.
    pub(crate) fn missing(&self, key: &'static str) -> ConfigError {
        let is_common = self.table.common.iter().any(|row| row.about().name == key);
        let used_by = match self.word {
            // Others that have such a key do not need it here.
            Some(word) if !is_common => Some((self.table.users)(&[word])),
            _ => self.table.used_by(key),
        };
        self.missing_for(key, used_by.unwrap_or_else(|| self.table.every.to_owned()))
    }

    /// `key` is not there, which `used_by` needs.
    #[must_use]
    pub fn missing_for(&self, key: &'static str, used_by: String) -> ConfigError {
        self.refuse(key, Rule::Missing { used_by, written: self.mistyping_of(key) })
    }

    /// The value of `key` breaks `rule`.
    #[must_use]
    pub fn refuse(&self, key: &'static str, rule: Rule) -> ConfigError {
        ConfigError::Setting(Box::new(SettingError {
            path: self.path.into(),
            line: self.group.line_of(key),
            form: self.group.form,
            group: self.group.name.clone(),
            key,
            value: self.written(key).map(Into::into),
            rule,
            class: self.class,
        }))
    }

    /// Checks that the values of `left` and `right` stand in `order`. The one that is written is to blame if they do not:
    /// the other may be a default.
    ///
    /// # Errors
    /// They do not.
    pub fn check_order<T: PartialOrd + fmt::Display>(
        &self,
        left: &Key<T>,
        order: Order,
        right: &Key<T>,
    ) -> Result<(), ConfigError> {
        self.check_order_of((left.name(), &self.get(left)?), order, (right.name(), &self.get(right)?))
    }

    /// As [`check_order`](Self::check_order), of keys by name with their values.
    pub fn check_order_of<T: PartialOrd + fmt::Display>(
        &self,
        (left, left_value): (&'static str, &T),
        order: Order,
        (right, right_value): (&'static str, &T),
    ) -> Result<(), ConfigError> {
        let rule = |order, other: &'static str, value: &T| {
            let value = self.written(other).map_or_else(|| value.to_string(), Into::into);
            Rule::Order { order, other, value }
        };
        if order.holds(left_value, right_value) {
            Ok(())
        } else if self.written(left).is_some() {
            Err(self.refuse(left, rule(order, right, right_value)))
        } else {
            Err(self.refuse(right, rule(order.reversed(), left, left_value)))
        }
    }

    /// An unknown key of the group that was probably meant to be `key`.
    fn mistyping_of(&self, key: &'static str) -> Option<String> {
        let is_mistyping = |written: &&String| {
            self.table.used_by(written).is_none()
                && Nearest::to(written, [key]).is_some_and(|nearest| nearest.probable)
        };
        let keys: std::collections::BTreeSet<&String> =
            self.group.pairs.iter().map(|pair| &pair.key).collect();
        keys.into_iter().take(COMPARED_MAX).find(is_mistyping).cloned()
    }

    /// Warns of what the group has and neither the common keys nor those of `own` take.
    pub(crate) fn warn(self, own: &[&'static dyn Row], warnings: &mut Warnings<'_>) {
        let last: HashMap<&str, usize> =
            (0..).zip(&self.group.pairs).map(|(place, pair)| (pair.key.as_str(), place)).collect();
        for (place, pair) in self.group.pairs.iter().enumerate() {
            let last = last.get(pair.key.as_str()) == Some(&place);
            let used = self.table.common.iter().chain(own).any(|row| row.about().name == pair.key);
            if !(last && used) {
                warnings.add(pair.line, self.group, || self.ignored(pair, last));
            } else if let Some(part) = ValuePart::of(&pair.value) {
                let (key, value) = (pair.key.clone(), pair.value.clone());
                warnings.add(pair.line, self.group, || Ignored::Misread { key, value, part });
            }
        }
    }

    fn ignored(&self, pair: &WrittenPair, last: bool) -> Ignored {
        let key = pair.key.clone();
        match self.table.used_by(&key) {
            _ if !last => Ignored::Repeated(key),
            Some(used_by) => Ignored::Unused { key, used_by },
            None => Ignored::Key { nearest: Nearest::to(&key, self.table.names()), key },
        }
    }
}
