//! All unsafe code of this crate: the border to C.
//!
//! `etmem-abi` has the structures of `include/`; [`entry`] holds the functions that the daemon calls, [`export`] the macro that
//! gives them their symbol. [`key_file`] (GLib), [`scan`] (the scan library), [`advice`] (system calls), [`log`] (syslog)
//! and [`library`] (where code is, and that it stays) are safe faces of what lies beyond the border.

pub(crate) mod advice;
pub(crate) mod entry;
pub(crate) mod export;
pub(crate) mod key_file;
pub(crate) mod library;
pub(crate) mod log;
pub(crate) mod scan;
