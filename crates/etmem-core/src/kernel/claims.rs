//! Keeping the scans of a daemon and those of commands such as `etmem survey` apart, which are other programs.

use super::process::{ProcessId, ProcessTable};
use std::fmt;

/// What is held while a claim is: dropped, it gives the memory free.
pub trait Held: fmt::Debug + Send + Sync {}

/// The memory of a process, claimed for a scan.
#[derive(Debug)]
pub struct Claim {
    /// Gives it free when dropped.
    pub held: Box<dyn Held>,
    /// How many commands have scanned anything on this machine so far. Where the number has changed, accessed bits may have been
    /// cleared meanwhile.
    pub commands: u64,
}

/// Claims memory of processes for the scans of a daemon.
pub trait ScanClaims: fmt::Debug + Send + Sync {
    /// Claims the memory of `process`; `None` while a command has it, or a process that shares it by `processes`. Called before
    /// each scan of a process.
    fn claim(&self, process: ProcessId, processes: &dyn ProcessTable) -> Option<Claim>;
}
