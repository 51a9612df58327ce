//! Watching one process: its frames' bits, set and read.

use super::bitmap::{Bitmap, Bits};
use crate::frames::{Backing, Frames, MachineFrames, Words};
use crate::process::address_space::AddressSpace;
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK, block_of};
use etmem_core::kernel::probe::{Access, AccessProbe, AccessSink, Block};
use etmem_core::kernel::process::ProcessError;
use std::sync::Arc;
use std::{io, mem};

/// Blocks whose frames are set or read together: their neighbours among the frames are met by one read.
const BATCH_BLOCKS: usize = 64;

/// Watches one process.
#[derive(Debug)]
pub(super) struct IdleWatch<B: Bitmap> {
    pub(super) bitmap: Arc<B>,
    pub(super) frames: Frames,
    pub(super) machine: Arc<MachineFrames>,
    pub(super) space: AddressSpace,
}

/// What is known of a block until its bits are read.
#[derive(Debug, Clone)]
enum Pending {
    /// The frames of its wanted pages; 0 for others.
    Pages(u64, Box<Words>),
    /// The first frame of a huge page.
    Huge(u64, u64),
}

impl Pending {
    fn frames(&self) -> impl Iterator<Item = u64> + '_ {
        let (pages, huge) = match self {
            Self::Pages(_, pages) => (&pages[..], None),
            Self::Huge(_, frame) => (&[][..], Some(*frame)),
        };
        pages.iter().copied().filter(|frame| *frame != 0).chain(huge)
    }

    /// Tells `sink` of it; `bits` are those of its frames.
    fn report(&self, bits: &Bits, sink: &mut dyn AccessSink) {
        let access = |frame: u64| match frame {
            0 => Access::ABSENT,
            _ if bits.has(frame) => Access::IDLE,
            _ => Access::READ,
        };
        match self {
            Self::Pages(start, frames) => sink.block(*start, Block::Pages(&frames.map(access))),
            Self::Huge(start, frame) => sink.block(*start, Block::Huge(access(*frame))),
        }
    }
}

impl<B: Bitmap> IdleWatch<B> {
    /// Gives the blocks of `ranges` to `each`, in batches.
    fn batches(
        &self,
        ranges: &[AddressRange],
        mut each: impl FnMut(Vec<Pending>) -> io::Result<()>,
    ) -> Result<(), ProcessError> {
        let mut batch = Vec::new();
        let mut give = |batch| {
            each(batch).map_err(|error| {
                let help = "run as root, on a kernel with idle page tracking";
                ProcessError::refused("page_idle/bitmap", format!("{error}; {help}"))
            })
        };
        for range in ranges {
            let mut block = block_of(range.start);
            while block < range.end {
                batch.extend(self.block(*range, block)?);
                if batch.len() >= BATCH_BLOCKS {
                    give(mem::take(&mut batch))?;
                }
                block = block.saturating_add(BLOCK_SIZE);
            }
        }
        give(batch)?;
        self.space.check()
    }

    /// What `range` holds of the block at `start`.
    fn block(&self, range: AddressRange, start: u64) -> Result<Option<Pending>, ProcessError> {
        let whole = AddressRange::new(start, start.saturating_add(BLOCK_SIZE));
        let part = range.intersection(whole);
        let mut frames = Box::new([0; PAGES_PER_BLOCK]);
        Ok(match self.frames.block(&self.machine, start, &mut frames)? {
            Backing::Nothing | Backing::Huge { from_pool: true, .. } => None,
            Backing::Huge { frame, .. } if part == whole => Some(Pending::Huge(start, frame)),
            Backing::Huge { frame, .. } => {
                // Of a part of it, each page is as its first frame is.
                frames.fill(frame);
                Some(Pending::Pages(start, clipped(frames, start, part)))
            }
            Backing::Pages => Some(Pending::Pages(start, clipped(frames, start, part))),
        })
    }
}

/// `frames` of the block at `start`, without those outside `part`.
fn clipped(mut frames: Box<Words>, start: u64, part: AddressRange) -> Box<Words> {
    for (number, frame) in (0..).zip(frames.iter_mut()) {
        let address = start + number * PAGE_SIZE;
        if address < part.start || address >= part.end {
            *frame = 0;
        }
    }
    frames
}

/// The bits of all frames in `batch`.
fn bits(batch: &[Pending]) -> Bits {
    let mut frames: Vec<u64> = batch.iter().flat_map(Pending::frames).collect();
    Bits::of(&mut frames)
}

impl<B: Bitmap> AccessProbe for IdleWatch<B> {
    fn prepare(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        self.space.check()?;
        self.batches(ranges, |batch| bits(&batch).set(&*self.bitmap))
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        self.space.check()?;
        self.batches(ranges, |batch| {
            let mut bits = bits(&batch);
            bits.read(&*self.bitmap)?;
            batch.iter().for_each(|block| block.report(&bits, sink));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::ProcRoot;
    use etmem_core::kernel::process::{Pid, ProcessId};
    use parking_lot::Mutex;
    use std::collections::BTreeMap;
    use std::fs;

    const BASE: u64 = 4 * BLOCK_SIZE;
    const STAT: &str = "7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n";

    /// Bits as the kernel keeps them: 1s are set, 0s have no effect; a touch clears.
    #[derive(Debug, Default)]
    struct Kernel(Mutex<BTreeMap<u64, u64>>);

    impl Kernel {
        fn touch(&self, frame: u64) {
            if let Some(word) = self.0.lock().get_mut(&(frame / 64)) {
                *word &= !(1 << (frame % 64));
            }
        }
    }

    impl Bitmap for Kernel {
        fn set(&self, first: u64, words: &[u64]) -> io::Result<()> {
            for (at, word) in (first..).zip(words) {
                *self.0.lock().entry(at).or_default() |= word;
            }
            Ok(())
        }

        fn read(&self, first: u64, words: &mut [u64]) -> io::Result<()> {
            for (at, word) in (first..).zip(words) {
                *word = self.0.lock().get(&at).copied().unwrap_or(0);
            }
            Ok(())
        }
    }

    #[derive(Default)]
    struct Seen(BTreeMap<u64, Access>, BTreeMap<u64, Access>);

    impl AccessSink for Seen {
        fn block(&mut self, start: u64, block: Block<'_>) {
            match block {
                Block::Huge(access) => {
                    self.1.insert(start, access);
                }
                Block::Pages(pages) => {
                    let present = (0..).zip(pages).filter(|(_, access)| access.is_present());
                    self.0.extend(present.map(|(page, access)| (start + page * PAGE_SIZE, *access)));
                }
            }
        }
    }

    /// Process 7: four base pages in scattered frames, then a transparent huge page, then one of the pool.
    fn process() -> (tempfile::TempDir, IdleWatch<Kernel>) {
        let tree = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(tree.path());
        let folder = tree.path().join("7");
        fs::create_dir(&folder).unwrap();
        let mut frames = vec![0u64; 7 * 512];
        frames[4 * 512..4 * 512 + 4].copy_from_slice(&[900, 30, 31, 5000]);
        for (number, frame) in (0..1024).zip(&mut frames[5 * 512..]) {
            *frame = 1024 + number;
        }
        let mut flags = vec![1u64 << 16; 2048];
        (flags[1024], flags[1536]) = (1 << 15, 1 << 15 | 1 << 17);
        let bytes = |words: Vec<u64>| words.into_iter().flat_map(u64::to_ne_bytes).collect::<Vec<u8>>();
        let entries = frames.iter().map(|frame| if *frame == 0 { 0 } else { 1 << 63 | frame }).collect();
        fs::write(folder.join("pagemap"), bytes(entries)).unwrap();
        fs::write(folder.join("stat"), STAT).unwrap();
        fs::write(folder.join("maps"), "800000-e00000 rw-p 0 0:0 0\n").unwrap();
        fs::write(tree.path().join("kpageflags"), bytes(flags)).unwrap();
        let id = ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 };
        let watch = IdleWatch {
            bitmap: Arc::default(),
            frames: Frames::open(&proc, id.pid).unwrap(),
            machine: Arc::new(MachineFrames::open(&proc).unwrap()),
            space: AddressSpace::open(&proc, id).unwrap(),
        };
        (tree, watch)
    }

    #[test]
    fn touched_pages_differ_from_others() {
        let (tree, mut watch) = process();
        let ranges = [AddressRange::new(BASE + PAGE_SIZE, 7 * BLOCK_SIZE)];
        watch.prepare(&ranges).unwrap();
        let all = [BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE, BASE + 3 * PAGE_SIZE];
        let mut look = |step: &str, touched: &[u64], pages: [Access; 3], huge: Access| {
            touched.iter().for_each(|frame| watch.bitmap.touch(*frame));
            let mut seen = Seen::default();
            watch.check(&ranges, &mut seen).unwrap();
            assert_eq!(seen.0, all.into_iter().zip(pages).collect(), "{step}");
            assert_eq!(seen.1, BTreeMap::from([(5 * BLOCK_SIZE, huge)]), "{step}");
            watch.prepare(&ranges).unwrap();
        };
        let (idle, read) = (Access::IDLE, Access::READ);
        look("nothing was touched; the pool's page is left out", &[], [idle; 3], idle);
        look("two pages and the huge one", &[30, 5000, 1024], [read, idle, read], read);
        look("another page of the huge one is not its bit", &[1025], [idle; 3], idle);
        // A page not asked for was never marked.
        assert!(watch.bitmap.0.lock().get(&(900 / 64)).is_none());
        // Another program: nothing is believed.
        fs::write(tree.path().join("7/maps"), "").unwrap();
        assert_eq!(watch.check(&ranges, &mut Seen::default()), Err(ProcessError::Replaced));
        assert_eq!(watch.prepare(&ranges), Err(ProcessError::Replaced));
        fs::remove_file(tree.path().join("7/stat")).unwrap();
        assert_eq!(watch.prepare(&ranges), Err(ProcessError::Exited));
    }

    #[test]
    fn a_part_of_a_huge_page() {
        let (_tree, mut watch) = process();
        let range = [AddressRange::new(5 * BLOCK_SIZE + PAGE_SIZE, 5 * BLOCK_SIZE + 3 * PAGE_SIZE)];
        watch.prepare(&range).unwrap();
        let mut seen = Seen::default();
        watch.check(&range, &mut seen).unwrap();
        assert_eq!((seen.0.len(), seen.1.len()), (2, 0));
        assert!(seen.0.values().all(|access| *access == Access::IDLE));
    }
}
