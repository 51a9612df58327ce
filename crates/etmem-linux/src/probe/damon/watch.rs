//! Watching one process: a session's counts, block by block, for the pages that are in memory.

use super::regions::Counted;
use super::session::Session;
use crate::frames::{Backing, Frames, MachineFrames};
use crate::process::address_space::AddressSpace;
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK, block_of};
use etmem_core::kernel::probe::{Access, AccessProbe, AccessSink, Block};
use etmem_core::kernel::process::ProcessError;
use parking_lot::Mutex;
use std::sync::Arc;

/// A session and whose memory it watches.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) session: Session,
    pub(super) space: AddressSpace,
}

/// Watches one process, for a cycle; what it watches with stays for the next.
#[derive(Debug)]
pub(super) struct DamonWatch {
    pub(super) watched: Arc<Mutex<Watched>>,
    pub(super) frames: Frames,
    pub(super) machine: Arc<MachineFrames>,
}

impl AccessProbe for DamonWatch {
    fn prepare(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError> {
        let mut watched = self.watched.lock();
        watched.space.check()?;
        let begun = watched.session.begin(ranges);
        // First of all: a process that is gone explains everything else.
        watched.space.check()?;
        begun
    }

    fn check(&mut self, ranges: &[AddressRange], sink: &mut dyn AccessSink) -> Result<(), ProcessError> {
        let watched = self.watched.lock();
        let tried = match (watched.session.has_regions(), watched.session.is_running()) {
            (true, true) => watched.session.counted(),
            (false, _) => Ok(Vec::new()),
            (true, false) => {
                Err(ProcessError::refused("DAMON", "the kdamond has ended, or another program has ended it"))
            }
        };
        watched.space.check()?;
        report(ranges, &mut Counted::new(tried?), &self.frames, &self.machine, sink)?;
        watched.space.check()
    }
}

/// Tells `sink` what was counted of the pages in `ranges` that are in memory.
fn report(
    ranges: &[AddressRange],
    counted: &mut Counted,
    frames: &Frames,
    machine: &MachineFrames,
    sink: &mut dyn AccessSink,
) -> Result<(), ProcessError> {
    let mut of_block = [0; PAGES_PER_BLOCK];
    for range in ranges {
        let mut block = block_of(range.start);
        while block < range.end {
            let whole = AddressRange::new(block, block.saturating_add(BLOCK_SIZE));
            let part = range.intersection(whole);
            match frames.block(machine, block, &mut of_block)? {
                Backing::Nothing => {}
                Backing::Huge { .. } if part == whole => sink.block(block, Block::Huge(counted.block(block))),
                Backing::Huge { .. } | Backing::Pages => {
                    let access = counted.block(block);
                    let mut pages = [Access::ABSENT; PAGES_PER_BLOCK];
                    for ((page, frame), address) in
                        pages.iter_mut().zip(of_block).zip((block..).step_by(PAGE_BYTES))
                    {
                        if frame != 0 && part.start <= address && address < part.end {
                            *page = access;
                        }
                    }
                    sink.block(block, Block::Pages(&pages));
                }
            }
            block = whole.end;
        }
    }
    Ok(())
}

const PAGE_BYTES: usize = {
    assert!(PAGE_SIZE == 4096, "as a step between addresses");
    4096
};
