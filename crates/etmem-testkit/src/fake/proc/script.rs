//! What a scripted machine is: its figures, its processes, their mappings, and how their pages are touched.
//!
//! A mapping is a row of segments; a segment lays [`Life`]s out over its pages by a [`Texture`]; a life is a row of
//! phases, each of which begins at a time or at a pass. Nothing here is a page: a mapping of 1 TiB is as small as
//! one of 4 KiB.

use std::ops::Range;
use std::time::Duration;

use super::hash::scatter;

/// Bytes in a base page.
pub const PAGE: u64 = 4096;
/// Bytes in a huge page, and what one page table covers.
pub const BLOCK: u64 = 2 << 20;
/// Bytes in the largest page.
pub const GIGANTIC: u64 = 1 << 30;

/// A moment in a process's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Since the machine was mounted.
    pub time: Duration,
    /// Which walk of the process's `idle_pages` is under way, counted from 0: a read at an address that is not
    /// above the one before it begins the next.
    pub pass: u64,
}

/// When a phase begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// With the process.
    #[default]
    Start,
    /// So long after the machine was mounted.
    Time(Duration),
    /// In this pass.
    Pass(u64),
}

impl When {
    /// Whether it lies at or before `moment`.
    #[must_use]
    pub fn reached(self, moment: Moment) -> bool {
        match self {
            Self::Start => true,
            Self::Time(time) => moment.time >= time,
            Self::Pass(pass) => moment.pass >= pass,
        }
    }
}

/// How a page that is there is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Only when it was faulted in.
    Never,
    /// All the time.
    Always,
    /// At every multiple of this time.
    Every(Duration),
    /// In the passes whose number modulo `of` is below `on`.
    Beats {
        /// The length of the beat, in passes; not 0.
        of: u64,
        /// In how many of them it is touched.
        on: u64,
    },
}

/// What a page does during a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It is not there.
    Absent,
    /// It is there.
    Present {
        /// How it is touched.
        touch: Touch,
        /// Touched by writing.
        writes: bool,
    },
}

/// What a page does, and from when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// When it begins.
    pub from: When,
    /// What the page does then.
    pub doing: Doing,
}

/// What a page does in the course of time. The first phase begins at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life(pub Vec<Phase>);

impl Life {
    /// The same all the time.
    #[must_use]
    pub fn of(doing: Doing) -> Self {
        Self(vec![Phase { from: When::Start, doing }])
    }

    /// Touched all the time, by reading.
    #[must_use]
    pub fn hot() -> Self {
        Self::of(Doing::Present { touch: Touch::Always, writes: false })
    }

    /// Touched all the time, by writing.
    #[must_use]
    pub fn written() -> Self {
        Self::of(Doing::Present { touch: Touch::Always, writes: true })
    }

    /// Never touched after it was faulted in.
    #[must_use]
    pub fn cold() -> Self {
        Self::of(Doing::Present { touch: Touch::Never, writes: false })
    }

    /// Never there.
    #[must_use]
    pub fn hole() -> Self {
        Self::of(Doing::Absent)
    }

    /// Then, from `from` on, what `next` does in its first phase.
    #[must_use]
    pub fn then(mut self, from: When, next: &Self) -> Self {
        self.0.push(Phase { from, doing: next.doing(Moment::default()) });
        self
    }

    /// What it does at `moment`.
    #[must_use]
    pub fn doing(&self, moment: Moment) -> Doing {
        self.0.get(self.phase(moment)).map_or(Doing::Absent, |phase| phase.doing)
    }

    fn phase(&self, moment: Moment) -> usize {
        self.0.iter().rposition(|phase| phase.from.reached(moment)).unwrap_or(0)
    }

    /// Whether the page is there at `moment`, unless it was paged out.
    #[must_use]
    pub fn is_there(&self, moment: Moment) -> bool {
        self.doing(moment) != Doing::Absent
    }

    /// Whether it was touched after `since` (none: since the start) and until `now`; if so, whether by writing.
    #[must_use]
    pub fn touched(&self, since: Option<Moment>, now: Moment) -> Option<bool> {
        let last = self.phase(now);
        let Some(since) = since else {
            return match self.doing(now) {
                Doing::Absent => None,
                Doing::Present { writes, .. } => Some(writes),
            };
        };
        let mut touched = None;
        for number in self.phase(since)..=last {
            let (Some(phase), next) = (self.0.get(number), self.0.get(number + 1)) else { continue };
            // What a pass changes holds for all that is seen in that pass; what time changes, from then on.
            let ends = match next.map(|next| next.from) {
                Some(When::Time(time)) if number < last => time,
                _ if number < last => continue,
                _ => now.time,
            };
            let begins = match phase.from {
                When::Time(time) => time.max(since.time),
                When::Start | When::Pass(_) => since.time,
            };
            let Doing::Present { touch, writes } = phase.doing else { continue };
            let appeared = number > 0
                && !phase.from.reached(since)
                && self.0.get(number - 1).is_some_and(|before| before.doing == Doing::Absent);
            let hit = appeared
                || match touch {
                    Touch::Never => false,
                    Touch::Always => true,
                    Touch::Every(period) => beats(ends, period) > beats(begins, period),
                    Touch::Beats { of, on } => {
                        number == last && (since.pass + 1..=now.pass).any(|pass| pass % of.max(1) < on)
                    }
                };
            if hit {
                touched = Some(touched.unwrap_or(false) || writes);
            }
        }
        touched
    }
}

fn beats(time: Duration, period: Duration) -> u128 {
    time.as_nanos() / period.as_nanos().max(1)
}

/// How lives are laid out over the pages of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Texture {
    /// All pages alike.
    Solid(Life),
    /// So many pages of the first, so many of the second, and so on, and again from the first.
    Stripes(Vec<(u64, Life)>),
    /// One page in so many, chosen at random, and the others.
    Scattered {
        /// Chooses.
        seed: u64,
        /// How rare the chosen are; not 0.
        one_in: u64,
        /// The chosen.
        chosen: Life,
        /// The others.
        others: Life,
    },
}

impl Texture {
    /// The lives, each under the number by which [`Self::run`] names it.
    #[must_use]
    pub fn lives(&self) -> Vec<&Life> {
        match self {
            Self::Solid(life) => vec![life],
            Self::Stripes(stripes) => stripes.iter().map(|(_, life)| life).collect(),
            Self::Scattered { chosen, others, .. } => vec![chosen, others],
        }
    }

    /// The life of page number `page`, and the first page behind it that may have another; `end` at most.
    #[must_use]
    pub fn run(&self, page: u64, end: u64) -> (usize, u64) {
        match self {
            Self::Solid(_) => (0, end),
            Self::Stripes(stripes) => {
                let length = stripes.iter().map(|(pages, _)| pages).sum::<u64>().max(1);
                let mut into = page % length;
                for (number, (pages, _)) in stripes.iter().enumerate() {
                    if into < *pages {
                        return (number, end.min(page + pages - into));
                    }
                    into -= pages;
                }
                (0, end)
            }
            Self::Scattered { seed, one_in, .. } => {
                let number = |page| usize::from(!scatter(*seed, page).is_multiple_of(*one_in));
                let first = number(page);
                let same = (page + 1..end).find(|next| number(*next) != first);
                (first, same.unwrap_or(end))
            }
        }
    }
}

/// The pages of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageSize {
    /// Base pages of 4 KiB.
    Base,
    /// Transparent huge pages, paged out as 512 base pages.
    Huge,
    /// Huge pages of the pool, which are never paged out.
    Pool,
    /// Pages of 1 GiB, which are never paged out.
    Gigantic,
}

impl PageSize {
    /// Bytes in a page.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Base => PAGE,
            Self::Huge | Self::Pool => BLOCK,
            Self::Gigantic => GIGANTIC,
        }
    }
}

/// Part of a mapping, of one page size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// How many pages.
    pub pages: u64,
    /// Of which size. It begins at a multiple of that.
    pub size: PageSize,
    /// What they do.
    pub texture: Texture,
}

impl Segment {
    /// `pages` base pages that all do the same.
    #[must_use]
    pub fn solid(pages: u64, life: Life) -> Self {
        Self { pages, size: PageSize::Base, texture: Texture::Solid(life) }
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.pages * self.size.bytes()
    }

    /// The runs of pages of one life within `range`, where the segment lies at `place`: the life's number, and where.
    /// A run may begin or end within a page where `range` does.
    pub(super) fn runs(
        &self,
        place: &Range<u64>,
        range: &Range<u64>,
    ) -> impl Iterator<Item = (usize, Range<u64>)> {
        let (size, start, end) = (self.size.bytes(), place.start, range.end);
        let mut at = range.start;
        let mut page = (at - start) / size;
        let last = (end - start).div_ceil(size);
        // Stripe by stripe there is nothing to be searched for; where the first run ends decides where that begins.
        let mut stripe: Option<usize> = None;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (life, next) = match (&self.texture, stripe) {
                (Texture::Stripes(stripes), Some(number)) => {
                    let mut number = number;
                    let mut pages = 0;
                    for _ in 0..stripes.len() {
                        number = if number + 1 == stripes.len() { 0 } else { number + 1 };
                        pages = stripes.get(number).map_or(0, |(pages, _)| *pages);
                        if pages > 0 {
                            break;
                        }
                    }
                    (number, last.min(page + pages.max(1)))
                }
                (texture, _) => texture.run(page, last),
            };
            stripe = Some(life);
            let run = at..end.min(start + next * size);
            (page, at) = (next, run.end);
            Some((life, run))
        })
    }

    /// How many pages have one of the lives whose numbers are true in `wanted`.
    #[must_use]
    pub fn pages_of(&self, wanted: &[bool]) -> u64 {
        if wanted.iter().all(|wanted| *wanted) {
            return self.pages;
        }
        if wanted.iter().all(|wanted| !*wanted) {
            return 0;
        }
        let is_wanted = |life: usize| wanted.get(life).copied().unwrap_or(false);
        let walked = |range: Range<u64>| {
            let (mut page, mut pages) = (range.start, 0);
            while page < range.end {
                let (life, end) = self.texture.run(page, range.end);
                pages += if is_wanted(life) { end - page } else { 0 };
                page = end;
            }
            pages
        };
        match &self.texture {
            Texture::Solid(_) | Texture::Scattered { .. } => walked(0..self.pages),
            Texture::Stripes(stripes) => {
                let period = stripes.iter().map(|(pages, _)| pages).sum::<u64>().max(1);
                self.pages / period * walked(0..period) + walked(0..self.pages % period)
            }
        }
    }
}

/// A mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedMapping {
    /// Its first address.
    pub start: u64,
    /// As in `maps`: `rw-p`.
    pub permissions: String,
    /// The file's number; 0 for anonymous memory.
    pub inode: u64,
    /// Its name in `maps`; may be empty.
    pub name: String,
    /// Marked by its process for swapping (`MADV_SWAPFLAG`).
    pub marked: bool,
    /// Locked in memory, or shared by fork: `swap_pages` skips its pages.
    pub pinned: bool,
    /// Its parts, one behind the other.
    pub segments: Vec<Segment>,
}

impl ScriptedMapping {
    /// Private anonymous memory at `start`.
    #[must_use]
    pub fn private(start: u64, segments: Vec<Segment>) -> Self {
        Self {
            start,
            permissions: "rw-p".into(),
            inode: 0,
            name: String::new(),
            marked: false,
            pinned: false,
            segments,
        }
    }

    /// Its addresses.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.start..self.start + self.segments.iter().map(Segment::bytes).sum::<u64>()
    }

    /// Whether its pages are of the pool of huge pages.
    #[must_use]
    pub fn is_of_pool(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment.size, PageSize::Pool | PageSize::Gigantic))
    }

    /// Whether the kernel pages it out, and slide asks it to: private, not executable, neither locked nor of the pool.
    #[must_use]
    pub fn can_leave(&self) -> bool {
        let [_, writable, executable, shared] = self.permissions.as_bytes() else { return false };
        let of_process = self.inode == 0 || *writable == b'w';
        *executable != b'x' && *shared == b'p' && of_process && !self.pinned && !self.is_of_pool()
    }

    /// Each segment with its addresses.
    pub fn laid_out(&self) -> impl Iterator<Item = (Range<u64>, &Segment)> {
        self.segments.iter().scan(self.start, |start, segment| {
            let range = *start..*start + segment.bytes();
            *start = range.end;
            Some((range, segment))
        })
    }
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedProcess {
    /// Its number.
    pub pid: u32,
    /// The first 15 bytes of its program's name.
    pub comm: String,
    /// Who started it; 0 for none.
    pub parent: u32,
    /// In clock ticks since boot.
    pub start_time: u64,
    /// When it is gone.
    pub exits: Option<When>,
    /// Its mappings, ascending.
    pub mappings: Vec<ScriptedMapping>,
}

impl ScriptedProcess {
    /// A process that stays.
    #[must_use]
    pub fn new(pid: u32, comm: &str, mappings: Vec<ScriptedMapping>) -> Self {
        let start_time = 1000 + u64::from(pid);
        Self { pid, comm: comm.into(), parent: 1, start_time, exits: None, mappings }
    }
}

/// The kernel modules etmem_scan and etmem_swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modules {
    /// Loaded.
    Loaded,
    /// Not loaded: the files are there and cannot be opened.
    Unloaded,
    /// The kernel knows of none, and has no such files.
    Unknown,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// `MemTotal` in bytes.
    pub memory: u64,
    /// `SwapTotal` in bytes.
    pub swap: u64,
    /// Whether it has the modules etmem_scan and etmem_swap.
    pub modules: Modules,
    /// Its processes.
    pub processes: Vec<ScriptedProcess>,
}

impl Script {
    /// A roomy machine with the modules loaded.
    #[must_use]
    pub const fn new(processes: Vec<ScriptedProcess>) -> Self {
        Self { memory: 4 << 40, swap: 4 << 40, modules: Modules::Loaded, processes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, pass: u64) -> Moment {
        Moment { time: Duration::from_secs(seconds), pass }
    }

    #[test]
    fn what_is_touched_when() {
        let beats = Life::of(Doing::Present { touch: Touch::Beats { of: 4, on: 2 }, writes: false });
        let every = Touch::Every(Duration::from_secs(10));
        let every = Life::of(Doing::Present { touch: every, writes: true });
        let by_time = Life::hot().then(When::Time(Duration::from_secs(5)), &Life::cold());
        let by_pass = Life::hot().then(When::Pass(3), &Life::cold());
        let grown = Life::hole().then(When::Pass(2), &Life::cold());
        for (name, life, since, now, want) in [
            ("fault", &Life::cold(), None, at(0, 0), Some(false)),
            ("fault by writing", &Life::written(), None, at(0, 0), Some(true)),
            ("no page, no fault", &Life::hole(), None, at(9, 9), None),
            ("cold", &Life::cold(), Some(at(0, 0)), at(9, 9), None),
            ("hot", &Life::hot(), Some(at(0, 0)), at(0, 0), Some(false)),
            ("beat 1", &beats, Some(at(0, 0)), at(0, 1), Some(false)),
            ("beat 2", &beats, Some(at(0, 1)), at(0, 2), None),
            ("beat 4", &beats, Some(at(0, 3)), at(0, 4), Some(false)),
            ("before the multiple", &every, Some(at(1, 0)), at(9, 1), None),
            ("over the multiple", &every, Some(at(9, 0)), at(10, 1), Some(true)),
            ("hot until 5 s", &by_time, Some(at(4, 0)), at(9, 1), Some(false)),
            ("cold from 5 s", &by_time, Some(at(5, 0)), at(9, 1), None),
            ("hot until pass 3", &by_pass, Some(at(0, 1)), at(0, 2), Some(false)),
            ("cold from pass 3", &by_pass, Some(at(0, 2)), at(0, 3), None),
            ("not grown", &grown, Some(at(0, 0)), at(0, 1), None),
            ("grown", &grown, Some(at(0, 1)), at(0, 2), Some(false)),
            ("grown before", &grown, Some(at(0, 2)), at(0, 3), None),
        ] {
            assert_eq!(life.touched(since, now), want, "{name}");
        }
        assert!(!grown.is_there(at(0, 1)) && grown.is_there(at(0, 2)));
    }

    #[test]
    fn textures_agree_with_themselves_page_by_page() {
        let stripes = Texture::Stripes(vec![(3, Life::hot()), (0, Life::hole()), (2, Life::cold())]);
        let scattered = Texture::Scattered { seed: 7, one_in: 5, chosen: Life::hot(), others: Life::cold() };
        for (texture, share) in [(stripes, 600), (scattered, 200)] {
            let (mut page, mut first) = (0, 0);
            while page < 1000 {
                let (life, end) = texture.run(page, 1000);
                assert!(end > page && (page..end).all(|page| texture.run(page, page + 1).0 == life));
                first += if life == 0 { end - page } else { 0 };
                page = end;
            }
            assert!(first.abs_diff(share) < 40, "{first} pages of the first life");
        }
    }
}
