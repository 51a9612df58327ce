//! What in a file is ignored, and may not have been meant to be.

use crate::excerpt::{excerpt, path_excerpt};
use crate::form::Form;
use crate::nearest::suggestion;
use crate::written::WrittenGroup;
use std::fmt;
use std::path::{Path, PathBuf};

pub use crate::nearest::Nearest;

/// Most warnings about one file; what is beyond is counted.
const WARNINGS_MAX: usize = 50;

/// Something ignored in a file that is accepted. Displayed in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The form of the file.
    pub form: Form,
    /// The group's name.
    pub group: String,
    /// What is ignored.
    pub ignored: Ignored,
}

/// What is ignored, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignored {
    /// A whole group that is not one of the three.
    /// The group it may be meant to be.
    Group(Option<Nearest>),
    /// A key that the group does not have.
    Key {
        /// The key.
        key: String,
        /// The key it may be meant to be.
        nearest: Option<Nearest>,
    },
    /// A key that others of this group have, such as one of another kind of engine.
    Unused {
        /// The key.
        key: String,
        /// Who uses it.
        used_by: String,
    },
    /// A value, because the key is given again further down.
    /// The key.
    Repeated(String),
    /// A second `name` of a group that lacks `value`: it is no name, but taken for the value.
    /// What it says.
    NameForValue(String),
    /// The byte order mark that the file begins with.
    ByteOrderMark,
    /// What a value was probably not meant to have: quotes around it, or a comment after it.
    Misread {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What it has.
        part: ValuePart,
    },
    /// One of two things to choose from.
    Choice {
        /// What leaves the choice.
        written: String,
        /// What is taken.
        taken: String,
    },
    /// More warnings than are worth reading, the first of them on this line.
    Further(usize),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", path_excerpt(&self.path), self.line)?;
        let group = self.form.group(&self.group);
        match &self.ignored {
            Ignored::ByteOrderMark => {
                f.write_str("the byte order mark is ignored; save the file as UTF-8 without one")
            }
            Ignored::Misread { key, value, part } => {
                write!(f, "{group} {} {part}", self.form.pair(key, Some(value)))
            }
            Ignored::Group(nearest) => {
                write!(f, "unknown group {group} is ignored{}", suggestion(nearest.as_ref()))
            }
            Ignored::Key { key, nearest } => {
                write!(f, "{group} unknown key {} is ignored{}", excerpt(key), suggestion(nearest.as_ref()))
            }
            Ignored::Unused { key, used_by } => {
                let verb = if used_by.starts_with("engines ") { "use" } else { "uses" };
                write!(f, "{group} key {} is ignored; only {used_by} {verb} it", excerpt(key))
            }
            Ignored::Repeated(key) => {
                write!(f, "{group} this value of {} is ignored; it is given again below", excerpt(key))
            }
            Ignored::NameForValue(value) => {
                let value = excerpt(value);
                write!(
                    f,
                    "{group} name={value} is taken for value, as name is given twice and value is not; \
                     write value={value} here"
                )
            }
            Ignored::Choice { written, taken } => {
                write!(f, "{group} {written} leaves a choice, and {taken} is taken; write the one you mean")
            }
            Ignored::Further(count) => write!(f, "{group} {count} more things are ignored from here on"),
        }
    }
}

/// What belongs to a value and was perhaps not meant to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValuePart {
    /// `#` after a space.
    Comment,
    /// Quotes around it.
    Quotes,
}

impl ValuePart {
    /// What of `value` may not be meant.
    pub(crate) fn of(value: &str) -> Option<Self> {
        let quoted = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
        if value.contains(" #") || value.contains("\t#") {
            Some(Self::Comment)
        } else if quoted('"') || quoted('\'') {
            Some(Self::Quotes)
        } else {
            None
        }
    }
}

impl fmt::Display for ValuePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Comment => {
                "the # and what is after it belong to the value; a comment needs a line of its own"
            }
            Self::Quotes => "the quotes belong to the value; leave them out if they are not meant",
        })
    }
}

/// What the refusal of `value` adds if it may have been meant otherwise.
pub(crate) fn meant_otherwise(value: Option<&str>) -> String {
    value.and_then(ValuePart::of).map_or_else(String::new, |part| format!("; {part}"))
}

/// Puts a warning about the file as a whole, if there is one, before the others; no more than the most remain.
pub(crate) fn put_first(warnings: &mut Vec<Warning>, first: Option<Warning>) {
    warnings.splice(..0, first);
    let full = warnings.len() > WARNINGS_MAX;
    match warnings.pop_if(|last| full && !matches!(last.ignored, Ignored::Further(_))) {
        Some(last) => warnings.push(Warning { ignored: Ignored::Further(1), ..last }),
        None if warnings.len() > WARNINGS_MAX + 1 => {
            warnings.remove(WARNINGS_MAX);
            if let Some(Warning { ignored: Ignored::Further(count), .. }) = warnings.last_mut() {
                *count += 1;
            }
        }
        None => {}
    }
}

/// The warnings about a file, as they come up.
#[derive(Debug)]
pub(crate) struct Warnings<'a> {
    path: &'a Path,
    warnings: Vec<Warning>,
}

impl<'a> Warnings<'a> {
    pub(crate) fn new(path: &'a Path) -> Self {
        Self { path, warnings: Vec::new() }
    }

    /// A warning about the file as a whole.
    pub(crate) fn of_file(path: &Path, form: Form, ignored: Ignored) -> Warning {
        Warning { path: path.into(), line: 1, form, group: String::new(), ignored }
    }

    /// Adds a warning; what it says is worked out only if there is room for it.
    pub(crate) fn add(&mut self, line: usize, group: &WrittenGroup, ignored: impl FnOnce() -> Ignored) {
        let full = self.warnings.len() >= WARNINGS_MAX;
        if full && let Some(Warning { ignored: Ignored::Further(count), .. }) = self.warnings.last_mut() {
            *count += 1;
            return;
        }
        let ignored = if full { Ignored::Further(1) } else { ignored() };
        let (form, group) = (group.form, group.name.clone());
        self.warnings.push(Warning { path: self.path.into(), line, form, group, ignored });
    }

    /// The warnings in the order of the lines; what is beyond them comes last.
    pub(crate) fn into_vec(mut self) -> Vec<Warning> {
        self.warnings.sort_by_key(|warning| (matches!(warning.ignored, Ignored::Further(_)), warning.line));
        self.warnings
    }
}

#[cfg(test)]
mod tests {
    use super::{Ignored, WARNINGS_MAX, Warning, Warnings, put_first};
    use crate::form::Form;
    use crate::written::WrittenGroup;
    use std::path::Path;

    #[test]
    fn a_mark_before_many_warnings_does_not_exceed_the_most() {
        let path = Path::new("f.conf");
        let group = WrittenGroup { form: Form::KeyFile, name: "g".into(), line: 1, pairs: Vec::new() };
        let mark = || Some(Warnings::of_file(path, Form::KeyFile, Ignored::ByteOrderMark));
        for (count, further) in [(0, 0), (49, 0), (50, 1), (51, 2), (70, 21)] {
            let mut warnings = Warnings::new(path);
            (0..count).for_each(|line| warnings.add(line, &group, || Ignored::Group(None)));
            let mut warnings = warnings.into_vec();
            put_first(&mut warnings, None);
            assert_eq!(warnings.len(), count.min(WARNINGS_MAX + 1));
            put_first(&mut warnings, mark());
            let counted =
                |warning: &Warning| if let Ignored::Further(count) = warning.ignored { count } else { 1 };
            assert_eq!(warnings[0].ignored, Ignored::ByteOrderMark, "{count}");
            assert_eq!(warnings.iter().map(counted).sum::<usize>(), count + 1, "{count}");
            assert_eq!(warnings.last().map(counted), Some(further.max(1)), "{count}");
            assert!(warnings.len() <= WARNINGS_MAX + 1, "{count}");
        }
    }
}
