//! `/proc/PID/pagemap`: a word for each page, with whether it is in memory, in which frame, or in swap.
//! No two mappings of a scripted machine share a page.

use super::process::Process;
use super::script::{Moment, PAGE};

/// Of a word: in memory, in swap, of a file or shared, and the frame.
const PRESENT: u64 = 1 << 63;
const SWAP: u64 = 1 << 62;
const FILE: u64 = 1 << 61;
/// Of a word of a page in memory: no other mapping has it.
const EXCLUSIVE: u64 = 1 << 56;
const FRAME: u64 = (1 << 55) - 1;
/// Bits of the number of a page of x86-64.
const PAGE_BITS: u32 = 35;

impl Process {
    /// The words of `pages` pages from page number `first` on.
    pub(super) fn pagemap(&self, first: u64, pages: usize, now: Moment) -> Vec<u64> {
        let mut words = vec![0; pages];
        let span = first * PAGE..(first + pages as u64) * PAGE;
        for mapping in &self.script.mappings {
            let file = if mapping.inode == 0 { 0 } else { FILE };
            for (place, segment) in mapping.laid_out() {
                if place.end <= span.start || place.start >= span.end {
                    continue;
                }
                let there: Vec<bool> =
                    segment.texture.lives().iter().map(|life| life.is_there(now)).collect();
                for stretch in self.stretches(&place, segment, &span) {
                    for (life, run) in segment.runs(&place, &stretch.range) {
                        let is_there = there.get(life).copied().unwrap_or(false);
                        let run = run.start.max(span.start)..run.end.min(span.end);
                        for address in run.step_by(4096) {
                            let word = match (stretch.out, is_there) {
                                (Some(_), _) => SWAP | file,
                                (None, true) => PRESENT | EXCLUSIVE | file | self.frame(address),
                                (None, false) => 0,
                            };
                            let at = usize::try_from(address / PAGE - first).unwrap_or(usize::MAX);
                            words[at] = word;
                        }
                    }
                }
            }
        }
        words
    }

    /// The frame of the page at `address`: another one each time that it was read back.
    fn frame(&self, address: u64) -> u64 {
        let times = self.read_back.at(address).unwrap_or(0);
        ((times << PAGE_BITS) | (address / PAGE)) & FRAME
    }
}
