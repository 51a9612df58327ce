//! What can be wrong with the bytes of a request.

use etmem_core::name::NameError;

use crate::key::Key;
use crate::request::REQUEST_MAX;
use crate::word::WordError;

/// Why some bytes are no request. The texts are reasons, for the lines after `error: invalid parameters`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Another text is at the place of a key.
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
    /// The request goes on after byte [`REQUEST_MAX`].
    #[error("the request is longer than {REQUEST_MAX} bytes")]
    TooLong,
    /// The value of `cmd` is absent or none of the numbers.
    #[error("cmd is {0:?}; it is a number from 0 to 5")]
    UnknownCommand(String),
    /// The request needs a value that is absent.
    #[error("{key} is absent, and \"{words}\" needs it")]
    Missing {
        /// The key whose value is absent.
        key: Key,
        /// The request, in the words of the command line.
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
