//! What reading from swap takes: `/proc/swaps`, `/sys/class/block/*/stat` of each device (`Documentation/admin-guide/iostats.rst`), and
//! `zswpin` of `/proc/vmstat`.
//!
//! A device of the machine's own files as well as of swap counts all of its reads: a page of swap waits behind them.

use crate::figures::{counter, swap_devices};
use crate::root::{Roots, SysRoot};
use crate::sinking::device::is_zram;
use crate::small_file::{self, KeptFile};
use etmem_core::kernel::memory::SwapReads;
use rustix::fs::{major, minor};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// What a page takes that is decompressed: what `cargo bench --package etmem-tests --bench measures -- mover` prints.
const OF_MEMORY: Duration = Duration::from_micros(3);

/// What one takes from a disk of which nothing is known: more than from most that have no moving parts.
const OF_DISK: Duration = Duration::from_millis(1);

/// The swap of a machine.
#[derive(Debug, Clone)]
pub(crate) struct SwapReading {
    swaps: KeptFile,
    sys: SysRoot,
}

impl SwapReading {
    /// That of the machine whose file systems are mounted at `roots`.
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { swaps: KeptFile::new(roots.proc.machine("swaps")), sys: roots.sys.clone() }
    }

    /// What reading from it took so far; `vmstat` is what that file says. None if there is no swap, or no device of it tells.
    pub(crate) fn reads(&self, vmstat: &[u8]) -> Option<SwapReads> {
        let swaps = self.swaps.read().ok()?;
        let swaps = String::from_utf8_lossy(&swaps);
        let devices = swap_devices(&swaps).filter_map(|device| self.reads_of(device.name));
        let mut all = devices.reduce(|sum, device| SwapReads {
            reads: sum.reads.saturating_add(device.reads),
            took: sum.took.saturating_add(device.took),
            // The slowest: pages go there when the others are full.
            usual: sum.usual.max(device.usual),
        })?;
        let from_zswap = counter(&String::from_utf8_lossy(vmstat), "zswpin").unwrap_or(0);
        all.reads = all.reads.saturating_add(from_zswap);
        all.took += OF_MEMORY.saturating_mul(u32::try_from(from_zswap).unwrap_or(u32::MAX));
        Some(all)
    }

    fn reads_of(&self, name: &str) -> Option<SwapReads> {
        let file = if name.starts_with('/') {
            let device = fs::metadata(unescaped(name)).ok()?.dev();
            format!("dev/block/{}:{}/stat", major(device), minor(device))
        } else {
            // Partitions are there as well as whole devices. `dm-0` is named so, `mapper/swap` is a link to it.
            let node = name.rsplit('/').next().unwrap_or(name);
            format!("class/block/{node}/stat")
        };
        let text = small_file::read_to_string(&self.sys.file(&file)).ok()?;
        let mut figures = text.split_whitespace().map(str::parse::<u64>);
        // Reads, those merged, sectors, milliseconds.
        let (reads, milliseconds) = (figures.next()?.ok()?, figures.nth(2)?.ok()?);
        let usual = if is_zram(name) { OF_MEMORY } else { OF_DISK };
        Some(SwapReads { reads, took: Duration::from_millis(milliseconds), usual })
    }
}

/// A path as it is, of one as `/proc/swaps` writes it: what is no letter in three octal digits (`seq_file_path`).
fn unescaped(path: &str) -> String {
    let mut parts = path.split('\\');
    let mut whole = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => whole.extend([&[byte], &part.as_bytes()[3..]].concat()),
            None => whole.extend([b"\\", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&whole).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::ProcRoot;

    fn reads(reads: u64, milliseconds: u64, usual: Duration) -> SwapReads {
        SwapReads { reads, took: Duration::from_millis(milliseconds), usual }
    }

    #[test]
    fn all_that_is_swap_counts() {
        let tree = tempfile::tempdir().unwrap();
        let reading =
            SwapReading::new(&Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) });
        let write = |file: &str, text: &str| {
            let path = tree.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(reading.reads(b""), None);
        let swaps = |lines: &str| write("swaps", &format!("Filename Type Size Used Priority\n{lines}"));
        swaps("/dev/zram0 partition 8 0 5\n");
        assert_eq!(reading.reads(b"zswpin 7\n"), None, "it does not tell");
        write("class/block/zram0/stat", "  400  0  3200  12  0 0 0 0 0 0 0\n");
        assert_eq!(reading.reads(b""), Some(reads(400, 12, OF_MEMORY)));
        write("class/block/vdb1/stat", "10 0 80 50 0 0 0 0 0 0 0\n");
        swaps("/dev/zram0 partition 8 0 5\n/dev/vdb1 partition 8 0 -2\n");
        assert_eq!(reading.reads(b""), Some(reads(410, 62, OF_DISK)));
        assert_eq!(reading.reads(b"zswpin 1000\n"), Some(reads(1410, 65, OF_DISK)));
        let file = tree.path().join("swap file");
        fs::write(&file, "").unwrap();
        let device = fs::metadata(&file).unwrap().dev();
        write(&format!("dev/block/{}:{}/stat", major(device), minor(device)), "5 0 40 2 0 0 0\n");
        swaps(&format!("{} file 8 0 -2\n", file.display()).replace("swap file", "swap\\040file"));
        assert_eq!(reading.reads(b""), Some(reads(5, 2, OF_DISK)));
        write("class/block/zram0/stat", "garbage\n");
        swaps("/dev/zram0 partition 8 0 5\n");
        assert_eq!(reading.reads(b""), None);
    }

    #[test]
    fn paths_as_the_kernel_escapes_them() {
        for (escaped, whole) in
            [("/swap", "/swap"), ("/a\\040b", "/a b"), ("/a\\134040", "/a\\040"), ("/a\\9", "/a\\9")]
        {
            assert_eq!(unescaped(escaped), whole);
        }
    }
}
