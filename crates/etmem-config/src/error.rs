//! Why a configuration file is refused.

use crate::excerpt::{excerpt, path_excerpt};
use crate::nearest::{Nearest, suggestion};
use etmem_core::name::NameError;
use std::fmt;
use std::path::{Path, PathBuf};

pub use crate::file::FileError;
pub use crate::form::Form;
pub use crate::keyfile::{SyntaxError, SyntaxFault};
pub use crate::written::KeyError;

/// Which of its two texts for faulty files the original answers, and so ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultClass {
    /// `error: invalid parameters`: the file's checks, no known group, project keys, and the names by which
    /// engines and tasks hang together.
    InvalidParameters,
    /// `error: etmemd has internal error, …`: a file that does not parse, an unknown engine, and the
    /// parameters of engines and tasks.
    Internal,
}

/// The first fault of a file. Displayed in one line that names the file, the line, the key, the value and the
/// rule.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It may not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line of it cannot be read.
    #[error("{}:{fault}", path_excerpt(.path))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Its faulty line.
        #[source]
        fault: SyntaxError,
    },
    /// It has nothing for etmemd.
    #[error("{}: has none of the groups [project], [engine] and [task]{}", path_excerpt(.path), instead(.found.as_deref()))]
    NoKnownGroup {
        /// The file.
        path: PathBuf,
        /// The first group it has instead.
        found: Option<String>,
    },
    /// It is in the form of etmem 1.0, and has nothing for etmemd.
    #[error("{}: is empty; a file of etmem 1.0 begins with options:", path_excerpt(.path))]
    NoOptions {
        /// The file.
        path: PathBuf,
    },
    /// It is in the other form than the command takes.
    #[error("{}", other_form(.path, *.line, *.form))]
    OtherForm {
        /// The file.
        path: PathBuf,
        /// The line that shows it.
        line: usize,
        /// The form it has.
        form: Form,
    },
    /// A key breaks a rule.
    #[error(transparent)]
    Setting(Box<SettingError>),
}

impl ConfigError {
    pub(crate) fn syntax(path: &Path, fault: SyntaxError) -> Self {
        Self::Syntax { path: path.into(), fault }
    }

    pub(crate) fn no_known_group(path: &Path, found: Option<&str>) -> Self {
        Self::NoKnownGroup { path: path.into(), found: found.map(Into::into) }
    }

    /// Which text the original answers to it.
    #[must_use]
    pub fn class(&self) -> FaultClass {
        match self {
            Self::File(_) | Self::NoKnownGroup { .. } | Self::NoOptions { .. } => {
                FaultClass::InvalidParameters
            }
            Self::Syntax { .. } | Self::OtherForm { .. } => FaultClass::Internal,
            Self::Setting(error) => error.class,
        }
    }
}

/// What to do with a file in `form`.
fn other_form(path: &Path, line: usize, form: Form) -> String {
    let path = path_excerpt(path);
    match form {
        Form::Older => format!(
            "{path}:{line}: options: begins a file of etmem 1.0; use etmem project add -n NAME -f {path}, \
             and etmem project del -n NAME"
        ),
        Form::KeyFile => format!(
            "{path}:{line}: a [group] begins a file in the INI form, not in that of etmem 1.0; \
             use etmem obj add -f {path}"
        ),
    }
}

fn instead(found: Option<&str>) -> String {
    found.map_or_else(String::new, |name| format!("; it has [{}]", excerpt(name)))
}

/// A key that breaks a rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}:{line}: {} {} {rule}", path_excerpt(.path), .form.group(.group), .form.pair(.key, .value.as_deref()))]
pub struct SettingError {
    /// The file.
    pub path: PathBuf,
    /// The key's line, from 1; that of its group where the key is missing.
    pub line: usize,
    /// The form of the file.
    pub form: Form,
    /// The group's name.
    pub group: String,
    /// The key.
    pub key: &'static str,
    /// Its value; none where it is missing.
    pub value: Option<String>,
    /// The rule.
    pub rule: Rule,
    /// Which text the original answers.
    pub class: FaultClass,
}

/// A rule that the value of a key breaks.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rule {
    /// It has to be given.
    #[error("is missing; {used_by} needs it{}", lookalike(.written))]
    Missing {
        /// Who needs it.
        used_by: String,
        /// An unknown key of the same group that was probably meant to be it.
        written: Option<String>,
    },
    /// A whole number within bounds, both included.
    #[error("must be {least}..={most}")]
    Whole {
        /// The least.
        least: i64,
        /// The greatest.
        most: i64,
    },
    /// A whole number with a lower bound alone.
    #[error("must be a whole number, {least} or more")]
    AtLeast {
        /// The least.
        least: i64,
    },
    /// A decimal number within bounds, both included.
    #[error("must be a number in {least}..={most}")]
    Decimal {
        /// The least.
        least: f64,
        /// The greatest.
        most: f64,
    },
    /// A decimal number within bounds, both included, or the word for no bound.
    #[error("must be a number in {least}..={most}, or none")]
    DecimalOrNone {
        /// The least.
        least: f64,
        /// The greatest.
        most: f64,
    },
    /// A count in a cycle, from 1 to what its scans can count.
    #[error("must be 1..={most} (3 times loop : {loops})")]
    TimesLoop {
        /// The greatest.
        most: u16,
        /// The scans of a cycle.
        loops: u16,
    },
    /// A name.
    #[error("{0}")]
    Name(#[from] NameError),
    /// One of these words.
    #[error("must be {0}")]
    OneOf(String),
    /// A form that the text says.
    #[error("must be {0}")]
    Form(&'static str),
    /// The name of an engine that there is.
    #[error("is not an engine{}", suggestion(.nearest.as_ref()))]
    UnknownEngine {
        /// The engine it may be meant to be.
        nearest: Option<Nearest>,
    },
    /// An order between two keys.
    #[error("must be {order} {other}={}", excerpt(.value))]
    Order {
        /// Which order.
        order: Order,
        /// The other key.
        other: &'static str,
        /// The other key's value.
        value: String,
    },
    /// Two keys of which one was given.
    #[error("needs {other} beside it; give both or none")]
    Alone {
        /// The other key.
        other: &'static str,
    },
}

/// An order between the values of two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Less than.
    Below,
    /// Less than or equal to.
    AtMost,
    /// Greater than.
    Above,
    /// Greater than or equal to.
    AtLeast,
}

impl Order {
    /// The same order, said of the other value.
    pub(crate) const fn reversed(self) -> Self {
        match self {
            Self::Below => Self::Above,
            Self::AtMost => Self::AtLeast,
            Self::Above => Self::Below,
            Self::AtLeast => Self::AtMost,
        }
    }

    /// Whether `left` stands in this order to `right`.
    pub(crate) fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Below => left < right,
            Self::AtMost => left <= right,
            Self::Above => left > right,
            Self::AtLeast => left >= right,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Below => "below",
            Self::AtMost => "at most",
            Self::Above => "above",
            Self::AtLeast => "at least",
        })
    }
}

fn lookalike(written: &Option<String>) -> String {
    written.as_deref().map_or_else(String::new, |key| format!("; is {} a mistyping of it?", excerpt(key)))
}
