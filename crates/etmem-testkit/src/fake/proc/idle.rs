//! `/proc/PID/idle_pages`: a read walks page tables, test-and-clears, and tells.

use std::ops::Range;

use super::process::{Process, Stretch};
use super::script::{BLOCK, Moment, PAGE, PageSize, ScriptedMapping};
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
            self.looked.set(range.start..range.end.min(reached), now);
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
                // Most stretches of a segment were treated alike: what a life shows is worked out once for them.
                let mut shown = vec![None; lives.len()];
                let mut alike = None;
                let whole = segment.size.bytes();
                let from = place.start + (span.start.max(place.start) - place.start) / whole * whole;
                seen.push(from..span.end.min(place.end));
                for stretch in self.stretches(place.clone(), segment, span) {
                    if alike != Some((stretch.looked, stretch.out)) {
                        alike = Some((stretch.looked, stretch.out));
                        shown.fill(None);
                    }
                    let Some(slot) = shown.get_mut(stretch.life) else { continue };
                    let there = *slot.get_or_insert_with(|| {
                        let life = lives.get(stretch.life).filter(|life| life.is_there(now));
                        match (life, stretch.out) {
                            (None, _) => Shown::Nothing,
                            (_, Some(_)) => Shown::Hole,
                            (Some(life), None) => match life.touched(stretch.looked, now) {
                                None => Shown::Idle,
                                Some(false) => Shown::Accessed,
                                Some(true) => Shown::Dirty,
                            },
                        }
                    });
                    show(there, &stretch, flags, stream)?;
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

fn show(shown: Shown, stretch: &Stretch<'_>, flags: Flags, stream: &mut Stream) -> Result<(), Full> {
    let range = stretch.range.clone();
    if shown == Shown::Nothing {
        stream.nothing(range);
        return Ok(());
    }
    if stretch.size == PageSize::Base && (flags.huge || flags.scan & SCAN_AS_HUGE != 0) {
        return stream.table(range.start / BLOCK * BLOCK..range.end.next_multiple_of(BLOCK));
    }
    let kind = match (stretch.size, shown) {
        (PageSize::Gigantic, _) => Kind::Gigantic,
        (PageSize::Huge | PageSize::Pool, Shown::Idle) => Kind::HugeIdle,
        (PageSize::Huge | PageSize::Pool, Shown::Dirty) => Kind::HugeDirty,
        (PageSize::Huge | PageSize::Pool, Shown::Nothing | Shown::Hole | Shown::Accessed) => Kind::HugeAccessed,
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
