//! What a scripted machine is: its figures, its processes, their mappings, and how their pages are touched.
//!
//! A mapping is a row of segments; a segment lays [`Life`]s out over its pages by a
//! [`Texture`]. Nothing here is a page: a mapping of 1 TiB is as small as
//! one of 4 KiB.

use std::ops::Range;

use super::hash::scatter;
pub use super::life::{Doing, Life, Moment, Phase, Touch, When};

/// Bytes in a base page.
pub const PAGE: u64 = 4096;
/// Bytes in a huge page, and what one page table covers.
pub const BLOCK: u64 = 2 << 20;
/// Bytes in the largest page.
pub const GIGANTIC: u64 = 1 << 30;

/// How lives are laid out over the pages of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Texture {
    /// All pages alike.
    Solid(Life),
    /// A number of pages of the first, a number of the second, and so on, and again from the first.
    Stripes(Vec<(u64, Life)>),
    /// One page in a number of pages, chosen at random, and the others.
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
    /// Whether processors keep translations until `idle_pages` is closed, at their worst: what is touched through them never
    /// shows. Where not, all of it does.
    pub caches_translations: bool,
    /// The second look of `swap_pages` keeps one base page in this number: those whose numbers are multiples of it. 0: none.
    pub keeps_one_in: u64,
}

impl ScriptedProcess {
    /// A process that stays.
    #[must_use]
    pub fn new(pid: u32, comm: &str, mappings: Vec<ScriptedMapping>) -> Self {
        let start_time = 1000 + u64::from(pid);
        Self {
            pid,
            comm: comm.into(),
            parent: 1,
            start_time,
            exits: None,
            mappings,
            caches_translations: true,
            keeps_one_in: 0,
        }
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
