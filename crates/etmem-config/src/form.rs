//! The two forms of a configuration file, and how messages write each one's groups and keys.

use crate::excerpt::excerpt;
use serde::{Deserialize, Serialize};

/// In which of its two forms a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// `[group]` and `key=value`: etmem 1.1 and later.
    KeyFile,
    /// `group:` and `key : value`, of which the first is `options:`: etmem 1.0.
    Older,
}

impl Form {
    /// The group called `name`.
    pub(crate) fn group(self, name: &str) -> String {
        match self {
            Self::KeyFile => format!("[{}]", excerpt(name)),
            Self::Older => format!("{}:", excerpt(name)),
        }
    }

    /// The key called `key`, with its value where it has one.
    pub(crate) fn pair(self, key: &str, value: Option<&str>) -> String {
        match (self, value) {
            (_, None) => key.into(),
            (Self::KeyFile, Some(value)) => format!("{key}={}:", excerpt(value)),
            (Self::Older, Some(value)) => format!("{key} : {}:", excerpt(value)),
        }
    }
}
