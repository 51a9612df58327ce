//! The last look at pages before they leave: what was touched meanwhile stays.

use super::gathered::Gathered;
use super::tools::Tools;
use crate::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, append};
use crate::kernel::probe::{Access, AccessSink, Block};
use crate::kernel::process::ProcessError;
use crate::plan::Outcome;

/// Keeps of `stretch` what is still there and idle, where the probe can look without clearing.
pub(super) fn recheck(
    stretch: &mut Gathered,
    outcome: &mut Outcome,
    tools: &mut Tools<'_>,
) -> Result<(), ProcessError> {
    let is_needed = !stretch.ranges.is_empty() && tools.pacer.now() >= tools.fresh_until;
    let Some(probe) = tools.probe.as_deref_mut().filter(|_| is_needed) else { return Ok(()) };
    let mut look = LastLook::default();
    probe.check(&stretch.ranges, &mut look)?;
    outcome.touched += look.touched;
    let gone = stretch.bytes.saturating_sub(look.touched + look.idle);
    outcome.tried += gone;
    outcome.vanished += gone;
    (stretch.ranges, stretch.huge, stretch.bytes) = (look.ranges, look.huge, look.idle);
    Ok(())
}

/// What of a stretch is still there and idle.
#[derive(Debug, Default)]
struct LastLook {
    ranges: Vec<AddressRange>,
    huge: Vec<AddressRange>,
    /// In bytes.
    idle: u64,
    touched: u64,
}

impl LastLook {
    fn take(&mut self, range: AddressRange, access: Access) {
        if access == Access::IDLE {
            append(&mut self.ranges, range);
            self.idle += range.bytes();
        } else if access.is_present() {
            self.touched += range.bytes();
        }
    }
}

impl AccessSink for LastLook {
    fn block(&mut self, start: u64, block: Block<'_>) {
        match block {
            Block::Huge(access) => {
                let range = AddressRange::new(start, start + BLOCK_SIZE);
                if access == Access::IDLE {
                    append(&mut self.huge, range);
                }
                self.take(range, access);
            }
            Block::Pages(pages) => {
                let mut at = start;
                for alike in pages.chunk_by(|one, other| one == other) {
                    let range = AddressRange::new(at, at + alike.len() as u64 * PAGE_SIZE);
                    self.take(range, alike[0]);
                    at = range.end;
                }
            }
        }
    }

    /// Nearly always: what was cold a moment ago.
    fn equal_blocks(&mut self, start: u64, blocks: u64, access: Access) {
        self.take(AddressRange::new(start, start + blocks * BLOCK_SIZE), access);
    }
}
