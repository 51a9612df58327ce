//! What reading from swap takes: `/proc/swaps`, `/sys/class/block/*/stat` of each device (`Documentation/admin-guide/iostats.rst`), and
//! `zswpin` of `/proc/vmstat`.
//!
//! A device of the machine's own files as well as of swap counts all of its reads: a page of swap waits behind them. One that holds no
//! page does not matter.

use crate::figures::{SwapDevice, bytes_of, counter, swap_devices};
use crate::root::{Roots, SysRoot};
use crate::sinking::device::is_zram;
use crate::small_file::{self, KeptFile};
use etmem_core::kernel::memory::SwapReads;
use rustix::fs::{major, minor};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
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

    /// What reading from it took so far, of each device; `meminfo` and `vmstat` are what these files say.
    pub(crate) fn reads(&self, meminfo: &[u8], vmstat: &[u8]) -> Vec<SwapReads> {
        let swaps = self.swaps.read().unwrap_or_default();
        let swaps = String::from_utf8_lossy(&swaps);
        let first = swap_devices(&swaps).map(|device| device.priority).max();
        let mut all: Vec<SwapReads> = swap_devices(&swaps)
            .map(|device| SwapReads { is_next: Some(device.priority) == first, ..self.reads_of(&device) })
            .collect();
        // What zswap holds has its place on a disk, and is not read from there.
        let mut held = bytes_of(meminfo, "Zswapped").unwrap_or(0);
        if held > 0 {
            let reads = counter(&String::from_utf8_lossy(vmstat), "zswpin").unwrap_or(0);
            let took = OF_MEMORY.saturating_mul(u32::try_from(reads).unwrap_or(u32::MAX));
            let zswap = SwapReads { id: 0, reads, took, usual: OF_MEMORY, used: held, is_next: false };
            for disk in all.iter_mut().filter(|device| device.usual == OF_DISK) {
                let part = held.min(disk.used);
                disk.used -= part;
                held -= part;
            }
            all.push(zswap);
        }
        all
    }

    /// What one device tells; as usual if it does not, as a file of btrfs or of an overlay.
    fn reads_of(&self, device: &SwapDevice<'_>) -> SwapReads {
        let mut hasher = DefaultHasher::new();
        device.name.hash(&mut hasher);
        let usual = if is_zram(device.name) { OF_MEMORY } else { OF_DISK };
        let silent =
            SwapReads { id: hasher.finish(), usual, used: device.used.unwrap_or(0), ..SwapReads::default() };
        let told = self.figures_of(device.name);
        told.map_or(silent, |(reads, took)| SwapReads { reads, took, ..silent })
    }

    /// How many reads there were of the device called so, and what they took.
    fn figures_of(&self, name: &str) -> Option<(u64, Duration)> {
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
        Some((reads, Duration::from_millis(milliseconds)))
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

    /// Reads, milliseconds, bytes in use, and whether pages go there first.
    fn told(reading: &SwapReading, meminfo: &[u8], vmstat: &[u8]) -> Vec<(u64, u128, u64, bool)> {
        let all = reading.reads(meminfo, vmstat);
        let told = all.iter().map(|one| (one.reads, one.took.as_millis(), one.used, one.is_next));
        told.collect()
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
        let swaps = |lines: &str| write("swaps", &format!("Filename Type Size Used Priority\n{lines}"));
        assert_eq!(told(&reading, b"", b""), []);
        swaps("/dev/zram0 partition 8 4 5\n");
        assert_eq!(told(&reading, b"", b"zswpin 7\n"), [(0, 0, 4096, true)], "it does not tell");
        assert_eq!(reading.reads(b"", b"")[0].usual, OF_MEMORY);
        write("class/block/zram0/stat", "  400  0  3200  12  0 0 0 0 0 0 0\n");
        assert_eq!(told(&reading, b"", b""), [(400, 12, 4096, true)]);
        write("class/block/vdb1/stat", "10 0 80 50 0 0 0 0 0 0 0\n");
        swaps("/dev/vdb1 partition 80 12 -2\n/dev/zram0 partition 8 4 5\n");
        let both = [(10, 50, 12 << 10, false), (400, 12, 4096, true)];
        assert_eq!(told(&reading, b"Zswapped: 0 kB\n", b"zswpin 1000\n"), both);
        let all = [(10, 50, 4 << 10, false), both[1], (1000, 3, 8 << 10, false)];
        assert_eq!(told(&reading, b"Zswapped: 8 kB\n", b"zswpin 1000\n"), all);
        let file = tree.path().join("swap file");
        fs::write(&file, "").unwrap();
        let device = fs::metadata(&file).unwrap().dev();
        let line = format!("{} file 8 8 -2\n", file.display()).replace("swap file", "swap\\040file");
        swaps(&line);
        assert_eq!(told(&reading, b"", b""), [(0, 0, 8 << 10, true)], "as of btrfs");
        assert_eq!(reading.reads(b"", b"")[0].usual, OF_DISK);
        write(&format!("dev/block/{}:{}/stat", major(device), minor(device)), "5 0 40 2 0 0 0\n");
        assert_eq!(told(&reading, b"", b""), [(5, 2, 8 << 10, true)]);
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
