//! A group of the configuration file, which a policy reads when an engine or a task is added.

use crate::refusal::Refusal;
use crate::sys::key_file::KeyFile;
use std::fmt::Display;
use std::str::FromStr;

/// `[engine]` or `[task]` of the file.
#[derive(Debug)]
pub struct Group<'file> {
    keys: KeyFile<'file>,
    name: &'static str,
}

impl<'file> Group<'file> {
    pub(crate) fn new(keys: KeyFile<'file>, name: &'static str) -> Self {
        Self { keys, name }
    }

    /// The value of `key`, if the group has it.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        self.keys.text(self.name, key)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// The group does not have the key.
    pub fn needed(&self, key: &str) -> Result<String, Refusal> {
        self.text(key).ok_or_else(|| Refusal::new(format!("[{}] needs {key}=", self.name)))
    }

    /// The value of `key` as a number, if the group has the key.
    ///
    /// # Errors
    /// The value is not a number of this type.
    pub fn number<T: FromStr<Err: Display>>(&self, key: &str) -> Result<Option<T>, Refusal> {
        self.text(key).map(|text| number(self.name, key, &text)).transpose()
    }

    /// The value of `key` as a number, or `default` if the group does not have the key.
    ///
    /// # Errors
    /// The value is not a number of this type.
    pub fn number_or<T: FromStr<Err: Display>>(&self, key: &str, default: T) -> Result<T, Refusal> {
        Ok(self.number(key)?.unwrap_or(default))
    }
}

fn number<T: FromStr<Err: Display>>(group: &str, key: &str, text: &str) -> Result<T, Refusal> {
    text.trim()
        .parse()
        .map_err(|error| Refusal::new(format!("[{group}] {key}={text:?}: must be a number: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_refused_with_key_and_value() {
        assert_eq!(number("task", "a", " 7 "), Ok(7_u8));
        let refusal = number::<u8>("task", "most", "256").unwrap_err().to_string();
        assert!(refusal.contains("[task] most=\"256\"") && refusal.contains("number"), "{refusal}");
    }
}
