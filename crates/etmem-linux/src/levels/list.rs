//! The levels of a machine, from what it says of its nodes, its swap, zram and zswap.

use crate::figures::{SwapDevice, bytes_of, swap_devices};
use crate::nodes::MachineNodes;
use crate::root::Roots;
use crate::sinking::device::{ZramFiles, is_zram};
use crate::small_file;
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::levels::{Level, LevelKind};
use etmem_core::kernel::nodes::NumaNodes;

/// A device or file for swap, in the order of `/proc/swaps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Swap {
    /// The place of its level in the list.
    pub(super) level: usize,
    /// A zram device: its name, and the place of the disk behind it.
    pub(super) zram: Option<(String, Option<usize>)>,
    pub(super) priority: Option<i32>,
    /// Bytes that are free in it.
    pub(super) free: u64,
}

/// The levels of the machine at `roots`, the fastest first, and what is swap.
pub(super) fn list(roots: &Roots) -> (Vec<Level>, Vec<Swap>) {
    let read = |file: &str| small_file::read(&roots.proc.machine(file)).unwrap_or_default();
    let (meminfo, swaps) = (read("meminfo"), read("swaps"));
    let swaps = String::from_utf8_lossy(&swaps);
    let devices: Vec<SwapDevice<'_>> = swap_devices(&swaps).collect();
    let mut levels = memory(roots, &meminfo);
    if devices.is_empty()
        && let Some(last) = levels.last_mut()
    {
        last.missing.push("there is no swap: add compressed memory (zram), a partition or a file".to_owned());
    }
    let mut of_devices: Vec<Option<Swap>> = vec![None; devices.len()];
    let state = |device: &SwapDevice<'_>, level, zram| Swap {
        level,
        zram,
        priority: device.priority,
        free: device.size.unwrap_or(0).saturating_sub(device.used.unwrap_or(0)),
    };
    let zram = |device: &SwapDevice<'_>| is_zram(device.name);
    for (place, device) in devices.iter().enumerate().filter(|(_, device)| zram(device)) {
        let files = ZramFiles::new(&roots.sys, device.name);
        let level = levels.len();
        let disk = push_zram(&mut levels, &files, device);
        of_devices[place] = Some(state(device, level, Some((device.name.to_owned(), disk))));
    }
    let others = devices.iter().any(|device| !zram(device));
    levels.extend(zswap(roots, &meminfo, others));
    for (place, device) in devices.iter().enumerate().filter(|(_, device)| !zram(device)) {
        let level = Level {
            size: device.size,
            used: device.used.unwrap_or(0),
            ..empty(LevelKind::Disk, device.name)
        };
        of_devices[place] = Some(state(device, levels.len(), None));
        levels.push(level);
    }
    (levels, of_devices.into_iter().flatten().collect())
}

fn empty(kind: LevelKind, name: &str) -> Level {
    Level {
        kind,
        name: name.into(),
        size: None,
        used: 0,
        takes: None,
        may_take: None,
        written: None,
        read: None,
        missing: Vec::new(),
    }
}

/// The nodes with memory, the faster tier first; of a kernel without nodes, its memory.
fn memory(roots: &Roots, meminfo: &[u8]) -> Vec<Level> {
    let mut nodes = MachineNodes(roots.sys.clone()).nodes().unwrap_or_default();
    nodes.sort_by_key(|node| (node.tier, !node.has_processors, node.id));
    if nodes.is_empty() {
        let of = |name| bytes_of(meminfo, name).unwrap_or(0);
        let (total, free) = (of("MemTotal"), of("MemFree"));
        return vec![Level {
            size: Some(total),
            used: total.saturating_sub(free),
            ..empty(LevelKind::Node, "memory")
        }];
    }
    let level = |node: &etmem_core::kernel::nodes::Node| Level {
        size: Some(node.memory.total),
        used: node.memory.total.saturating_sub(node.memory.free),
        ..empty(LevelKind::Node, &format!("node{}", node.id))
    };
    nodes.iter().map(level).collect()
}

/// Adds the levels of a zram device; the place of the disk behind it.
fn push_zram(levels: &mut Vec<Level>, files: &ZramFiles, swap: &SwapDevice<'_>) -> Option<usize> {
    let Some(device) = files.state() else {
        // It says nothing of itself: by /proc/swaps alone.
        levels.push(Level {
            size: swap.size,
            used: swap.used.unwrap_or(0),
            ..empty(LevelKind::Zram, swap.name)
        });
        return None;
    };
    levels.push(Level {
        size: Some(device.slots * PAGE_SIZE),
        used: device.in_memory * PAGE_SIZE,
        takes: Some(device.memory),
        may_take: Some(device.memory_limit).filter(|limit| *limit > 0),
        missing: device.can_sink.err().map(|why_not| why_not.to_string()).into_iter().collect(),
        ..empty(LevelKind::Zram, swap.name)
    });
    let disk = device.disk?;
    let block = disk.rsplit('/').next().unwrap_or_default();
    let sectors = small_file::read_to_string(&files.sys.file(&format!("class/block/{block}/size")));
    let size = sectors.ok().and_then(|text| text.trim().parse::<u64>().ok()?.checked_mul(512));
    levels.push(Level {
        size,
        used: device.on_disk * PAGE_SIZE,
        written: Some(device.disk_writes * PAGE_SIZE),
        read: Some(device.disk_reads * PAGE_SIZE),
        ..empty(LevelKind::ZramDisk, &disk)
    });
    Some(levels.len() - 1)
}

/// zswap, where it takes pages before a disk.
fn zswap(roots: &Roots, meminfo: &[u8], has_disk: bool) -> Option<Level> {
    let parameter = |name: &str| {
        let text =
            small_file::read_to_string(&roots.sys.file(&format!("module/zswap/parameters/{name}"))).ok()?;
        Some(text.trim().to_owned())
    };
    let of = |name| bytes_of(meminfo, name);
    let holds = of("Zswapped").unwrap_or(0);
    let is_on = ["Y", "1"].contains(&&*parameter("enabled")?);
    if !(is_on && has_disk || holds > 0) {
        return None;
    }
    let percent: Option<u64> = parameter("max_pool_percent").and_then(|text| text.parse().ok());
    let may_take = percent.zip(of("MemTotal")).map(|(percent, total)| total / 100 * percent);
    Some(Level { used: holds, takes: of("Zswap"), may_take, ..empty(LevelKind::Zswap, "zswap") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{ProcRoot, SysRoot};
    use std::fs;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_levels_of_a_machine_the_fastest_first() {
        let tree = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = tree.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let roots = Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) };
        write("meminfo", "MemTotal: 1048576 kB\nMemFree: 524288 kB\nZswap: 1024 kB\nZswapped: 4096 kB\n");
        write("swaps", "Filename Type Size Used Priority\n");
        let (levels, swaps) = list(&roots);
        let kinds = |levels: &[Level]| {
            levels.iter().map(|level| (level.kind, level.name.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&levels), [(LevelKind::Node, "memory".into())]);
        assert_eq!((levels[0].used, swaps.len()), (512 * MIB, 0));
        assert!(levels[0].missing[0].contains("there is no swap"), "{levels:?}");
        write(
            "swaps",
            "Filename Type Size Used Priority\n/dev/vdc partition 1024 8 -2\n/dev/zram0 partition 8192 4096 100\n/dev/zram1 partition 8 0 5\n",
        );
        write("module/zswap/parameters/enabled", "Y\n");
        write("module/zswap/parameters/max_pool_percent", "20\n");
        for (file, text) in [
            ("disksize", "8388608\n"),
            ("mm_stat", "4194304 1 1500000 2000000 0 0\n"),
            ("bd_stat", "24 2 30\n"),
            ("backing_dev", "/dev/vdb\n"),
            ("writeback", ""),
        ] {
            write(&format!("block/zram0/{file}"), text);
        }
        write("class/block/vdb/size", "8192\n");
        let (levels, swaps) = list(&roots);
        assert_eq!(
            kinds(&levels),
            [
                (LevelKind::Node, "memory".into()),
                (LevelKind::Zram, "zram0".into()),
                (LevelKind::ZramDisk, "/dev/vdb".into()),
                (LevelKind::Zram, "zram1".into()),
                (LevelKind::Zswap, "zswap".into()),
                (LevelKind::Disk, "vdc".into()),
            ]
        );
        let zram = &levels[1];
        assert_eq!((zram.size, zram.used), (Some(8 * MIB), 4 * MIB - 24 * 4096));
        assert_eq!((zram.takes, zram.may_take), (Some(1_500_000), Some(2_000_000)));
        assert!(zram.missing[0].contains("block_state"), "{zram:?}");
        let disk = &levels[2];
        assert_eq!((disk.size, disk.used), (Some(4 * MIB), 24 * 4096));
        assert_eq!((disk.written, disk.read), (Some(30 * 4096), Some(2 * 4096)));
        assert_eq!(
            (levels[4].used, levels[4].takes, levels[4].may_take),
            (4 * MIB, Some(MIB), Some(1024 * MIB / 100 * 20))
        );
        assert_eq!((levels[5].size, levels[5].used), (Some(MIB), 8192));
        let places: Vec<_> =
            swaps.iter().map(|swap| (swap.level, swap.zram.clone(), swap.priority)).collect();
        assert_eq!(
            places,
            [
                (5, None, Some(-2)),
                (1, Some(("zram0".into(), Some(2))), Some(100)),
                (3, Some(("zram1".into(), None)), Some(5))
            ]
        );
    }
}
