//! Swap in compressed memory (zram): what it takes, and what it may take: `/proc/swaps`, `/sys/block/zram*/mm_stat`.
//!
//! A device at its `mem_limit` fails each write. The pages stay in the swap cache, so that they count as swapped and memory gets
//! no freer.

use crate::figures::{SwapDevice, swap_devices};
use crate::root::{Roots, SysRoot};
use crate::sinking::device::{ZramFiles, ZramMemory, is_zram};
use crate::small_file::KeptFile;
use etmem_core::kernel::memory::SwapLimit;

/// A device counts as full when it has no more left than this, in bytes: the allocator takes several pages at once.
const SLACK: u64 = 256 << 10;

/// What the devices that are swap take of memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ZramSwap {
    /// Bytes that they take now, with what their allocator keeps.
    pub(crate) used: u64,
    /// Whether there are any, and no other swap.
    pub(crate) alone: bool,
    /// What swap may still take, if one has a limit.
    pub(crate) limit: Option<SwapLimit>,
}

/// The devices of a machine.
#[derive(Debug, Clone)]
pub(crate) struct ZramDevices {
    swaps: KeptFile,
    sys: SysRoot,
}

impl ZramDevices {
    /// Those of the machine whose file systems are mounted at `roots`.
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { swaps: KeptFile::new(roots.proc.machine("swaps")), sys: roots.sys.clone() }
    }

    /// What is known of those that are swap now.
    pub(crate) fn state(&self) -> ZramSwap {
        self.swaps.read().map_or_else(|_| ZramSwap::default(), |text| of_swaps(&text, &self.sys))
    }
}

/// The same by `text`, what `/proc/swaps` says.
fn of_swaps(text: &[u8], sys: &SysRoot) -> ZramSwap {
    let text = String::from_utf8_lossy(text);
    let (mut sum, mut memory) = (SwapLimit { limit: 0, room: 0 }, 0u64);
    let alone =
        swap_devices(&text).next().is_some() && swap_devices(&text).all(|device| is_zram(device.name));
    for SwapDevice { name, size, used, .. } in swap_devices(&text) {
        let free = size.unwrap_or(0).saturating_sub(used.unwrap_or(0));
        let state = is_zram(name).then(|| ZramFiles::new(sys, name).memory()).flatten();
        memory = memory.saturating_add(state.map_or(0, |state| state.used));
        match state.filter(|state| state.limit > 0) {
            Some(state) => {
                sum.limit += state.limit;
                sum.room += room(state).min(free);
            }
            None => sum.room += free,
        }
    }
    ZramSwap { used: memory, alone, limit: (sum.limit > 0).then_some(sum) }
}

/// Bytes of pages that still fit in a device, if they compress as those that are in it; until then as if they did not.
fn room(state: ZramMemory) -> u64 {
    let left = state.limit.saturating_sub(state.used);
    if left <= SLACK {
        return 0;
    }
    let (original, used) = (u128::from(state.original.max(state.used)), u128::from(state.used.max(1)));
    let room = if state.used == 0 { left.into() } else { u128::from(left) * original / used };
    u64::try_from(room).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::ProcRoot;
    use std::fs;

    const MIB: u64 = 1 << 20;

    #[test]
    fn only_devices_with_a_limit_count() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) };
        let devices = ZramDevices::new(&roots);
        assert_eq!(devices.state(), ZramSwap::default());
        let swaps = |lines: &str| {
            fs::write(tree.path().join("swaps"), format!("Filename Type Size Used Priority\n{lines}"))
                .unwrap();
        };
        let zram = |mm_stat: String| {
            fs::create_dir_all(tree.path().join("block/zram0")).unwrap();
            fs::write(tree.path().join("block/zram0/mm_stat"), mm_stat).unwrap();
        };
        swaps("/dev/zram0 partition 1048576 0 100\n");
        let alone = ZramSwap { alone: true, ..ZramSwap::default() };
        assert_eq!(devices.state(), alone, "it says nothing");
        for (original, used, most, want) in [
            (0, 0, 0, None),
            (0, 0, 64, Some(64)),
            (60, 20, 64, Some(132)),
            // What does not compress takes a little more than it is.
            (40, 44, 64, Some(20)),
            (300, 64, 64, Some(0)),
            (300, 70, 64, Some(0)),
        ] {
            zram(format!("{} 1 {} {} 0 0 0 0 0\n", original * MIB, used * MIB, most * MIB));
            let got = devices.state();
            let want = want.map(|room: u64| SwapLimit { limit: most * MIB, room: room * MIB });
            assert_eq!((got.used, got.limit), (used * MIB, want), "{original} in {used} of {most}");
        }
        swaps("/dev/zram0 partition 1048576 0 100\n/swap\\040file file 1024 24 -2\n");
        let limit = Some(SwapLimit { limit: 64 * MIB, room: 1000 << 10 });
        assert_eq!(devices.state(), ZramSwap { used: 70 * MIB, alone: false, limit });
        zram("garbage\n".to_owned());
        assert_eq!(devices.state(), ZramSwap::default());
    }
}
