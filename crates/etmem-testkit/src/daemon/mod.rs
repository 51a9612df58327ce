//! The real binaries: built once ([`binaries`]), a daemon of one's own with its log ([`instance`]), and the
//! configuration files it is given ([`config`]).

pub mod binaries;
pub mod config;
pub mod instance;

pub use binaries::Binaries;
pub use config::{ProjectFile, TaskKind};
pub use instance::Daemon;
