//! `etmem pressure run`: a trim command at each request for memory, for programs that do not know the protocol.
//!
//! `watch` is what is listened to, by systemd's protocol for memory pressure; `run` waits for it, for signals and for the command.

mod run;
mod watch;

pub(crate) use run::run;
pub(crate) use watch::Place;
