//! A rule of the configuration file as a test: what it takes and what it refuses.

use etmem_config::error::ConfigError;
use etmem_config::{ConfigFile, FaultClass, parse};
use etmem_engine::keys;
use std::path::Path;

pub(crate) const INVALID: FaultClass = FaultClass::InvalidParameters;
pub(crate) const INTERNAL: FaultClass = FaultClass::Internal;

pub(crate) fn read(text: &str) -> Result<ConfigFile, ConfigError> {
    parse(Path::new("f"), text, &keys())
}

/// How the lines of a form are changed and read.
pub(crate) struct Written {
    pub(crate) separator: &'static str,
    pub(crate) read: fn(&str) -> Result<ConfigFile, ConfigError>,
}

pub(crate) const KEY_FILE: Written = Written { separator: "=", read };

impl Written {
    /// `text` with `changes` made, one a line: `key=value` replaces or adds, `-key` takes away. A line that
    /// replaces stands where the one before it stood, so that the lines in messages stay.
    pub(crate) fn changed(&self, text: &str, changes: &str) -> String {
        changes.lines().fold(text.to_owned(), |text, change| self.changed_once(&text, change))
    }

    fn key<'t>(&self, line: &'t str) -> &'t str {
        line.split_once(self.separator.trim_ascii()).map_or(line, |(key, _)| key).trim_ascii()
    }

    fn changed_once(&self, text: &str, change: &str) -> String {
        let key = self.key(change.strip_prefix('-').unwrap_or(change));
        let mut lines: Vec<&str> = text.lines().collect();
        let place = lines.iter().position(|line| self.key(line) == key);
        match (place, change.starts_with('-')) {
            (Some(place), true) => drop(lines.remove(place)),
            (Some(place), false) => lines[place] = change,
            (None, true) => panic!("there is no {key} to take away"),
            (None, false) => lines.push(change),
        }
        lines.join("\n") + "\n"
    }
}

/// A rule, named as the description of the file has it.
pub(crate) struct Rule {
    name: &'static str,
    written: &'static Written,
    /// A text that keeps to it.
    text: &'static str,
}

impl Rule {
    pub(crate) fn of(name: &'static str, text: &'static str) -> Self {
        Self { name, written: &KEY_FILE, text }
    }

    pub(crate) fn of_form(written: &'static Written, name: &'static str, text: &'static str) -> Self {
        Self { name, written, text }
    }

    /// With each of these changes the text is accepted, and nothing is warned of.
    pub(crate) fn takes<S: AsRef<str>>(self, changes: impl IntoIterator<Item = S>) -> Self {
        for change in changes {
            let change = change.as_ref();
            match (self.written.read)(&self.written.changed(self.text, change)) {
                Ok(file) => assert_eq!(file.warnings, [], "{}: {change}", self.name),
                Err(error) => panic!("{}: {change} has to be accepted: {error}", self.name),
            }
        }
        self
    }

    /// With each of these changes the text is refused in these words.
    pub(crate) fn refuses<C: AsRef<str>, W: AsRef<str>>(
        self,
        class: FaultClass,
        rows: impl IntoIterator<Item = (C, W)>,
    ) -> Self {
        for (change, want) in rows {
            let change = change.as_ref();
            match (self.written.read)(&self.written.changed(self.text, change)) {
                Ok(_) => panic!("{}: {change} has to be refused", self.name),
                Err(error) => assert_eq!(
                    (error.to_string().as_str(), error.class()),
                    (want.as_ref(), class),
                    "{}: {change}",
                    self.name
                ),
            }
        }
        self
    }

    /// Without one of these keys it is refused, and said who needs it.
    pub(crate) fn needs<'k>(
        self,
        class: FaultClass,
        used_by: &str,
        keys: impl IntoIterator<Item = &'k str>,
    ) -> Self {
        let group = self.text.lines().next().unwrap_or_default();
        let rows: Vec<_> = keys
            .into_iter()
            .map(|key| (format!("-{key}"), format!("f:1: {group} {key} is missing; {used_by} needs it")))
            .collect();
        self.refuses(class, rows)
    }

    /// `key`, on `line`, is a name of 1 to 64 bytes.
    pub(crate) fn holds_a_name(self, class: FaultClass, line: usize, key: &str) -> Self {
        let name = |length| "n".repeat(length);
        let separator = self.written.separator;
        let written = |value: &str| format!("{key}{separator}{value}");
        let group = self.text.lines().next().unwrap_or_default();
        let at = format!("f:{line}: {group} {key}{separator}");
        self.takes([written("n"), written(&name(64)), written("x_1.y/z%-")]).refuses(
            class,
            [
                (written(""), format!("{at}: is empty; a name has 1 to 64 bytes")),
                (written(&name(65)), format!("{at}{}: has 65 bytes; a name has 1 to 64", name(65))),
                (
                    written("-a"),
                    format!("{at}-a: begins with '-', which the protocol takes for an absent value"),
                ),
                (
                    written("a b"),
                    format!("{at}a b: has the character ' '; a name is printable ASCII without spaces"),
                ),
                (
                    written("é"),
                    format!("{at}é: has the character 'é'; a name is printable ASCII without spaces"),
                ),
            ],
        )
    }
}
