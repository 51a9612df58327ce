//! A decider that follows a script, and remembers what it was sent.

use etmem_core::kernel::decider::{AbstractName, Unanswered};

/// What a decider was sent, and how it answers.
#[derive(Debug, Clone, Default)]
pub struct FakeDecider {
    /// Each message, and where it went.
    pub messages: Vec<(AbstractName, Vec<u8>)>,
    /// It answers the message with this number, from 0, and all after it, so.
    pub fails_from: Option<(usize, Unanswered)>,
}
