//! `/proc/meminfo`: the state of the machine's memory and swap.

use crate::figures::{bytes_of, counters};
use crate::root::Roots;
use crate::small_file::KeptFile;
use crate::swap_reads::SwapReading;
use crate::swap_stuck::SwapStuck;
use crate::zram::ZramDevices;
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::memory::{MemoryState, SwapReads, SystemMemory};
use etmem_core::kernel::process::ProcessError;

/// The memory of the machine.
#[derive(Debug, Clone)]
pub struct MachineMemory {
    meminfo: KeptFile,
    vmstat: KeptFile,
    zram: ZramDevices,
    reading: SwapReading,
    stuck: SwapStuck,
}

impl MachineMemory {
    /// The memory of the machine whose file systems are mounted at `roots`.
    #[must_use]
    pub fn new(roots: &Roots) -> Self {
        Self {
            meminfo: KeptFile::new(roots.proc.machine("meminfo")),
            vmstat: KeptFile::new(roots.proc.machine("vmstat")),
            zram: ZramDevices::new(roots),
            reading: SwapReading::new(roots),
            stuck: SwapStuck::new(roots.proc.clone()),
        }
    }
}

impl SystemMemory for MachineMemory {
    fn state(&self) -> Result<MemoryState, ProcessError> {
        let refused = |reason: String| ProcessError::refused(self.meminfo.path().display(), reason);
        let text = self.meminfo.read().map_err(|error| refused(error.to_string()))?;
        let figure = |name| bytes_of(&text, name).ok_or_else(|| refused(format!("has no {name} in kB")));
        let swap_cached = figure("SwapCached").unwrap_or(0);
        // Kernels built without swap have none of these lines.
        let swap_total = figure("SwapTotal").unwrap_or(0);
        let zram = self.zram.state();
        Ok(MemoryState {
            total: figure("MemTotal")?,
            free: figure("MemFree")?,
            // Kernels before 3.14 have no such line.
            available: figure("MemAvailable").unwrap_or(0),
            swap_total,
            swap_free: figure("SwapFree").unwrap_or(0),
            swap_cached,
            // Kernels before 5.19 have no such line.
            swap_compressed: zram.used.saturating_add(figure("Zswap").unwrap_or(0)),
            swap_in_memory: zram.alone,
            swap_limit: zram.limit,
            swap_stuck: self.stuck.bytes(swap_cached, swap_total),
        })
    }

    fn swapped_in(&self) -> Option<u64> {
        let text = self.vmstat.read().ok()?;
        let text = String::from_utf8_lossy(&text);
        let counted = counters(&text).filter(|(name, _)| SWAPPED_IN.contains(name));
        let pages = counted.map(|(_, pages)| pages).reduce(u64::saturating_add)?;
        Some(pages.saturating_mul(PAGE_SIZE))
    }

    fn reads(&self) -> Vec<SwapReads> {
        let [meminfo, vmstat] = [&self.meminfo, &self.vmstat].map(|file| file.read().unwrap_or_default());
        self.reading.reads(&meminfo, &vmstat)
    }
}

/// Lines of `/proc/vmstat` that count pages read back from swap: from a device, from zswap, and those full of zeroes, which are
/// kept nowhere.
const SWAPPED_IN: [&str; 3] = ["pswpin", "zswpin", "swpin_zero"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{ProcRoot, SysRoot};

    fn roots(path: &std::path::Path) -> Roots {
        Roots { proc: ProcRoot::new(path), sys: SysRoot::new(path) }
    }

    #[test]
    fn reads_meminfo() {
        let tree = tempfile::tempdir().unwrap();
        let memory = MachineMemory::new(&roots(tree.path()));
        assert!(memory.state().unwrap_err().to_string().contains("meminfo"));
        let file = tree.path().join("meminfo");
        std::fs::write(
            &file,
            "MemTotal:       2048 kB\nMemFree:         512 kB\nMemAvailable:    700 kB\n\
             SwapCached:        4 kB\nSwapTotal:       100 kB\nSwapFree:         90 kB\n\
             Zswap:             3 kB\nZswapped:          9 kB\n",
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
                swap_cached: 4 * kib,
                swap_compressed: 3 * kib,
                swap_in_memory: false,
                swap_limit: None,
                swap_stuck: 0,
            }
        );
        std::fs::write(&file, "MemTotal:       2048 kB\nMemFree:         512 kB\n").unwrap();
        assert_eq!(memory.state().unwrap().swap_total, 0);
        std::fs::write(&file, "MemTotal:       2048 pages\n").unwrap();
        assert!(memory.state().unwrap_err().to_string().contains("MemTotal"));
    }

    #[test]
    fn counts_what_was_read_back_from_swap() {
        let tree = tempfile::tempdir().unwrap();
        let memory = MachineMemory::new(&roots(tree.path()));
        assert_eq!(memory.swapped_in(), None);
        for (text, want) in [
            ("nr_free_pages 7\n", None),
            ("pgpgin 9\npswpin 3\npswpout 5\n", Some(3 * 4096)),
            ("pswpin 3\nswpin_zero 2\nzswpin 4\nzswpout 50\n", Some(9 * 4096)),
        ] {
            std::fs::write(tree.path().join("vmstat"), text).unwrap();
            assert_eq!(memory.swapped_in(), want, "{text}");
        }
    }

    #[test]
    fn reads_this_machine() {
        let state = MachineMemory::new(&Roots::default()).state().unwrap();
        assert!(state.total > 0 && state.free < state.total && state.swap_free <= state.swap_total);
    }
}
