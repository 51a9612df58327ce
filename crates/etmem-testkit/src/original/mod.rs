//! The programs of etmem 1.x, as far as the socket shows them: a [`client`] for our daemon, a [`server`] for our
//! command line, and a [`decider`] for engine memdcd.
//!
//! Written from the description of the protocol alone, without `etmem-wire`: two programs that share one misreading
//! would agree with each other and with no other implementation.

pub mod client;
pub mod decider;
pub mod server;

pub use client::{Answer, Line, OriginalClient};
pub use decider::OriginalDecider;
pub use server::{Asked, OriginalServer};

/// Most bytes of a request, which is the size of the buffer on either side.
const REQUEST_BUFFER: usize = 512;

/// The last byte of an answer that says yes.
const DONE: u8 = 0xff;

/// The last byte of an answer that says no.
const REFUSED: u8 = 0xfe;

/// The exit number of the client when the server says no, or does not say.
pub const REFUSED_NUMBER: u8 = 186;

/// How long either waits for the other.
pub const ANSWER_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);
