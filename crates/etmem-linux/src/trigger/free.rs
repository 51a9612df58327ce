//! Free memory falls below a share of the machine's.

use super::watch::{Crossing, Watch, mebibytes};
use crate::memory::MachineMemory;
use crate::root::Roots;
use etmem_core::kernel::memory::SystemMemory;
use rustix::event::PollFlags;
use std::os::fd::BorrowedFd;

/// A threshold of free memory.
#[derive(Debug)]
pub(super) struct FreeWatch {
    memory: MachineMemory,
    below_percent: u8,
    crossing: Crossing,
}

impl FreeWatch {
    /// Watches for less than `below_percent` to be free. With `afresh`, that it is already is no crossing.
    ///
    /// # Errors
    /// Why the kernel does not say.
    pub(super) fn arm(roots: &Roots, below_percent: u8, afresh: bool) -> Result<Self, String> {
        let mut watch =
            Self { memory: MachineMemory::new(roots), below_percent, crossing: Crossing::new(false) };
        let (is_below, _) = watch.state()?;
        watch.crossing = Crossing::new(afresh && is_below);
        Ok(watch)
    }

    /// Whether less is free, and how much is.
    fn state(&self) -> Result<(bool, u64), String> {
        let state = self.memory.state().map_err(|error| error.to_string())?;
        let is_below =
            u128::from(state.free) * 100 < u128::from(state.total) * u128::from(self.below_percent);
        Ok((is_below, state.free))
    }
}

impl Watch for FreeWatch {
    fn descriptor(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        None
    }

    fn begin(&mut self) -> Result<Option<String>, String> {
        self.read()
    }

    fn read(&mut self) -> Result<Option<String>, String> {
        let (is_below, free) = self.state()?;
        let fired = self.crossing.came_past(is_below, 0);
        Ok(fired.then(|| format!("{} MiB are free", mebibytes(free))))
    }
}
