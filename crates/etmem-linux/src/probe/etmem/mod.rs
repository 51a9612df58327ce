//! The probe of openEuler's module etmem_scan: `/proc/PID/idle_pages`.
//!
//! Reading clears: each read tests and clears the accessed bits of the pages it reports, so `prepare` and `check` are one step.
//! `source` says whether this machine has the module, `watch` is bound to one process, `walk` reads all of its ranges
//! through one small buffer; [`etmem_core::idle_pages`] knows what the bytes mean.
//!
//! The module may be asked by one scan of a process at a time; the daemon's scanners take turns.

mod flags;
mod source;
mod walk;
mod watch;

pub use source::Etmem;
