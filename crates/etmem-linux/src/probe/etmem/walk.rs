//! Walking ranges of any size through one buffer.
//!
//! A byte of the buffer stands for eight base pages: so far the kernel walks from the address asked for, and stops
//! early when the buffer is full. So a read asks for no more than the rest of a range, and the next goes on at the
//! address that this one reached. Nothing read means that nothing is mapped as far as the read went.

use crate::sys::module;
use etmem_core::address::AddressRange;
use etmem_core::idle_pages::{Blocks, Decoder, PageSizes, StreamError};
use etmem_core::kernel::probe::AccessSink;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// Bytes of the buffer: up to 2 GiB of base pages of 4 KiB in a read.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// The shortest read. The kernel refuses less than 19 bytes; a few more spare reads where neighbours differ, and let the
/// kernel walk no more than 8 MiB past a range.
const LEAST_BYTES: usize = 256;

/// Base pages that a byte of the buffer stands for.
const PAGES_PER_BYTE: u64 = 8;

/// How often a read that was interrupted is made again.
const ATTEMPTS: usize = 100;

/// A file whose position is an address of the process.
pub(super) trait IdlePages: fmt::Debug + Send {
    /// Reads what the kernel has to say of the pages from `address` on.
    fn read_from(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// One of the requests of [`crate::sys::module`].
    fn request(&self, request: libc::Ioctl, flags: u32) -> io::Result<()>;
}

impl IdlePages for File {
    fn read_from(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_at(buffer, address)
    }

    fn request(&self, request: libc::Ioctl, flags: u32) -> io::Result<()> {
        module::request(self, request, flags)
    }
}

/// Why a walk ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum WalkEnd {
    /// The kernel refused a read.
    #[error("{error}")]
    Read {
        /// Where it was to begin.
        address: u64,
        /// The kernel's answer.
        error: io::Error,
    },
    /// What was read makes no sense.
    #[error("{error}")]
    Stream {
        /// Where the read began.
        address: u64,
        /// What is wrong.
        error: StreamError,
    },
    /// What was read led nowhere.
    #[error("{bytes} bytes were read, but nothing of any page")]
    StoodStill {
        /// Where the read began.
        address: u64,
        /// How much was read.
        bytes: usize,
    },
    /// What was read is not where it was asked for.
    #[error("asked for pages up to {limit:#x}, the kernel reported pages up to {reached:#x}")]
    Astray {
        /// Where the read began.
        address: u64,
        /// How far it should have gone.
        limit: u64,
        /// How far it went.
        reached: u64,
    },
}

impl WalkEnd {
    /// Where the read began that ended the walk.
    pub(super) fn address(&self) -> u64 {
        match self {
            Self::Read { address, .. }
            | Self::Stream { address, .. }
            | Self::StoodStill { address, .. }
            | Self::Astray { address, .. } => *address,
        }
    }
}

/// Reads all of `ranges` (ascending) and gives what it saw to `sink`. Says how many pages were left out because their
/// address is not a multiple of their size.
///
/// # Errors
/// Why it ended early; what was given to `sink` is to be thrown away.
pub(super) fn walk(
    file: &dyn IdlePages,
    sizes: PageSizes,
    ranges: &[AddressRange],
    buffer: &mut [u8],
    sink: &mut dyn AccessSink,
) -> Result<u64, WalkEnd> {
    let mut blocks = Blocks::new(ranges, sink);
    let mut skipped = 0;
    let mut next = 0;
    for range in ranges {
        next = next.max(range.start & !(sizes.base() - 1));
        while next < range.end {
            let pages = (range.end - next).div_ceil(sizes.base());
            let wanted = usize::try_from(pages.div_ceil(PAGES_PER_BYTE)).unwrap_or(usize::MAX);
            let most = buffer.len();
            let room = &mut buffer[..wanted.max(LEAST_BYTES).min(most)];
            let read_end = next.saturating_add(room.len() as u64 * PAGES_PER_BYTE * sizes.base());
            let bytes = read(file, next, room)?;
            next = match room.get(..bytes).unwrap_or(room) {
                [] => unmapped(next, read_end, range.end, sizes),
                stream => {
                    let mut decoder = Decoder::new(stream, sizes);
                    let taken = blocks.take(&mut decoder);
                    taken.map_err(|error| WalkEnd::Stream { address: next, error })?;
                    skipped += decoder.skipped();
                    reached(&decoder, next, read_end, bytes, sizes)?
                }
            };
        }
    }
    blocks.finish();
    Ok(skipped)
}

fn read(file: &dyn IdlePages, address: u64, room: &mut [u8]) -> Result<usize, WalkEnd> {
    let mut attempts = 1;
    loop {
        match file.read_from(address, room) {
            Err(error) if error.kind() == ErrorKind::Interrupted && attempts < ATTEMPTS => attempts += 1,
            Err(error) => return Err(WalkEnd::Read { address, error }),
            Ok(bytes) => return Ok(bytes),
        }
    }
}

/// Where to go on after an unmapped stretch that was walked from `next` up to `read_end`: where a huge page may begin.
fn unmapped(next: u64, read_end: u64, end: u64, sizes: PageSizes) -> u64 {
    let aligned = read_end & !(sizes.huge() - 1);
    if read_end < end && aligned > next { aligned } else { read_end }
}

/// Where to go on after what `decoder` reported of a read from `address` that should have gone up to `read_end`.
fn reached(
    decoder: &Decoder<'_>,
    address: u64,
    read_end: u64,
    bytes: usize,
    sizes: PageSizes,
) -> Result<u64, WalkEnd> {
    let reached = decoder.reached().unwrap_or(address);
    // The last page may be a huge one that reaches further.
    let limit = read_end.checked_next_multiple_of(sizes.giant()).unwrap_or(u64::MAX);
    if reached <= address {
        Err(WalkEnd::StoodStill { address, bytes })
    } else if reached > limit {
        Err(WalkEnd::Astray { address, limit, reached })
    } else {
        Ok(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::address::{BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK};
    use etmem_core::kernel::probe::{Access, Block};
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::collections::{BTreeMap, VecDeque};

    const BASE: u64 = 0x7000_0000_0000;
    const SIZES: PageSizes = PageSizes::FOUR_KIB;

    /// What the next reads do instead of telling all that fits.
    #[derive(Debug, Clone)]
    enum Twist {
        None,
        Fail(i32),
        /// Stops after this number of entries.
        Short(usize),
        Bytes(Vec<u8>),
    }

    /// A kernel with these pages (type of each, huge pages by their first), which keeps count of its reads.
    #[derive(Debug, Default)]
    struct Script {
        pages: BTreeMap<u64, u8>,
        twists: RefCell<VecDeque<Twist>>,
        /// Address and length of each read.
        reads: RefCell<Vec<(u64, usize)>>,
        /// How often each page's bit was read and cleared.
        cleared: RefCell<BTreeMap<u64, usize>>,
    }

    const fn size_of_type(kind: u8) -> u64 {
        if kind == 6 || kind == 1 { BLOCK_SIZE } else { PAGE_SIZE }
    }

    impl IdlePages for Script {
        fn read_from(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
            self.reads.borrow_mut().push((address, buffer.len()));
            let twist = self.twists.borrow_mut().pop_front().unwrap_or(Twist::None);
            let most = match twist {
                Twist::Fail(number) => return Err(io::Error::from_raw_os_error(number)),
                Twist::Bytes(bytes) => {
                    buffer[..bytes.len()].copy_from_slice(&bytes);
                    return Ok(bytes.len());
                }
                Twist::Short(entries) => entries,
                Twist::None => usize::MAX,
            };
            assert!(buffer.len() > 19 && address.is_multiple_of(PAGE_SIZE), "EINVAL");
            let end = address + buffer.len() as u64 * 8 * PAGE_SIZE;
            let (mut out, mut at) = (Vec::new(), None);
            for (entries, (&page, &kind)) in self.pages.range(address..end).enumerate() {
                if out.len() + 11 > buffer.len() || entries >= most {
                    break;
                }
                match at.map(|at: u64| (page - at) / PAGE_SIZE) {
                    Some(0) => {}
                    Some(gap @ 1..=15) => out.push(0x80 | u8::try_from(gap).unwrap()),
                    _ => {
                        out.push(0xA0);
                        out.extend(page.to_be_bytes());
                    }
                }
                match out
                    .last_mut()
                    .filter(|last| at == Some(page) && **last >> 4 == kind && **last & 15 < 15)
                {
                    Some(last) => *last += 1,
                    None => out.push(kind << 4 | 1),
                }
                at = Some(page + size_of_type(kind));
                *self.cleared.borrow_mut().entry(page).or_default() += 1;
            }
            buffer[..out.len()].copy_from_slice(&out);
            Ok(out.len())
        }

        fn request(&self, _: libc::Ioctl, _: u32) -> io::Result<()> {
            Ok(())
        }
    }

    /// Pages seen, huge pages by their first.
    #[derive(Debug, Default, PartialEq)]
    struct Seen(BTreeMap<u64, u8>);

    impl AccessSink for Seen {
        fn block(&mut self, start: u64, block: Block<'_>) {
            let kind = |access| if access == Access::IDLE { 5 } else { 3 };
            let old = match block {
                Block::Huge(access) => self.0.insert(start, kind(access) + 1),
                Block::Pages(pages) => {
                    for (index, access) in pages.iter().enumerate().filter(|(_, access)| access.is_present())
                    {
                        let old = self.0.insert(start + index as u64 * PAGE_SIZE, kind(*access));
                        assert_eq!(old, None, "each page once");
                    }
                    None
                }
            };
            assert_eq!(old, None, "each page once");
        }
    }

    fn range(from: u64, to: u64) -> AddressRange {
        AddressRange::new(BASE + from * PAGE_SIZE, BASE + to * PAGE_SIZE)
    }

    fn pages(numbers: impl Iterator<Item = u64>, kind: impl Fn(u64) -> u8) -> BTreeMap<u64, u8> {
        numbers.map(|number| (BASE + number * PAGE_SIZE, kind(number))).collect()
    }

    fn run(script: &Script, ranges: &[AddressRange], buffer: usize) -> (Seen, Result<u64, WalkEnd>) {
        let mut seen = Seen::default();
        let end = walk(script, SIZES, ranges, &mut vec![0; buffer], &mut seen);
        (seen, end)
    }

    #[test]
    fn a_mapping_whose_pages_alternate_is_walked_whole() {
        let alternating = |number: u64| if number.is_multiple_of(2) { 5 } else { 3 };
        let script = Script { pages: pages(0..300_000, alternating), ..Script::default() };
        let (seen, end) = run(&script, &[range(0, 300_000)], BUFFER_BYTES);
        assert_eq!(end.unwrap(), 0);
        assert_eq!(seen.0, script.pages);
        assert!(script.cleared.borrow().values().all(|times| *times == 1));
        let reads = script.reads.borrow();
        assert!(reads.len() < 100, "{} reads", reads.len());
        assert!(reads.iter().all(|(_, length)| (LEAST_BYTES..=BUFFER_BYTES).contains(length)));
    }

    #[test]
    fn a_tebibyte_of_nothing() {
        let script = Script::default();
        let (seen, end) = run(&script, &[AddressRange::new(BASE, BASE + (1 << 40))], BUFFER_BYTES);
        assert_eq!((end.unwrap(), seen), (0, Seen::default()));
        assert_eq!(script.reads.borrow().len(), 512);
    }

    #[test]
    fn a_read_asks_for_no_more_than_the_range() {
        let script = Script { pages: pages(0..100_000, |_| 5), ..Script::default() };
        run(&script, &[range(0, 50_000)], BUFFER_BYTES).1.unwrap();
        assert_eq!(script.reads.borrow()[..], [(BASE, 6250)]);
        assert_eq!(script.cleared.borrow().len(), 50_000);
    }

    #[test]
    fn interrupted_and_cut_short() {
        let script = Script { pages: pages(0..1000, |_| 3), ..Script::default() };
        let twists = [Twist::Fail(libc::EINTR), Twist::Short(3), Twist::Fail(libc::EINTR), Twist::Short(700)];
        script.twists.borrow_mut().extend(twists);
        let (seen, end) = run(&script, &[range(0, 1000)], BUFFER_BYTES);
        assert_eq!(end.unwrap(), 0);
        assert_eq!(seen.0, script.pages);
        assert_eq!(script.reads.borrow().len(), 5);
    }

    #[test]
    fn what_ends_a_walk() {
        let address = |address: u64| {
            let mut bytes = vec![0xA0];
            bytes.extend(address.to_be_bytes());
            bytes
        };
        let with = |mut bytes: Vec<u8>, more: &[u8]| {
            bytes.extend(more);
            Twist::Bytes(bytes)
        };
        for (name, twists, want) in [
            ("refused", vec![Twist::Fail(libc::EFAULT)], "Bad address"),
            ("never lets a read through", vec![Twist::Fail(libc::EINTR); 1000], "Interrupted"),
            ("no address", vec![Twist::Bytes(vec![0x51])], "no address"),
            ("cut in an address", vec![Twist::Bytes(vec![0xA0, 0, 0])], "within the address"),
            ("one byte, as the kernel does with a buffer of 19", vec![Twist::Bytes(vec![0])], "no address"),
            ("nothing but an address", vec![Twist::Bytes(address(BASE))], "nothing of any page"),
            ("before the range", vec![with(address(BASE - 8192), &[0x52])], "nothing of any page"),
            ("far past the range", vec![with(address(BASE + (1 << 40)), &[0x51])], "pages up to"),
            ("nonsense", vec![with(address(BASE), &[0x51, 0xCC])], "no known type"),
        ] {
            let script = Script { pages: pages(0..10, |_| 5), ..Script::default() };
            script.twists.borrow_mut().extend(twists);
            let end = run(&script, &[range(0, 10)], BUFFER_BYTES).1.unwrap_err();
            assert!(end.to_string().contains(want) && end.address() == BASE, "{name}: {end}");
            assert!(script.reads.borrow().len() <= ATTEMPTS, "{name}");
        }
    }

    #[test]
    fn pages_that_are_not_aligned_are_counted() {
        let script = Script::default();
        let mut bytes = vec![0xA0];
        bytes.extend((BASE + PAGE_SIZE).to_be_bytes());
        bytes.push(0x62);
        script.twists.borrow_mut().push_back(Twist::Bytes(bytes));
        let (seen, end) = run(&script, &[range(0, 2048)], BUFFER_BYTES);
        assert_eq!((end.unwrap(), seen), (2, Seen::default()));
    }

    /// Pages in stretches: how long, what of it is present, and how often the kernel stops early.
    fn machine() -> impl Strategy<Value = (BTreeMap<u64, u8>, u64)> {
        let stretch = (0u8..6, 1u64..1500);
        proptest::collection::vec(stretch, 1..30).prop_map(|stretches| {
            let mut pages = BTreeMap::new();
            let mut at = 0u64;
            for (shape, length) in stretches {
                let huge = at.next_multiple_of(PAGES_PER_BLOCK as u64);
                if shape == 5 {
                    pages.insert(BASE + huge * PAGE_SIZE, 6);
                    at = huge + PAGES_PER_BLOCK as u64;
                    continue;
                }
                for number in at..at + length {
                    let kind = match shape {
                        0 => None,
                        1 => Some(5),
                        2 => Some(if number % 2 == 0 { 5 } else { 3 }),
                        3 => (number % 3 == 0).then_some(3),
                        _ => (number % 40 == 0).then_some(5),
                    };
                    pages.extend(kind.map(|kind| (BASE + number * PAGE_SIZE, kind)));
                }
                at += length;
            }
            (pages, at)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        /// Every page asked for is seen, each bit is read once, whatever the buffer and however early reads stop.
        #[test]
        fn all_of_it_and_once(
            (pages, end) in machine(),
            cuts in proptest::collection::vec((0u64..900, 1u64..900), 0..12),
            buffer in prop_oneof![Just(LEAST_BYTES), Just(1000), Just(BUFFER_BYTES)],
            stops in proptest::collection::vec(prop_oneof![Just(usize::MAX), 1usize..50], 0..40),
        ) {
            let script = Script { pages, ..Script::default() };
            script.twists.borrow_mut().extend(stops.into_iter().map(Twist::Short));
            let mut ranges = Vec::new();
            let mut at = 0;
            for (gap, length) in cuts {
                ranges.push(range(at + gap, at + gap + length));
                at += gap + length;
            }
            ranges.push(range(at, at.max(end) + 1));
            let (seen, result) = run(&script, &ranges, buffer);
            prop_assert_eq!(result.unwrap(), 0);
            let mut want = BTreeMap::new();
            for (&page, &kind) in &script.pages {
                let whole = AddressRange::new(page, page + size_of_type(kind));
                for range in &ranges {
                    let part = range.intersection(whole);
                    // A huge page that is wanted in part comes as base pages. Where no read begins before it, because
                    // its start is not wanted, this kernel does not report it.
                    if part == whole {
                        want.insert(page, kind);
                    } else if kind == 6 && seen.0.keys().any(|seen| *seen >= part.start && *seen < part.end) {
                        want.extend((part.start..part.end).step_by(4096).map(|page| (page, 5)));
                    }
                }
            }
            prop_assert_eq!(&seen.0, &want);
            prop_assert!(script.cleared.borrow().values().all(|times| *times == 1));
        }
    }
}
