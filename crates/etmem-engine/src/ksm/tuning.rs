//! How fast a kernel without an advisor looks: the loop that oVirt, ksmtuned and KubeVirt share.

use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::merging::Speed;
use std::time::Duration;

/// Pages between two rests: the least, which is also the first, and the most (`ksmtuned.conf`).
const LEAST: u32 = 64;
const MOST: u32 = 1250;

/// By how many they rise in a round while memory is short, and fall otherwise.
const RISE: u32 = 300;
const FALL: u32 = 50;

/// The rest on a machine with 16 GiB, which is shorter the more memory there is, and the shortest.
const REST: Duration = Duration::from_millis(10);
const OF_MEMORY: u64 = 16 << 30;
const SHORTEST: Duration = Duration::from_millis(10);

/// The number of pages of the next round.
pub(super) fn next_pages(pages: Option<u32>, memory: &MemoryState) -> u32 {
    let is_short = memory.available < memory.total / 5;
    let now = pages.unwrap_or(LEAST);
    let next = if is_short { now.saturating_add(RISE) } else { now.saturating_sub(FALL) };
    next.clamp(LEAST, MOST)
}

/// The speed with this number of pages.
pub(super) fn speed(pages: u32, memory: &MemoryState) -> Speed {
    let millis = u128::from(OF_MEMORY) * REST.as_millis() / u128::from(memory.total.max(1));
    let rest = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
    Speed::Pages { pages, rest: rest.clamp(SHORTEST, REST * 100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faster_while_memory_is_short() {
        let memory = |available| MemoryState { total: 100, available, ..MemoryState::default() };
        for (pages, available, want) in [
            (None, 50, 64),
            (None, 19, 364),
            (Some(364), 19, 664),
            (Some(1200), 19, 1250),
            (Some(1250), 20, 1200),
            (Some(70), 20, 64),
        ] {
            assert_eq!(next_pages(pages, &memory(available)), want, "{pages:?} {available}");
        }
        let speed = |gib: u64| speed(64, &MemoryState { total: gib << 30, ..MemoryState::default() });
        let with_rest = |millis| Speed::Pages { pages: 64, rest: Duration::from_millis(millis) };
        assert_eq!([4, 16, 256].map(speed), [40, 10, 10].map(with_rest));
    }
}
