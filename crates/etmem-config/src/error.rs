//! Why a configuration file is refused.

use crate::excerpt::{excerpt, path_excerpt};
use crate::warning::meant_otherwise;
use std::path::{Path, PathBuf};

pub use crate::file::FileError;
pub use crate::form::Form;
pub use crate::keyfile::{SyntaxError, SyntaxFault};
pub use crate::rule::{Order, Rule};
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
    /// The file.
    #[error("{}: is empty; a file of etmem 1.0 begins with options:", path_excerpt(.0))]
    NoOptions(PathBuf),
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
            Self::File(_) | Self::NoKnownGroup { .. } | Self::NoOptions(_) => FaultClass::InvalidParameters,
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
#[error("{}:{line}: {} {} {rule}{}", path_excerpt(.path), .form.group(.group), .form.pair(.key, .value.as_deref()), meant_otherwise(.value.as_deref()))]
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
    /// Its value, if it has one.
    pub value: Option<String>,
    /// The rule.
    pub rule: Rule,
    /// Which text the original answers.
    pub class: FaultClass,
}
