//! Addresses as lines of text, written in batches of whole lines.
//!
//! The kernel parses each write on its own, so a write that ends within a line would lose that page, or take another one
//! whose address is the beginning of this one. Where it takes a part of a write, the next begins at the line that was
//! cut.

use etmem_core::address::AddressRange;
use etmem_core::idle_pages::PageSizes;
use etmem_core::kernel::mover::Moved;
use std::io::{self, Write};

/// Most bytes of a write: some 2,000 pages, so that the kernel need not find much memory in a piece.
const BATCH_BYTES: usize = 32 * 1024;

/// The longest line: `0x`, 16 digits and a line end.
const LINE_BYTES: usize = 19;

/// How often a write is made that gets nowhere, before its lines count as refused.
const ATTEMPTS: usize = 8;

/// Lines of one write, and which of them are of huge pages. Used again and again.
#[derive(Debug)]
pub(super) struct Lines {
    text: Vec<u8>,
    huge: Vec<bool>,
}

impl Default for Lines {
    fn default() -> Self {
        Self { text: Vec::with_capacity(BATCH_BYTES), huge: Vec::new() }
    }
}

impl Lines {
    fn is_full(&self) -> bool {
        self.text.len() + LINE_BYTES > BATCH_BYTES
    }

    fn push(&mut self, address: u64, huge: bool) {
        self.text.extend_from_slice(b"0x");
        let digits = (64 - address.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            let [nibble, ..] = (address >> (4 * digit) & 0xF).to_le_bytes();
            self.text.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
        }
        self.text.push(b'\n');
        self.huge.push(huge);
    }

    /// Writes the lines and empties itself; what became of them goes to `moved`.
    ///
    /// # Errors
    /// What the kernel answers, where no other lines would fare better.
    fn write(&mut self, sizes: PageSizes, file: &mut dyn Write, moved: &mut Moved) -> io::Result<()> {
        let bytes = |huge: &[bool]| -> u64 {
            huge.iter().map(|huge| if *huge { sizes.huge() } else { sizes.base() }).sum()
        };
        let mut text = &self.text[..];
        let mut attempts = 0;
        while !text.is_empty() && attempts < ATTEMPTS {
            let taken = match file.write(text) {
                Ok(taken) => text.get(..taken).unwrap_or(text),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => &[],
                    _ => return Err(error),
                },
            };
            match taken.iter().rposition(|&byte| byte == b'\n') {
                Some(last) => {
                    text = &text[last + 1..];
                    attempts = 0;
                }
                None => attempts += 1,
            }
        }
        let left = text.iter().filter(|&&byte| byte == b'\n').count();
        let (taken, refused) = self.huge.split_at(self.huge.len() - left);
        moved.applied += bytes(taken);
        moved.refused += bytes(refused);
        self.text.clear();
        self.huge.clear();
        Ok(())
    }
}

/// Writes the addresses of the pages in `ranges`, of which the parts in `huge` are huge pages; both ascend.
///
/// # Errors
/// What the kernel answers about a write as a whole.
pub(super) fn write_all(
    lines: &mut Lines,
    sizes: PageSizes,
    ranges: &[AddressRange],
    mut huge: &[AddressRange],
    file: &mut dyn Write,
) -> io::Result<Moved> {
    lines.text.clear();
    lines.huge.clear();
    let mut moved = Moved::default();
    for range in ranges {
        // A page of which a part was not meant stays.
        let mut at = range.start.checked_next_multiple_of(sizes.base()).unwrap_or(range.end);
        while at < range.end && range.end - at >= sizes.base() {
            while let Some((_, later)) = huge.split_first().filter(|(first, _)| first.end <= at) {
                huge = later;
            }
            let part = huge.first().filter(|first| first.start <= at).map_or(0, |first| first.end - at);
            if part > 0 {
                // A huge page goes whole, by its start; one that began in an earlier batch went with that.
                let next = (at + 1).next_multiple_of(sizes.huge());
                if at.is_multiple_of(sizes.huge()) {
                    lines.push(at, true);
                }
                at = next.min(at + part).min(range.end);
            } else {
                lines.push(at, false);
                at += sizes.base();
            }
            if lines.is_full() {
                lines.write(sizes, file, &mut moved)?;
            }
        }
    }
    lines.write(sizes, file, &mut moved)?;
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::address::{BLOCK_SIZE, PAGE_SIZE};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const BASE: u64 = 0x7f00_0000_0000;

    /// A kernel that takes this many bytes of each write, or fails in this way.
    #[derive(Debug, Default)]
    struct Script {
        answers: VecDeque<Result<usize, i32>>,
        /// Addresses of whole lines taken.
        taken: Vec<u64>,
        /// Lines of which the end did not arrive.
        cut: usize,
        longest: usize,
    }

    impl Write for Script {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            assert_eq!(text.last(), Some(&b'\n'), "every write ends on a line end");
            assert_eq!(&text[..2], b"0x", "every write begins at a line start");
            self.longest = self.longest.max(text.len());
            let answer = self.answers.pop_front().unwrap_or(Ok(usize::MAX));
            let length = answer.map_err(io::Error::from_raw_os_error)?.min(text.len());
            for line in text[..length].split_inclusive(|&byte| byte == b'\n') {
                match line.strip_suffix(b"\n") {
                    Some(line) => {
                        let digits = std::str::from_utf8(line).unwrap().strip_prefix("0x").unwrap();
                        self.taken.push(u64::from_str_radix(digits, 16).unwrap());
                    }
                    None => self.cut += 1,
                }
            }
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn range(from: u64, to: u64) -> AddressRange {
        AddressRange::new(BASE + from * PAGE_SIZE, BASE + to * PAGE_SIZE)
    }

    fn run(ranges: &[AddressRange], huge: &[AddressRange], script: &mut Script) -> io::Result<Moved> {
        write_all(&mut Lines::default(), PageSizes::FOUR_KIB, ranges, huge, script)
    }

    fn addresses(pages: impl Iterator<Item = u64>) -> Vec<u64> {
        pages.map(|page| BASE + page * PAGE_SIZE).collect()
    }

    #[test]
    fn addresses_as_the_kernel_reads_them() {
        for address in [0, 1, 0xf, 0x10, 0xfff, 0x7fff_ffff_f000, u64::MAX] {
            let mut lines = Lines::default();
            lines.push(address, false);
            assert_eq!(lines.text, format!("{address:#x}\n").as_bytes());
            assert!(lines.text.len() <= LINE_BYTES);
        }
    }

    #[test]
    fn one_address_for_a_huge_page() {
        // Two base pages, two huge pages, one base page; then a huge page of which an earlier batch held the start.
        let ranges = [range(510, 1537), range(2050, 2562)];
        let huge = [range(512, 1536), range(2050, 2560)];
        let mut script = Script::default();
        let moved = run(&ranges, &huge, &mut script).unwrap();
        assert_eq!(script.taken, addresses([510, 511, 512, 1024, 1536, 2560, 2561].into_iter()));
        assert_eq!(moved, Moved { applied: 2 * BLOCK_SIZE + 5 * PAGE_SIZE, ..Moved::default() });
    }

    #[test]
    fn pages_of_64_kib() {
        let sizes = PageSizes::of_base(64 * 1024).unwrap();
        let mut script = Script::default();
        // Counts are kept per 4 KiB: a page of which only a part is in the range stays.
        let moved = write_all(&mut Lines::default(), sizes, &[range(8, 72)], &[], &mut script).unwrap();
        assert_eq!(script.taken, addresses([16, 32, 48].into_iter()));
        assert_eq!(moved.applied, 3 * 64 * 1024);
    }

    #[test]
    fn errors() {
        for number in [libc::ESRCH, libc::ENODEV, libc::EINVAL, libc::EFAULT] {
            let mut script = Script { answers: [Ok(20), Err(number)].into(), ..Script::default() };
            let error = run(&[range(0, 100)], &[], &mut script).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(number));
        }
    }

    #[test]
    fn a_write_that_gets_nowhere_is_given_up() {
        for answer in [Err(libc::EBUSY), Err(libc::EINTR), Ok(0), Ok(5)] {
            let pages = 3000;
            let mut script = Script { answers: vec![answer; ATTEMPTS].into(), ..Script::default() };
            let moved = run(&[range(0, pages)], &[], &mut script).unwrap();
            assert_eq!(moved.applied, script.taken.len() as u64 * PAGE_SIZE, "{answer:?}");
            assert_eq!(moved.applied + moved.refused, pages * PAGE_SIZE, "{answer:?}");
            assert!(moved.refused > 0 && moved.applied > 0, "{answer:?}: {moved:?}");
        }
    }

    proptest! {
        /// Every page's address arrives whole and once, wherever the kernel cuts a write.
        #[test]
        fn each_page_once(
            steps in prop::collection::vec((1u64..100, 1u64..2000), 0..20),
            answers in prop::collection::vec(
                prop_oneof![(15usize..4000).prop_map(Ok), Just(Err(libc::EINTR)), Just(Err(libc::EBUSY))], 0..60
            ),
        ) {
            let mut at = 0;
            let mut want = Vec::new();
            let ranges: Vec<_> = steps.iter().map(|(gap, pages)| {
                let start = at + gap;
                at = start + pages;
                want.extend(start..at);
                range(start, at)
            }).collect();
            // Never enough failures in a row for a write to be given up.
            let mut failures = 0;
            let answers = answers.into_iter().filter(|answer| {
                failures = if answer.is_err() { failures + 1 } else { 0 };
                failures < ATTEMPTS
            });
            let mut script = Script { answers: answers.collect(), ..Script::default() };
            let moved = run(&ranges, &[], &mut script).unwrap();
            prop_assert_eq!(moved, Moved { applied: want.len() as u64 * PAGE_SIZE, ..Moved::default() });
            prop_assert_eq!(script.taken, addresses(want.into_iter()));
            prop_assert!(script.longest <= BATCH_BYTES);
        }
    }
}
