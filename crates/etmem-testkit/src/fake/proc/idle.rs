//! `/proc/PID/idle_pages`: a read walks page tables, test-and-clears, and tells.
//!
//! Translations stay cached until the file is closed, as the module flushes them only then: a page that was looked at through an
//! open file and is touched again does not show it. Measured on the module, of 4,096 hot pages between 8 and 4,096 were seen by a
//! second look through the same file, and all by one through another. Here it is none.

use std::ops::Range;

use super::process::{Process, Stretch};
use super::script::{BLOCK, Life, Moment, PAGE, PageSize, ScriptedMapping};
use super::stream::{Full, Kind, Stream};

/// Below this the kernel refuses a buffer.
const LEAST_BUFFER: usize = 19;
/// The first address that no process of x86-64 has: a read whose span reaches it gives nothing.
const TASK_SIZE: u64 = 0x7fff_ffff_f000;
/// Scan flag: take a virtual machine's memory, and here all memory, as huge pages.
pub const SCAN_AS_HUGE: u32 = 0o100_000_000;
/// Scan flag: leave out what the host itself accessed.
pub const SCAN_IGN_HOST: u32 = 0o200_000_000;
/// Mapping flag: walk only what was marked for swapping.
pub const ONLY_MARKED: u32 = 0x1000;

/// How a walk is to be done, as set by ioctl and by the flags of open(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// Scan flags.
    pub scan: u32,
    /// Mapping flags.
    pub mapping: u32,
    /// Opened with O_NONBLOCK, which the kernel takes for [`SCAN_AS_HUGE`] of a process's own memory.
    pub huge: bool,
}

impl Flags {
    const fn only_huge(self) -> bool {
        self.huge || self.scan & SCAN_AS_HUGE != 0
    }
}

/// Why a read is refused: EINVAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// What a read gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The kernel says 1 here and writes nothing: the buffer is of the least size.
    pub says_one: bool,
    /// The address that the walk came to, to which a kernel's file position would have moved.
    pub reached: u64,
}

impl Answer {
    const fn nothing(reached: u64) -> Self {
        Self { bytes: Vec::new(), says_one: false, reached }
    }
}

impl Process {
    /// A read of `room` bytes at `offset`.
    ///
    /// # Errors
    /// The offset is not at a page's start, or the buffer too small.
    pub fn read_idle_pages(
        &mut self,
        offset: u64,
        room: usize,
        flags: Flags,
        now: Moment,
    ) -> Result<Answer, Invalid> {
        let span = (room as u64).saturating_mul(8 * PAGE);
        let end = offset.saturating_add(span);
        if offset >= TASK_SIZE || end >= TASK_SIZE || room == 0 {
            return Ok(Answer::nothing(offset));
        }
        if !offset.is_multiple_of(PAGE) || room < LEAST_BUFFER {
            return Err(Invalid);
        }
        self.settle(now);
        let Some(mut stream) = Stream::new(room) else {
            return Ok(Answer { bytes: vec![0], says_one: true, reached: offset });
        };
        let mut seen = Vec::new();
        let walked = self.walk(&(offset..end), flags, now, &mut stream, &mut seen);
        let reached = match walked {
            Ok(()) => end,
            Err(Full(at)) => at.max(offset),
        };
        for range in seen {
            let range = range.start..range.end.min(reached);
            self.looked.set(range.clone(), now);
            if self.script.caches_translations {
                self.cached.set(range, ());
            }
        }
        Ok(Answer { bytes: stream.finish(), says_one: false, reached })
    }

    fn walk(
        &self,
        span: &Range<u64>,
        flags: Flags,
        now: Moment,
        stream: &mut Stream,
        seen: &mut Vec<Range<u64>>,
    ) -> Result<(), Full> {
        let first = self.script.mappings.partition_point(|mapping| mapping.range().end <= span.start);
        for mapping in self.script.mappings.iter().skip(first) {
            if mapping.start >= span.end {
                break;
            }
            if !is_walked(mapping, flags) {
                continue;
            }
            for (place, segment) in mapping.laid_out() {
                if place.end <= span.start || place.start >= span.end {
                    continue;
                }
                let lives = segment.texture.lives();
                let whole = segment.size.bytes();
                let from = place.start + (span.start.max(place.start) - place.start) / whole * whole;
                // A scan for huge pages only does not look at the entries of base pages.
                if segment.size != PageSize::Base || !flags.only_huge() {
                    seen.push(from..span.end.min(place.end));
                }
                for stretch in self.stretches(&place, segment, span) {
                    let shown: Vec<Shown> = lives.iter().map(|life| shown(life, &stretch, now)).collect();
                    let first = shown.first().copied().unwrap_or(Shown::Nothing);
                    if shown.iter().all(|shown| *shown == first) {
                        show(first, stretch.range, stretch.size, flags, stream)?;
                        continue;
                    }
                    for (life, run) in segment.runs(&place, &stretch.range) {
                        show(shown.get(life).copied().unwrap_or(first), run, stretch.size, flags, stream)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// What a walk finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    Hole,
    Idle,
    Accessed,
    Dirty,
}

/// What pages of `life` show that were treated as those of `stretch` were.
fn shown(life: &Life, stretch: &Stretch, now: Moment) -> Shown {
    if !life.is_there(now) {
        return Shown::Nothing;
    }
    if stretch.out.is_some() {
        return Shown::Hole;
    }
    // What was there at the last look is touched through a cached translation.
    if stretch.cached && stretch.looked.is_some_and(|looked| life.is_there(looked)) {
        return Shown::Idle;
    }
    match life.touched(stretch.looked, now) {
        None => Shown::Idle,
        Some(false) => Shown::Accessed,
        Some(true) => Shown::Dirty,
    }
}

fn show(
    shown: Shown,
    range: Range<u64>,
    size: PageSize,
    flags: Flags,
    stream: &mut Stream,
) -> Result<(), Full> {
    if shown == Shown::Nothing {
        stream.nothing(range);
        return Ok(());
    }
    if size == PageSize::Base && flags.only_huge() {
        return stream.table(range.start / BLOCK * BLOCK..range.end.next_multiple_of(BLOCK));
    }
    let kind = match (size, shown) {
        (PageSize::Gigantic, _) => Kind::Gigantic,
        (PageSize::Huge | PageSize::Pool, Shown::Idle) => Kind::HugeIdle,
        (PageSize::Huge | PageSize::Pool, Shown::Dirty) => Kind::HugeDirty,
        (PageSize::Huge | PageSize::Pool, Shown::Nothing | Shown::Hole | Shown::Accessed) => {
            Kind::HugeAccessed
        }
        (PageSize::Base, Shown::Idle) => Kind::Idle,
        (PageSize::Base, Shown::Accessed) => Kind::Accessed,
        (PageSize::Base, Shown::Dirty) => Kind::Dirty,
        (PageSize::Base, Shown::Nothing | Shown::Hole) => Kind::Hole,
    };
    stream.pages(kind, range)
}

/// Whether the kernel walks `mapping`: not what is shared, and of files only what is private and writable.
fn is_walked(mapping: &ScriptedMapping, flags: Flags) -> bool {
    let permissions = mapping.permissions.as_bytes();
    let private = permissions.get(3) == Some(&b'p');
    let writable = permissions.get(1) == Some(&b'w');
    private && (mapping.inode == 0 || writable) && (flags.mapping & ONLY_MARKED == 0 || mapping.marked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::proc::script::{Life, ScriptedProcess, Segment, Texture, When};
    use std::time::Duration;

    const START: u64 = 0x7000_0000_0000;

    fn process(segments: Vec<Segment>) -> Process {
        Process::new(ScriptedProcess::new(7, "x", vec![ScriptedMapping::private(START, segments)]))
    }

    fn read(process: &mut Process, offset: u64, room: usize, flags: Flags) -> Vec<u8> {
        process.note_read(offset);
        let now = process.moment(Duration::ZERO);
        process.read_idle_pages(offset, room, flags, now).unwrap().bytes
    }

    #[test]
    fn what_grows_appears_accessed_and_stays_where_it_is_not_looked_at() {
        let grows = Life::hole().then(When::Pass(1), &Life::cold());
        let mut process = process(vec![Segment::solid(4, Life::cold()), Segment::solid(300, grows)]);
        let flags = Flags::default();
        assert_eq!(read(&mut process, START, 64, flags)[9..], [0x04]);
        assert_eq!(process.memory(process.moment(Duration::ZERO)), (4 * PAGE, 0));
        // 20 bytes stand for 160 pages: what lies behind keeps its bits.
        assert_eq!(read(&mut process, START, 20, flags)[9..], [0x54, 0x0f]);
        let rest = read(&mut process, START + 200 * PAGE, 64, flags);
        assert_eq!(rest[9..], [0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0f, 0x0e]);
    }

    #[test]
    fn the_end_of_the_address_space() {
        let mut process = process(vec![]);
        process.script.mappings =
            vec![ScriptedMapping::private(TASK_SIZE - 64 * PAGE, vec![Segment::solid(64, Life::hot())])];
        let start = TASK_SIZE - 64 * PAGE;
        assert!(read(&mut process, start, 20, Flags::default()).is_empty(), "160 pages reach too far");
        let at = start - 100 * PAGE;
        assert_eq!(read(&mut process, at, 20, Flags::default())[9..], [0x0f, 0x0f]);
    }

    #[test]
    fn huge_pages_of_each_size() {
        let huge = |size, life| Segment { pages: 1, size, texture: Texture::Solid(life) };
        let mut process = process(vec![
            huge(PageSize::Huge, Life::cold()),
            huge(PageSize::Pool, Life::written()),
            Segment::solid(1024, Life::cold()),
        ]);
        let room = 256;
        let first = read(&mut process, START, room, Flags::default());
        assert_eq!(first[9..11], [0x11, 0x41]);
        let middle = read(&mut process, START + PAGE, 32, Flags::default());
        assert_eq!(middle[..9], first[..9], "a huge page is told from where it begins");
        assert_eq!(middle[9..], [0x61], "32 bytes stand for half of one");
        let flags = Flags { scan: SCAN_AS_HUGE, ..Flags::default() };
        // Closed, so that touches show again.
        process.flush(process.moment(Duration::ZERO));
        assert_eq!(read(&mut process, START, room, flags)[9..], [0x61, 0x41, 0x72]);
        let mut gigantic = ScriptedMapping::private(1 << 40, vec![huge(PageSize::Gigantic, Life::cold())]);
        gigantic.pinned = true;
        process.script.mappings = vec![gigantic];
        assert_eq!(read(&mut process, 1 << 40, 64, Flags::default())[9..], [0x21]);
    }

    #[test]
    fn one_tebibyte_dense_is_read_in_few_steps() {
        let mut process = process(vec![Segment::solid(1 << 28, Life::hot())]);
        let (mut at, mut bytes, mut reads) = (START, 0, 0);
        while at < START + (1 << 40) {
            process.note_read(at);
            let now = process.moment(Duration::ZERO);
            let answer = process.read_idle_pages(at, 65_536, Flags::default(), now).unwrap();
            assert!(answer.reached > at);
            at = answer.reached;
            bytes += answer.bytes.len();
            reads += 1;
        }
        // 15 pages to the byte, and an address to each piece of what the kernel gathers.
        assert_eq!(reads, 512);
        assert!((17_895_697..18_000_000).contains(&bytes), "{bytes}");
    }
}
