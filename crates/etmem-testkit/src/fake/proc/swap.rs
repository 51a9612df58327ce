//! `/proc/PID/swap_pages`: a write names pages by lines, and those leave memory.
//!
//! The kernel parses each write alone: an address that the end of a write cuts in two becomes two other numbers.
//! It answers with the length of the write whatever came of it; only the counts tell.

use std::ops::Range;

use super::process::Process;
use super::script::{BLOCK, Moment, PAGE, PageSize};

impl Process {
    /// A write of `text`, while swap has room for `room` bytes.
    pub fn write_swap_pages(&mut self, text: &[u8], now: Moment, room: u64) {
        self.settle(now);
        self.counts.writes += 1;
        let mut room = room;
        let mut leaving: Range<u64> = 0..0;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Some(address) = hexadecimal(line) else {
                self.counts.nonsense += 1;
                continue;
            };
            self.counts.addresses += 1;
            let page = address / PAGE * PAGE;
            let start = match self.leaves(page, now) {
                // Named twice in this write.
                Ok(_) if leaving.contains(&page) => continue,
                Ok(PageSize::Huge) => page / BLOCK * BLOCK,
                Ok(PageSize::Base | PageSize::Pool | PageSize::Gigantic) => page,
                Err(Stays::Missing) => {
                    self.counts.missed += 1;
                    continue;
                }
                Err(Stays::Skipped) => {
                    self.counts.skipped += 1;
                    continue;
                }
            };
            let bytes = if start == page && self.is_base(page) { PAGE } else { BLOCK };
            if room < bytes {
                self.counts.skipped += 1;
                continue;
            }
            room -= bytes;
            if bytes == BLOCK {
                self.split_block(start);
            }
            if leaving.end == start {
                leaving.end = start + bytes;
            } else {
                self.leave(leaving, now);
                leaving = start..start + bytes;
            }
        }
        self.leave(leaving, now);
    }

    fn is_base(&self, page: u64) -> bool {
        self.split.at(page).is_some()
            || self.place(page).is_none_or(|(_, _, segment)| segment.size == PageSize::Base)
    }

    fn leave(&mut self, range: Range<u64>, now: Moment) {
        self.counts.paged_out += (range.end - range.start) / PAGE;
        self.settled = None;
        self.out.set(range.clone(), now);
        self.ever_out.set(range, ());
    }

    fn is_kept(&self, page: u64) -> bool {
        (page / PAGE).checked_rem(self.script.keeps_one_in) == Some(0)
    }

    /// Whether the page at `page` can leave memory, and of which size it is.
    fn leaves(&self, page: u64, now: Moment) -> Result<PageSize, Stays> {
        let (mapping, _, segment) = self.place(page).ok_or(Stays::Missing)?;
        let there = self.life_at(page).is_some_and(|life| life.is_there(now));
        if !there || self.out.at(page).is_some() {
            return Err(Stays::Missing);
        }
        let private = mapping.permissions.as_bytes().get(3) == Some(&b'p');
        if mapping.pinned || !private {
            return Err(Stays::Skipped);
        }
        match segment.size {
            PageSize::Base if self.is_kept(page) => Err(Stays::Skipped),
            PageSize::Base => Ok(PageSize::Base),
            PageSize::Huge if self.split.at(page).is_some() => Ok(PageSize::Base),
            PageSize::Huge => Ok(PageSize::Huge),
            PageSize::Pool | PageSize::Gigantic => Err(Stays::Skipped),
        }
    }
}

/// Why a page stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    Missing,
    Skipped,
}

/// The number that the kernel reads from a line: hexadecimal, with or without `0x`, and nothing else.
fn hexadecimal(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::proc::idle::Flags;
    use crate::fake::proc::script::{Life, ScriptedMapping, ScriptedProcess, Segment, Texture, When};
    use std::time::Duration;

    const START: u64 = 0x7000_0000_0000;

    fn at(seconds: u64) -> Moment {
        Moment { time: Duration::from_secs(seconds), pass: 0 }
    }

    fn process(segments: Vec<Segment>) -> Process {
        Process::new(ScriptedProcess::new(7, "x", vec![ScriptedMapping::private(START, segments)]))
    }

    fn lines(pages: impl IntoIterator<Item = u64>) -> String {
        pages.into_iter().map(|page| format!("0x{:x}\n", START + page * PAGE)).collect()
    }

    #[test]
    fn numbers() {
        for (line, want) in [
            ("0x10", Some(16)),
            ("10", Some(16)),
            ("0Xff", Some(255)),
            ("+0x1", Some(1)),
            ("0x", None),
            ("", None),
            ("-1", None),
            ("0x+1", None),
            ("0x1 ", None),
            ("0x1ffffffffffffffff", None),
            ("zebra", None),
        ] {
            assert_eq!(hexadecimal(line.as_bytes()), want, "{line:?}");
        }
    }

    #[test]
    fn pages_leave_and_come_back_when_they_are_touched() {
        let later = Life::cold().then(When::Time(Duration::from_secs(5)), &Life::hot());
        let mut process = process(vec![Segment::solid(10, Life::cold()), Segment::solid(10, later)]);
        process.write_swap_pages(lines(0..15).as_bytes(), at(1), u64::MAX);
        assert_eq!((process.counts.paged_out, process.memory(at(1))), (15, (5 * PAGE, 15 * PAGE)));
        process.write_swap_pages(lines(14..16).as_bytes(), at(2), u64::MAX);
        assert_eq!((process.counts.paged_out, process.counts.missed), (16, 1));
        process.settle(at(5));
        assert_eq!((process.counts.came_back, process.memory(at(5))), (6, (10 * PAGE, 10 * PAGE)));
        assert_eq!(process.ever_out.bytes(), 16 * PAGE);
        let seen = process.read_idle_pages(START, 64, Flags::default(), at(5)).unwrap();
        assert_eq!(seen.bytes[9..], [0x0a]);
    }

    #[test]
    fn a_write_that_ends_within_an_address_loses_that_page() {
        let mut process = process(vec![Segment::solid(32, Life::cold())]);
        let text = lines(0..32);
        let (first, second) = text.as_bytes().split_at(15 * 8 + 7);
        process.write_swap_pages(first, at(1), u64::MAX);
        process.write_swap_pages(second, at(1), u64::MAX);
        assert_eq!((process.counts.paged_out, process.counts.missed), (31, 2));
        assert_eq!(process.out.at(START + 8 * PAGE), None);
    }

    #[test]
    fn what_cannot_leave_is_skipped_without_a_word() {
        let mut process = process(vec![
            Segment::solid(512, Life::cold()),
            Segment { pages: 1, size: PageSize::Huge, texture: Texture::Solid(Life::cold()) },
            Segment { pages: 1, size: PageSize::Pool, texture: Texture::Solid(Life::cold()) },
        ]);
        process.write_swap_pages(b"nonsense\n\n0x1000\n", at(1), u64::MAX);
        assert_eq!((process.counts.nonsense, process.counts.missed, process.counts.paged_out), (1, 1, 0));
        // No room for a second page.
        process.write_swap_pages(lines(0..2).as_bytes(), at(1), PAGE);
        assert_eq!((process.counts.skipped, process.counts.paged_out), (1, 1));
        // A huge page leaves as a whole, by any of its addresses; one of the pool never.
        process.write_swap_pages(lines([700, 701, 1024]).as_bytes(), at(1), u64::MAX);
        assert_eq!((process.counts.skipped, process.counts.paged_out), (2, 513));
        assert_eq!(process.out.at(START + 512 * PAGE), Some(at(1)));
        process.script.mappings[0].pinned = true;
        process.write_swap_pages(lines([5]).as_bytes(), at(1), u64::MAX);
        assert_eq!(process.counts.skipped, 3);
    }
}
