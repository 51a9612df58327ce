//! Whether writes to swap fail, so that what was moved out stays in memory.
//!
//! The kernel marks a page whose write has failed as dirty again and keeps it in the swap cache (`mm/page_io.c`,
//! `end_swap_bio_write`). To its process such a page is out. The swap cache alone says nothing: pages that were written well stay there
//! as well, clean, until memory is needed. So frames of the machine are asked for their flags (`/proc/kpageflags`), a sample, and only
//! when the swap cache has changed.

use crate::root::ProcRoot;
use etmem_core::address::PAGE_SIZE;
use parking_lot::Mutex;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Flags of a frame (`include/uapi/linux/kernel-page-flags.h`).
const LOCKED: u64 = 1 << 0;
const DIRTY: u64 = 1 << 4;
const WRITEBACK: u64 = 1 << 8;
const MMAP: u64 = 1 << 11;
const SWAP_CACHE: u64 = 1 << 13;

/// Bytes of a word.
const WORD: usize = 8;

/// Frames that are asked for in a row, and such rows: 0.5 MiB of flags, which takes about 2 ms.
const ROW: usize = 128;
const ROWS: u64 = 512;

/// Such rows where these say that writes fail: how much is stuck is a figure, and all frames of 4 GiB are asked for then.
const CLOSER_ROWS: u64 = 16 * ROWS;

/// Less is no failure: pages that are just on their way look the same.
const LEAST: u64 = 4 << 20;

/// Frames of the swap cache that a sample needs to say anything.
const LEAST_SEEN: u64 = 32;

/// What is known of the swap cache of a machine.
#[derive(Debug, Clone)]
pub(crate) struct SwapStuck {
    proc: ProcRoot,
    last: Arc<Mutex<Last>>,
}

/// What was found last.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    /// `SwapCached` then.
    swap_cached: u64,
    /// `SwapTotal` then.
    swap_total: u64,
    /// Bytes that were stuck.
    stuck: u64,
    /// Of these, what was stuck already when swap was added: that need not fail.
    before: u64,
}

/// Frames of the swap cache in a sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    all: u64,
    /// In no process, and dirty, though not being written.
    failed: u64,
    /// In no process, and being written: where others failed, these are believed to be in memory until they are seen to have left.
    on_their_way: u64,
}

impl SwapStuck {
    pub(crate) fn new(proc: ProcRoot) -> Self {
        Self { proc, last: Arc::default() }
    }

    /// Bytes that are stuck in the swap cache, which takes `swap_cached` bytes, of a machine with so much swap in all. 0 unless that
    /// is a good part of the swap cache and more than when swap was added last, or if the kernel does not say.
    pub(crate) fn bytes(&self, swap_cached: u64, swap_total: u64) -> u64 {
        let mut last = self.last.lock();
        if swap_cached < LEAST {
            *last = Last { swap_cached, swap_total, ..Last::default() };
            return 0;
        }
        if swap_cached.abs_diff(last.swap_cached) > (LEAST / 4).max(last.swap_cached / 64) {
            last.stuck = self.look(swap_cached).unwrap_or(0);
            last.swap_cached = swap_cached;
        }
        if swap_total > last.swap_total && last.swap_total > 0 {
            last.before = last.stuck;
        }
        last.swap_total = swap_total;
        last.before = last.before.min(last.stuck);
        if last.stuck - last.before < LEAST { 0 } else { last.stuck.min(swap_cached) }
    }

    fn look(&self, swap_cached: u64) -> Option<u64> {
        let flags = File::open(self.proc.machine("kpageflags")).ok()?;
        let frames = frames(&flags)?;
        let bytes_of = |rows| sample(&flags, frames, rows).bytes_of(swap_cached);
        Some(if bytes_of(ROWS) == 0 { 0 } else { bytes_of(CLOSER_ROWS) })
    }
}

impl Seen {
    fn add(&mut self, flags: u64) {
        self.all += u64::from(flags & SWAP_CACHE != 0);
        let failed = flags & (SWAP_CACHE | DIRTY | WRITEBACK | MMAP | LOCKED) == SWAP_CACHE | DIRTY;
        self.failed += u64::from(failed);
        let on_its_way = flags & (SWAP_CACHE | WRITEBACK | MMAP) == SWAP_CACHE | WRITEBACK;
        self.on_their_way += u64::from(on_its_way);
    }

    /// What that is of `swap_cached` bytes: 0 unless a quarter of what is not written has failed.
    fn bytes_of(self, swap_cached: u64) -> u64 {
        let bytes_of = |seen: u64| {
            let share = u128::from(swap_cached) * u128::from(seen) / u128::from(self.all.max(1));
            u64::try_from(share).unwrap_or(u64::MAX) & !(PAGE_SIZE - 1)
        };
        // What was written and stays in the swap cache says nothing.
        let (failed, unwritten) = (bytes_of(self.failed), bytes_of(self.failed + self.on_their_way));
        let has_failed = self.all >= LEAST_SEEN && failed >= LEAST && failed >= unwritten / 4;
        if has_failed { unwritten } else { 0 }
    }
}

/// How many frames the machine numbers: the file ends after the last, and does not say where.
fn frames(flags: &File) -> Option<u64> {
    let is_there =
        |frame: u64| flags.read_at(&mut [0; WORD], frame * WORD as u64).ok().map(|read| read == WORD);
    let (mut there, mut end) = (0, 1);
    while is_there(end)? {
        (there, end) = (end, end.checked_mul(2)?);
    }
    while end - there > 1 {
        let middle = there + (end - there) / 2;
        if is_there(middle)? { there = middle } else { end = middle }
    }
    Some(end)
}

/// At most this number of rows of frames, spread over all of `frames`.
fn sample(flags: &File, frames: u64, rows: u64) -> Seen {
    let stride = (frames / rows).max(ROW as u64);
    let mut seen = Seen::default();
    let mut row = [0; ROW * WORD];
    for first in (0..frames).step_by(usize::try_from(stride).unwrap_or(usize::MAX)) {
        // Where memory has a hole, the kernel answers with zeroes.
        let read = flags.read_at(&mut row, first * WORD as u64).unwrap_or(0);
        row[..read].as_chunks().0.iter().for_each(|word| seen.add(u64::from_ne_bytes(*word)));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn write(tree: &tempfile::TempDir, frames: u64, flags: impl Fn(u64) -> u64) {
        let bytes: Vec<u8> = (0..frames).flat_map(|frame| flags(frame).to_ne_bytes()).collect();
        std::fs::write(tree.path().join("kpageflags"), bytes).unwrap();
    }

    #[test]
    fn only_dirty_frames_of_the_swap_cache_that_no_process_has_are_stuck() {
        let tree = tempfile::tempdir().unwrap();
        let stuck = || SwapStuck::new(ProcRoot::new(tree.path()));
        assert_eq!(stuck().bytes(64 * MIB, 512 * MIB), 0, "the kernel does not say");
        for (name, flags, want) in [
            ("clean", SWAP_CACHE, 0),
            ("dirty", SWAP_CACHE | DIRTY, 64 * MIB),
            ("of a process", SWAP_CACHE | DIRTY | MMAP, 0),
            ("being written", SWAP_CACHE | DIRTY | WRITEBACK, 0),
            ("being looked at", SWAP_CACHE | DIRTY | LOCKED, 0),
            ("of files", DIRTY, 0),
        ] {
            write(&tree, 300_001, |_| flags);
            assert_eq!(stuck().bytes(64 * MIB, 512 * MIB), want, "{name}");
        }
        for (of_ten, want) in [(0, 0), (1, 6), (2, 12), (3, 19), (10, 64)] {
            write(&tree, 300_001, |frame| SWAP_CACHE | if frame % 10 < of_ten { DIRTY } else { 0 });
            assert_eq!(stuck().bytes(64 * MIB, 512 * MIB) / MIB, want, "{of_ten} of ten");
        }
        for (failed, written, want) in [(2, 8, 0), (3, 0, 19), (3, 4, 44)] {
            write(&tree, 300_001, |frame| match frame % 10 {
                place if place < failed => SWAP_CACHE | DIRTY,
                place if place < failed + written => SWAP_CACHE | WRITEBACK,
                _ => SWAP_CACHE,
            });
            assert_eq!(stuck().bytes(64 * MIB, 512 * MIB) / MIB, want, "{failed} and {written} of ten");
        }
        // Frames of one kind lie side by side, a row of each sample apart from the next.
        write(&tree, 300_001, |frame| SWAP_CACHE | if frame % 586 < 256 { DIRTY } else { 0 });
        assert_eq!(stuck().bytes(64 * MIB, 512 * MIB) / MIB, 64 * 256 / 586, "all frames are asked for");
        write(&tree, 300_001, |_| SWAP_CACHE | DIRTY);
        assert_eq!((stuck().bytes(3 * MIB, 512 * MIB), stuck().bytes(4 * MIB, 512 * MIB)), (0, 4 * MIB));
        write(&tree, 31, |_| SWAP_CACHE | DIRTY);
        assert_eq!(stuck().bytes(64 * MIB, 512 * MIB), 0, "too few to say");
    }

    #[test]
    fn flags_are_read_again_only_when_the_swap_cache_has_changed() {
        let tree = tempfile::tempdir().unwrap();
        write(&tree, 5000, |_| SWAP_CACHE | DIRTY);
        let stuck = SwapStuck::new(ProcRoot::new(tree.path()));
        assert_eq!(stuck.bytes(64 * MIB, 512 * MIB), 64 * MIB);
        write(&tree, 5000, |_| SWAP_CACHE);
        assert_eq!(stuck.bytes(64 * MIB, 512 * MIB), 64 * MIB);
        assert_eq!(stuck.bytes(40 * MIB, 512 * MIB), 0);
        assert_eq!(stuck.bytes(MIB, 512 * MIB), 0);
    }

    #[test]
    fn swap_that_is_added_is_tried() {
        let tree = tempfile::tempdir().unwrap();
        write(&tree, 5000, |_| SWAP_CACHE | DIRTY);
        let stuck = SwapStuck::new(ProcRoot::new(tree.path()));
        assert_eq!(stuck.bytes(64 * MIB, 512 * MIB), 64 * MIB);
        assert_eq!(stuck.bytes(64 * MIB, 1024 * MIB), 0);
        assert_eq!(stuck.bytes(66 * MIB, 1024 * MIB), 0);
        assert_eq!(stuck.bytes(68 * MIB, 1024 * MIB), 68 * MIB, "and it fails, too");
        assert_eq!(stuck.bytes(68 * MIB, 512 * MIB), 68 * MIB, "to take swap away is no remedy");
    }

    #[test]
    fn the_last_frame_is_found() {
        let tree = tempfile::tempdir().unwrap();
        for number in [1, 2, 3, 511, 512, 513, 300_001] {
            write(&tree, number, |_| 0);
            assert_eq!(frames(&File::open(tree.path().join("kpageflags")).unwrap()), Some(number));
        }
    }
}
