//! The files of a zram device, and what they say together.

use crate::root::SysRoot;
use crate::small_file;
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::sinking::{CompressedDevice, SinkRefusal};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;

/// What `backing_dev` says without a disk.
const NO_DISK: &str = "none";

/// The file that pages are named to, which are to go to the disk.
pub(super) const WRITEBACK: &str = "writeback";

/// The files of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZramFiles {
    pub(crate) sys: SysRoot,
    pub(crate) name: String,
}

/// The first figures of `mm_stat` (`Documentation/admin-guide/blockdev/zram.rst`), in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ZramMemory {
    /// Of the pages that are in it.
    pub(crate) original: u64,
    /// Memory that it takes.
    pub(crate) used: u64,
    /// Most memory that it may take; 0: no limit.
    pub(crate) limit: u64,
}

impl ZramMemory {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace().map(|word| word.parse::<u64>().ok());
        let [original, _compressed, used, limit] = std::array::from_fn(|_| words.next().flatten());
        Some(Self { original: original?, used: used?, limit: limit? })
    }
}

/// Whether a block device of this name is compressed memory.
pub(crate) fn is_zram(name: &str) -> bool {
    let digits = name.strip_prefix("zram");
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

impl ZramFiles {
    pub(crate) fn new(sys: &SysRoot, name: &str) -> Self {
        Self { sys: sys.clone(), name: name.to_owned() }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.sys.file(&format!("block/{}/{name}", self.name))
    }

    /// The list of its slots, in debugfs.
    pub(crate) fn block_state(&self) -> PathBuf {
        self.sys.file(&format!("kernel/debug/zram/{}/block_state", self.name))
    }

    pub(crate) fn text(&self, name: &str) -> io::Result<String> {
        Ok(small_file::read_to_string(&self.file(name))?.trim().to_owned())
    }

    /// The number in a file, or in a column of it.
    pub(crate) fn number(&self, name: &str, column: usize) -> Option<u64> {
        self.text(name).ok()?.split_whitespace().nth(column)?.parse().ok()
    }

    /// What it holds and takes.
    pub(crate) fn memory(&self) -> Option<ZramMemory> {
        ZramMemory::parse(&self.text("mm_stat").ok()?)
    }

    /// The disk behind it.
    pub(crate) fn disk(&self) -> Option<String> {
        self.text("backing_dev").ok().filter(|disk| disk != NO_DISK && !disk.is_empty())
    }

    /// What the device says of itself; `None` if it has no size, or is not there.
    pub(crate) fn state(&self) -> Option<CompressedDevice> {
        let slots = self.number("disksize", 0).filter(|bytes| *bytes > 0)? / PAGE_SIZE;
        let ZramMemory { original, used, limit } = self.memory()?;
        let text = self.text("bd_stat").unwrap_or_default();
        let mut disk_figures = text.split_whitespace().map(|word| word.parse().unwrap_or(0));
        let [on_disk, disk_reads, disk_writes] = std::array::from_fn(|_| disk_figures.next().unwrap_or(0));
        let disk = self.disk();
        Some(CompressedDevice {
            name: self.name.as_str().into(),
            slots,
            in_memory: (original / PAGE_SIZE).saturating_sub(on_disk),
            on_disk,
            memory: used,
            memory_limit: limit,
            disk_reads,
            disk_writes,
            can_sink: self.can_sink(disk.is_some()),
            disk: disk.map(Into::into),
        })
    }

    /// What writes to the disk lies on a file system that is read-only for this process.
    pub(super) fn read_only(&self) -> SinkRefusal {
        SinkRefusal::refused(
            self.file(WRITEBACK).display(),
            "read-only; a unit of systemd needs ProtectKernelTunables=no, see docs/tiers.md",
        )
    }

    fn can_sink(&self, has_disk: bool) -> Result<(), SinkRefusal> {
        if !self.file(WRITEBACK).exists() {
            return Err(SinkRefusal::NotBuilt);
        }
        if !has_disk {
            return Err(SinkRefusal::NoDisk);
        }
        if access(self.file(WRITEBACK), Access::WRITE_OK) == Err(Errno::ROFS) {
            return Err(self.read_only());
        }
        let ages = self.block_state();
        if !ages.exists() {
            let text = format!(
                "{}: missing; it needs debugfs (mount -t debugfs none {}) and a kernel built with CONFIG_ZRAM_MEMORY_TRACKING=y",
                ages.display(),
                self.sys.file("kernel/debug").display()
            );
            return Err(SinkRefusal::NoAges(text.into()));
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs;

    /// A device in a tree of files: 1000 slots, 600 pages of which 100 are on the disk.
    pub(in crate::sinking) fn tree() -> (tempfile::TempDir, ZramFiles) {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("block/zram0");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(tree.path().join("kernel/debug/zram/zram0")).unwrap();
        for (file, text) in [
            ("disksize", "4096000\n"),
            ("mm_stat", "2457600 700000 800000 1000000 900000 3 0 0 0\n"),
            ("bd_stat", "     100       7      130\n"),
            ("backing_dev", "/dev/vdb\n"),
            ("writeback", ""),
            ("writeback_limit_enable", "0\n"),
            ("writeback_limit", "0\n"),
        ] {
            fs::write(folder.join(file), text).unwrap();
        }
        fs::write(tree.path().join("kernel/debug/zram/zram0/block_state"), "").unwrap();
        let files = ZramFiles::new(&SysRoot::new(tree.path()), "zram0");
        (tree, files)
    }

    #[test]
    fn a_device_says_what_it_holds_and_what_is_missing() {
        let (_tree, files) = tree();
        let device = files.state().unwrap();
        assert_eq!((device.slots, device.in_memory, device.on_disk), (1000, 500, 100));
        assert_eq!((device.memory, device.memory_limit), (800_000, 1_000_000));
        assert_eq!(
            (device.disk_reads, device.disk_writes, device.disk.as_deref()),
            (7, 130, Some("/dev/vdb"))
        );
        assert_eq!((device.percent_full(), device.can_sink), (80, Ok(())));
        fs::remove_file(files.block_state()).unwrap();
        let missing = files.state().unwrap().can_sink.unwrap_err();
        assert!(missing.to_string().contains("CONFIG_ZRAM_MEMORY_TRACKING=y"), "{missing}");
        fs::write(files.file("backing_dev"), "none\n").unwrap();
        assert_eq!(files.state().unwrap().can_sink, Err(SinkRefusal::NoDisk));
        fs::remove_file(files.file("writeback")).unwrap();
        fs::remove_file(files.file("bd_stat")).unwrap();
        let device = files.state().unwrap();
        assert_eq!((device.can_sink, device.in_memory, device.on_disk), (Err(SinkRefusal::NotBuilt), 600, 0));
        fs::write(files.file("disksize"), "0\n").unwrap();
        assert_eq!(files.state(), None, "it was reset");
        assert_eq!(ZramFiles::new(&files.sys, "zram7").state(), None);
        let names = ["zram0", "zram12", "zram", "zramx", "zram1p1", "sda"].map(is_zram);
        assert_eq!(names, [true, true, false, false, false, false]);
    }
}
