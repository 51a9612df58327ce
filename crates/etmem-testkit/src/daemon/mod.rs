//! The real binaries: built once ([`binaries`]), a daemon of one's own with its log ([`instance`]), and the
//! configuration files it is given ([`config`]); and the scan library ([`scan_library`]).

pub mod binaries;
pub mod config;
pub mod instance;
pub mod scan_library;

pub use binaries::Binaries;
pub use config::{ProjectFile, TaskKind};
pub use instance::Daemon;
