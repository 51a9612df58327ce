//! For tasks whose pages move between nodes: nothing of theirs leaves memory.

use etmem_core::kernel::mover::{PageMover, SwapOut};
use etmem_core::kernel::process::{ProcessError, ProcessId};

/// A mover out of memory for those who are to move nothing there.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

impl PageMover for Nowhere {
    fn name(&self) -> &'static str {
        "none"
    }

    fn attach(&self, _: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError> {
        let reason = "this task moves pages between nodes, and none out of memory".to_owned();
        Err(ProcessError::Refused { call: "paging out".to_owned(), reason })
    }
}
