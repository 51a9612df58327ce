//! What can be wrong with the bytes of a request.

use std::fmt;

use etmem_core::name::NameError;

use crate::request::REQUEST_MAX;
use crate::word::WordError;

/// A key of a request line. Every request has all six, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// `proj_name`, a project's name.
    Project,
    /// `file_name`, a configuration file's path.
    File,
    /// `cmd`, the number of what is asked.
    Command,
    /// `eng_name`, an engine's name.
    Engine,
    /// `eng_cmd`, an engine's own command.
    EngineCommand,
    /// `task_name`, a task's name.
    Task,
}

impl Key {
    /// The six keys in the order of the line.
    pub(crate) const ALL: [Self; 6] =
        [Self::Project, Self::File, Self::Command, Self::Engine, Self::EngineCommand, Self::Task];

    /// The key as it stands on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "proj_name",
            Self::File => "file_name",
            Self::Command => "cmd",
            Self::Engine => "eng_name",
            Self::EngineCommand => "eng_cmd",
            Self::Task => "task_name",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why some bytes are no request. The texts are meant as the reason behind `error: invalid parameters`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Another text stands where a key belongs.
    #[error(
        "the request does not have the key {key} at byte {at}; a request is \"proj_name V file_name V cmd N \
         eng_name V eng_cmd V task_name V\""
    )]
    WrongKey {
        /// The key that belongs there.
        key: Key,
        /// Where: bytes before it.
        at: usize,
    },
    /// Two spaces in a row: the value between them is missing.
    #[error("the request has no value behind {0}; an absent value is written '-'")]
    Empty(Key),
    /// No more bytes come, and the request is not complete.
    #[error("the request ends before the value of {0} does")]
    Truncated(Key),
    /// The request goes on behind byte [`REQUEST_MAX`].
    #[error("the request is longer than {REQUEST_MAX} bytes")]
    TooLong,
    /// The value of `cmd` is absent or none of the numbers.
    #[error("cmd is {0:?}; it is a number from 0 to 5")]
    UnknownCommand(String),
    /// A value is absent that is needed for what is asked.
    #[error("{key} is absent, and \"{words}\" needs it")]
    Missing {
        /// The key whose value is absent.
        key: Key,
        /// What is asked, in the words of the command line.
        words: &'static str,
    },
    /// A value is not UTF-8.
    #[error("{key} {value:?} is not UTF-8")]
    NotUtf8 {
        /// The key of the value.
        key: Key,
        /// The value, with what is not UTF-8 replaced.
        value: String,
    },
    /// A value cannot be a name.
    #[error("{key} {value:?} {source}")]
    Name {
        /// The key of the value.
        key: Key,
        /// The value.
        value: String,
        /// The rule that it breaks.
        source: NameError,
    },
    /// A value that is no name breaks a rule.
    #[error("{key} {value:?} {source}")]
    Word {
        /// The key of the value.
        key: Key,
        /// The value.
        value: String,
        /// The rule that it breaks.
        source: WordError,
    },
}
