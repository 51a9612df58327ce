//! Asking a program outside what to do with pages (engine memdcd): one message, one answer.

use super::pacer::Pacer;
use std::fmt;
use std::time::Duration;

/// Most bytes of a name of the abstract namespace: what `sun_path` holds after its leading zero.
pub const NAME_MAX: usize = 107;

/// A socket in the abstract namespace, where a decider listens: 1 to [`NAME_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AbstractName(Box<str>);

impl AbstractName {
    /// The socket called `name`; none if the name is empty or too long.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        (1..=NAME_MAX).contains(&name.len()).then(|| Self(name.into()))
    }

    /// The name, without the leading zero.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for AbstractName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// Why a message did not get through, or not the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// A stop was asked for.
    #[error("stopped")]
    Stopped,
    /// No program listens there.
    #[error("no decider listens at {0}; start it, or mend Sock")]
    Absent(AbstractName),
    /// It did not take the message and answer in time.
    #[error("the decider at {name} did not answer within {} s", limit.as_secs())]
    Late {
        /// Where it listens.
        name: AbstractName,
        /// How long it had.
        limit: Duration,
    },
    /// It said something else than `success`.
    #[error("the decider at {name} answered {text:?}, not \"success\"")]
    Refused {
        /// Where it listens.
        name: AbstractName,
        /// What it said.
        text: String,
    },
    /// It closed before it had read the message, or the system refused.
    #[error("the decider at {name}: {reason}")]
    Failed {
        /// Where it listens.
        name: AbstractName,
        /// What happened.
        reason: String,
    },
}

/// Carries messages to deciders.
pub trait Deciders: fmt::Debug + Send + Sync {
    /// Sends `message` to the decider at `name` over a connection of its own, and waits for the answer: at most `limit` for both
    /// together, and no longer than until `pacer` says stop. A decider that closes the connection without a word, after it has
    /// read the message, agrees.
    ///
    /// # Errors
    /// Why the message did not get through, or what else than yes the answer was.
    fn ask(
        &self,
        name: &AbstractName,
        message: &[u8],
        limit: Duration,
        pacer: &dyn Pacer,
    ) -> Result<(), Unanswered>;
}
