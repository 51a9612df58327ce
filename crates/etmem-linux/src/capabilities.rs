//! What this machine can do: each probe and mover with yes, or why not.

use crate::unavailable::Unavailable;

/// One probe or mover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// Its short name.
    pub name: &'static str,
    /// Whether it can work here.
    pub available: Result<(), Unavailable>,
}

/// All probes and movers there are, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Ways of seeing which pages were touched.
    pub probes: Vec<Capability>,
    /// Ways of moving pages.
    pub movers: Vec<Capability>,
}
