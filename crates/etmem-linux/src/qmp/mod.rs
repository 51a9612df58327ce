//! QEMU's machine protocol over a Unix socket: a line of JSON for each request, event and answer (`docs/interop/qmp-spec` of QEMU).
//!
//! `client` exchanges messages, `guest` asks what a balloon needs. A monitor may be slow, silent, taken by another program, gone in the
//! middle of an answer, or no monitor at all: each ends an exchange within its time.

mod client;
mod guest;

pub use guest::{connect, give_back};

#[cfg(test)]
mod tests;
