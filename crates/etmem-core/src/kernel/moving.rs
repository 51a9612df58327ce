//! Where the pages of a task go.

use super::mover::PageMover;
use super::nodes::Numa;
use super::process::ProcessError;
use std::sync::Arc;

/// What moves the pages of a task.
#[derive(Debug, Clone)]
pub enum Moving {
    /// Out of memory.
    Out(Arc<dyn PageMover>),
    /// Between NUMA nodes.
    Nodes(Numa),
    /// Another program, or the kernel itself, does it.
    Elsewhere,
    /// Out of memory, as the kernel chooses: whole control groups are reclaimed ([`super::groups`]).
    Groups,
}

impl Moving {
    /// The mover out of memory.
    ///
    /// # Errors
    /// When pages move between nodes instead.
    pub fn out(&self) -> Result<&dyn PageMover, ProcessError> {
        match self {
            Self::Out(mover) => Ok(&**mover),
            Self::Nodes(_) => {
                let reason = "this task moves pages between NUMA nodes, and none out of memory";
                Err(ProcessError::refused("paging out", reason))
            }
            Self::Groups => {
                let reason = "this task reclaims control groups, and no pages that it chooses";
                Err(ProcessError::refused("paging out", reason))
            }
            Self::Elsewhere => Err(ProcessError::refused("paging out", "this task moves no page itself")),
        }
    }

    /// The nodes and the mover between them; `None` if pages move out of memory.
    #[must_use]
    pub const fn nodes(&self) -> Option<&Numa> {
        match self {
            Self::Out(_) | Self::Elsewhere | Self::Groups => None,
            Self::Nodes(numa) => Some(numa),
        }
    }
}
