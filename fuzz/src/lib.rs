//! What must hold for any bytes that come from outside, one module for each reader of such bytes.
//!
//! ```text
//!  libFuzzer --bytes--> targets/NAME.rs --> NAME::check --> the reader, as the daemon calls it
//!                                               |
//!                                               +--> panics if what it gives cannot be right
//! ```
//!
//! A reader that panics or takes too long is a finding already; `check` finds what is merely wrong: an answer that
//! depends on how the bytes were cut, a value out of its bounds, a message of several lines.

pub mod idle_pages;
pub mod key_file;
pub mod older;
pub mod record;
pub mod request;

mod choice;
mod config;
mod message;
mod pace;
