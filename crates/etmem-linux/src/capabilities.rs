//! What this machine can do: each probe and mover with yes, or why not.

use crate::choice::Interfaces;
use crate::root::Roots;
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

impl Capabilities {
    /// Tries each of them and keeps none.
    #[must_use]
    pub fn detect(roots: &Roots) -> Self {
        Interfaces::new(roots.clone()).capabilities()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{ProcRoot, SysRoot};

    #[test]
    fn a_machine_without_anything() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) };
        let capabilities = Capabilities::detect(&roots);
        for capability in capabilities.probes.iter().chain(&capabilities.movers) {
            let reason = capability.available.clone().unwrap_err().to_string();
            assert!(!reason.contains('\n') && !reason.is_empty(), "{}: {reason}", capability.name);
        }
    }
}
