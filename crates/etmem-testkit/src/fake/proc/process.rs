//! A process as it is now: what of its script has come true, and what was done to it.
//!
//! Kept per run of addresses, never per page: when each was last looked at, and what was paged out when. Whether a
//! page was touched is not kept at all: it follows from the script and from the moment of the last look.

use std::ops::Range;
use std::time::Duration;

use super::runs::Runs;
use super::script::{BLOCK, Life, Moment, PAGE, PageSize, ScriptedMapping, ScriptedProcess, Segment, When};

/// What was asked of a process's two files, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Times that `idle_pages` was opened.
    pub scans_opened: u64,
    /// Reads of `idle_pages`.
    pub reads: u64,
    /// Bytes that these gave.
    pub bytes_read: u64,
    /// Writes to `swap_pages`.
    pub writes: u64,
    /// Lines of these that held an address.
    pub addresses: u64,
    /// Lines that did not.
    pub nonsense: u64,
    /// Addresses where there was no page.
    pub missed: u64,
    /// Addresses of pages that cannot be paged out: locked, shared, of the pool, or no swap was left.
    pub skipped: u64,
    /// Pages of 4 KiB paged out.
    pub paged_out: u64,
    /// Pages of 4 KiB that were touched while they were out, and came back.
    pub came_back: u64,
}

/// Touches that go by time show so much later at most.
const STEP: Duration = Duration::from_millis(20);

/// A process that follows its script.
#[derive(Debug, Clone)]
pub struct Process {
    /// The script.
    pub script: ScriptedProcess,
    /// What was asked of it.
    pub counts: Counts,
    /// Pages that are out, and since when.
    pub out: Runs<Moment>,
    /// Pages that were out at some time.
    pub ever_out: Runs<()>,
    /// When the accessed bits were cleared last.
    pub(super) looked: Runs<Moment>,
    /// How many pages had been read back when these were.
    pub(super) read_back: Runs<u64>,
    /// Pages whose translations processors have cached since they were looked at: what is touched there does not show until the
    /// file is closed.
    pub(super) cached: Runs<()>,
    /// When what was touched while it was out was brought back last.
    pub(super) settled: Option<Moment>,
    /// Huge pages that were split into base pages when they were paged out.
    pub(super) split: Runs<()>,
    /// How often it has replaced its program.
    pub programs: u64,
    pass: u64,
    last_read: Option<u64>,
    killed: bool,
}

/// Pages of a segment that were treated alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) range: Range<u64>,
    /// The size of its pages now.
    pub(super) size: PageSize,
    pub(super) looked: Option<Moment>,
    pub(super) out: Option<Moment>,
    /// Its translations are cached since it was looked at.
    pub(super) cached: bool,
}

impl Process {
    /// At its beginning.
    #[must_use]
    pub fn new(script: ScriptedProcess) -> Self {
        Self {
            script,
            counts: Counts::default(),
            out: Runs::default(),
            ever_out: Runs::default(),
            looked: Runs::default(),
            read_back: Runs::default(),
            cached: Runs::default(),
            settled: None,
            split: Runs::default(),
            programs: 0,
            pass: 0,
            last_read: None,
            killed: false,
        }
    }

    /// This moment of its life.
    #[must_use]
    pub const fn moment(&self, time: std::time::Duration) -> Moment {
        Moment { time, pass: self.pass }
    }

    /// A read of `idle_pages` at `address`: it may begin the next pass.
    pub(super) fn note_read(&mut self, address: u64) {
        if self.last_read.is_some_and(|last| address <= last) {
            self.pass += 1;
        }
        self.last_read = Some(address);
    }

    /// `idle_pages` is closed: the translations are flushed, and from now on touches show again.
    pub(super) fn flush(&mut self, now: Moment) {
        for (range, ()) in std::mem::take(&mut self.cached).iter() {
            self.looked.set(range, now);
        }
    }

    /// Whether it is gone.
    #[must_use]
    pub fn has_exited(&self, now: Moment) -> bool {
        self.killed || self.script.exits.is_some_and(|exit: When| exit.reached(now))
    }

    /// Ends it now.
    pub fn kill(&mut self) {
        self.killed = true;
    }

    /// Replaces its program: its mappings are `mappings`, with nothing of the earlier ones.
    pub fn exec(&mut self, mappings: Vec<ScriptedMapping>) {
        let mut script = self.script.clone();
        script.mappings = mappings;
        let (counts, programs) = (self.counts, self.programs + 1);
        *self = Self { counts, programs, ..Self::new(script) };
    }

    /// The mapping that holds `address`, the segment of it, and that one's addresses.
    pub(super) fn place(&self, address: u64) -> Option<(&ScriptedMapping, Range<u64>, &Segment)> {
        let number = self.script.mappings.partition_point(|mapping| mapping.start <= address);
        let mapping = self.script.mappings.get(number.checked_sub(1)?)?;
        let (range, segment) = mapping.laid_out().find(|(range, _)| range.contains(&address))?;
        Some((mapping, range, segment))
    }

    /// What the page at `address` does now; `None` if it is in no mapping.
    pub(super) fn life_at(&self, address: u64) -> Option<&Life> {
        let (_, range, segment) = self.place(address)?;
        let page = (address - range.start) / segment.size.bytes();
        let (life, _) = segment.texture.run(page, page + 1);
        segment.texture.lives().get(life).copied()
    }

    /// The stretches of `segment`, which lies at `place`, that meet `range`, in ascending order; pages are not cut.
    pub(super) fn stretches(
        &self,
        place: &Range<u64>,
        segment: &Segment,
        range: &Range<u64>,
    ) -> impl Iterator<Item = Stretch> {
        let (whole, huge) = (segment.size.bytes(), segment.size);
        let down = |address: u64| place.start + (address.max(place.start) - place.start) / whole * whole;
        let mut at = down(range.start);
        let last = down(range.end.min(place.end).max(at) + whole - 1);
        std::iter::from_fn(move || {
            if at >= last {
                return None;
            }
            let (end, looked) = self.looked.stretch(at, last);
            let (end, out) = self.out.stretch(at, end);
            let (end, cached) = self.cached.stretch(at, end);
            let (end, split) = match huge {
                PageSize::Huge => self.split.stretch(at, end),
                PageSize::Base | PageSize::Pool | PageSize::Gigantic => (end, None),
            };
            let size = if split.is_some() { PageSize::Base } else { huge };
            // A page is whole, except where a huge one was split.
            let end = at + (end - at).next_multiple_of(size.bytes());
            let stretch = Stretch { range: at..end, size, looked, out, cached: cached.is_some() };
            at = end;
            Some(stretch)
        })
    }

    /// Settles, unless that was just done: a touch shows after the next look, or within the step of time.
    pub(super) fn settle_soon(&mut self, now: Moment) {
        let is_new = |at: Moment| at.pass != now.pass || now.time.saturating_sub(at.time) >= STEP;
        if self.settled.is_none_or(is_new) {
            self.settle(now);
            self.settled = Some(now);
        }
    }

    /// Brings back what was touched while it was out.
    pub fn settle(&mut self, now: Moment) {
        let mut back = Vec::new();
        for (range, since) in self.out.iter() {
            let mut at = range.start;
            while at < range.end {
                let Some((_, place, segment)) = self.place(at) else { break };
                let lives = segment.texture.lives();
                let returns: Vec<bool> = lives
                    .iter()
                    .map(|life| !life.is_there(now) || life.touched(Some(since), now).is_some())
                    .collect();
                let end = range.end.min(place.end);
                if returns.iter().all(|returns| !returns) {
                    at = end;
                    continue;
                }
                for stretch in self.stretches(&place, segment, &(at..end)) {
                    for (life, run) in segment.runs(&place, &stretch.range) {
                        if stretch.out.is_some() && returns.get(life).copied().unwrap_or(false) {
                            back.push((run, lives.get(life).is_some_and(|life| life.is_there(now))));
                        }
                    }
                }
                at = end;
            }
        }
        for (range, there) in back {
            self.out.clear(range.clone());
            self.looked.clear(range.clone());
            self.cached.clear(range.clone());
            if there {
                self.counts.came_back += (range.end - range.start) / PAGE;
                self.read_back.set(range, self.counts.came_back);
            }
        }
    }

    /// Bytes of `mapping` that have pages now, in memory or out.
    #[must_use]
    pub fn present(&self, mapping: &ScriptedMapping, now: Moment) -> u64 {
        mapping
            .segments
            .iter()
            .map(|segment| {
                let there: Vec<bool> =
                    segment.texture.lives().iter().map(|life| life.is_there(now)).collect();
                segment.pages_of(&there) * segment.size.bytes()
            })
            .sum()
    }

    /// Bytes of `mapping` that are out.
    #[must_use]
    pub fn swapped(&self, mapping: &ScriptedMapping) -> u64 {
        self.out.bytes_in(mapping.range())
    }

    /// The pages that are out, whenever they went.
    pub(super) fn out_now(&self) -> Runs<()> {
        let mut out = Runs::default();
        self.out.iter().for_each(|(range, _)| out.set(range, ()));
        out
    }

    /// Bytes at `range` of huge pages that were split.
    pub(super) fn split_bytes(&self, range: Range<u64>) -> u64 {
        self.split.bytes_in(range)
    }

    /// Bytes in memory and bytes out, of all mappings but those of the pool of huge pages, which `VmRSS` leaves out.
    #[must_use]
    pub fn memory(&self, now: Moment) -> (u64, u64) {
        let counted = self.script.mappings.iter().filter(|mapping| !mapping.is_of_pool());
        let present: u64 = counted.map(|mapping| self.present(mapping, now)).sum();
        let out = self.out.bytes();
        (present.saturating_sub(out), out)
    }

    /// Clears all accessed bits, as a write to `clear_refs` does.
    pub fn clear_refs(&mut self, now: Moment) {
        self.settle(now);
        let ranges: Vec<Range<u64>> = self.script.mappings.iter().map(ScriptedMapping::range).collect();
        for range in ranges {
            self.looked.set(range, now);
        }
    }

    /// What a block of huge pages is after it was paged out: base pages.
    pub(super) fn split_block(&mut self, address: u64) {
        let start = address / BLOCK * BLOCK;
        self.split.set(start..start + BLOCK, ());
    }
}
