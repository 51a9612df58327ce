//! `/proc/meminfo`: the state of the machine's memory and swap.

use crate::figures::bytes_of;
use crate::root::ProcRoot;
use crate::small_file;
use etmem_core::kernel::memory::{MemoryState, SystemMemory};
use etmem_core::kernel::process::ProcessError;

/// The memory of the machine.
#[derive(Debug, Clone)]
pub struct MachineMemory(pub ProcRoot);

impl SystemMemory for MachineMemory {
    fn state(&self) -> Result<MemoryState, ProcessError> {
        let path = self.0.machine("meminfo");
        let refused = |reason: String| ProcessError::refused(path.display(), reason);
        let text = small_file::read(&path).map_err(|error| refused(error.to_string()))?;
        let figure = |name| bytes_of(&text, name).ok_or_else(|| refused(format!("has no {name} in kB")));
        Ok(MemoryState {
            total: figure("MemTotal")?,
            free: figure("MemFree")?,
            // Kernels before 3.14 have no such line.
            available: figure("MemAvailable").unwrap_or(0),
            // Kernels built without swap have none of these lines.
            swap_total: figure("SwapTotal").unwrap_or(0),
            swap_free: figure("SwapFree").unwrap_or(0),
            swap_cached: figure("SwapCached").unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_meminfo() {
        let tree = tempfile::tempdir().unwrap();
        let memory = MachineMemory(ProcRoot::new(tree.path()));
        assert!(memory.state().unwrap_err().to_string().contains("meminfo"));
        let file = tree.path().join("meminfo");
        std::fs::write(
            &file,
            "MemTotal:       2048 kB\nMemFree:         512 kB\nMemAvailable:    700 kB\n\
             SwapCached:        4 kB\nSwapTotal:       100 kB\nSwapFree:         90 kB\n",
        )
        .unwrap();
        let kib = 1024;
        assert_eq!(
            memory.state().unwrap(),
            MemoryState {
                total: 2048 * kib,
                free: 512 * kib,
                available: 700 * kib,
                swap_total: 100 * kib,
                swap_free: 90 * kib,
                swap_cached: 4 * kib
            }
        );
        std::fs::write(&file, "MemTotal:       2048 kB\nMemFree:         512 kB\n").unwrap();
        assert_eq!(memory.state().unwrap().swap_total, 0);
        std::fs::write(&file, "MemTotal:       2048 pages\n").unwrap();
        assert!(memory.state().unwrap_err().to_string().contains("MemTotal"));
    }

    #[test]
    fn reads_this_machine() {
        let state = MachineMemory(ProcRoot::default()).state().unwrap();
        assert!(state.total > 0 && state.free < state.total && state.swap_free <= state.swap_total);
    }
}
