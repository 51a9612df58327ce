//! A group as it was written, with the line of everything: what every section keeps, and what can be sent elsewhere to be
//! read again there.

use crate::excerpt::excerpt;
use crate::form::Form;
use crate::key::{Key, Unread};
use crate::rule::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A group and the pairs up to the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenGroup {
    /// The line of its name, from 1.
    pub line: usize,
    /// The form that it is written in.
    pub form: Form,
    /// Its name.
    pub name: String,
    /// In the order of the file, repeated keys included.
    pub pairs: Vec<WrittenPair>,
}

/// A line `key=value`, or `key : value` in the form of etmem 1.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenPair {
    /// Its line, from 1.
    pub line: usize,
    /// Never empty.
    pub key: String,
    /// May be empty.
    pub value: String,
}

/// A key has no value of the type that is asked for. Of a section that was read from a file, no key of its own kind is in
/// this state.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("[{group}] {} {rule}", Form::KeyFile.pair(.key, .value.as_deref()))]
pub struct KeyError {
    /// The group's name.
    pub group: String,
    /// The key.
    pub key: &'static str,
    /// What is written.
    pub value: Option<String>,
    /// The rule that it breaks.
    pub rule: Rule,
}

impl WrittenGroup {
    /// The last pair with `key`, whose value counts.
    pub(crate) fn pair(&self, key: &str) -> Option<&WrittenPair> {
        self.pairs.iter().rfind(|pair| pair.key == key)
    }

    /// What `key` means here.
    ///
    /// # Errors
    /// It is missing or breaks its rule.
    pub fn get<T>(&self, key: &Key<T>) -> Result<T, KeyError> {
        let pair = self.pair(key.name());
        key.value(pair.map(|pair| pair.value.as_str())).map_err(|unread| KeyError {
            group: self.name.clone(),
            key: key.name(),
            value: pair.map(|pair| pair.value.clone()),
            rule: match unread {
                Unread::Breaks(rule) => rule,
                Unread::Missing => Rule::Missing { used_by: excerpt(&self.name).to_string(), written: None },
            },
        })
    }

    /// The line that `key` is written on, from 1; that of the group where it is not written.
    #[must_use]
    pub fn line_of(&self, key: &str) -> usize {
        self.pair(key).map_or(self.line, |pair| pair.line)
    }

    /// Every key with its value, in the order of the alphabet, each once.
    #[must_use]
    pub fn each_key_once(&self) -> Vec<(String, String)> {
        let last: BTreeMap<_, _> = self.pairs.iter().map(|pair| (&pair.key, &pair.value)).collect();
        last.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}
