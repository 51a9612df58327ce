//! Scripts by chance, the same for the same seed, and what slide has to do with them.
//!
//! Only what every cycle counts alike is used: pages that are touched all the time, never, or in some of the looks of
//! each cycle ([`Touch::Beats`] of as many passes as a cycle has looks).

use std::ops::Range;

use super::runs::Runs;
use super::script::{
    BLOCK, Doing, Life, Moment, PAGE, PageSize, ScriptedMapping, ScriptedProcess, Segment, Texture, Touch,
};
use crate::workload::content::Random;

/// Where the first mapping lies.
const FIRST: u64 = 0x7000_0000_0000;
/// The most pages of a segment of base pages.
const MOST_PAGES: usize = 3000;

/// A process, and what a slide task is to be told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The process.
    pub process: ScriptedProcess,
    /// Looks per cycle: `loop`.
    pub looks: u64,
    /// A page counted below it is cold: `T`.
    pub threshold: u64,
}

impl Case {
    /// The case of `seed`, as process `pid`.
    #[must_use]
    pub fn new(seed: u64, pid: u32) -> Self {
        let mut random = Random::new(seed);
        let looks = 1 + random.below(3) as u64;
        let threshold = 1 + random.below(3 * usize::try_from(looks).unwrap_or(1)) as u64;
        let mut next = FIRST;
        let mut mappings = Vec::new();
        for _ in 0..=random.below(6) {
            let mapping = mapping(&mut random, next, looks);
            // The next lies right behind, a little further, or behind tables that are missing.
            let gap = [0, PAGE, 37 * PAGE, BLOCK, 5 * BLOCK + PAGE, 1 << 30][random.below(6)];
            next = mapping.range().end + gap;
            mappings.push(mapping);
        }
        Self { process: ScriptedProcess::new(pid, &format!("random{seed}"), mappings), looks, threshold }
    }

    /// The addresses of the pages that slide must page out, in runs; all others it must leave alone.
    #[must_use]
    pub fn cold(&self) -> Vec<Range<u64>> {
        cold(&self.process, Moment::default(), self.looks, self.threshold)
    }
}

/// The pages of `process` that are cold where cycles of `looks` looks count as at `moment`.
#[must_use]
pub fn cold(process: &ScriptedProcess, moment: Moment, looks: u64, threshold: u64) -> Vec<Range<u64>> {
    let mut cold = Runs::default();
    for mapping in process.mappings.iter().filter(|mapping| mapping.can_leave()) {
        for (place, segment) in mapping.laid_out() {
            let lives = segment.texture.lives();
            for (life, run) in segment.runs(&place, &place) {
                let doing = lives.get(life).map(|life| life.doing(moment));
                if doing.and_then(|doing| count(doing, looks)).is_some_and(|count| count < threshold) {
                    cold.set(run, ());
                }
            }
        }
    }
    cold.iter().map(|(range, ())| range).collect()
}

/// What a cycle of `looks` looks counts; `None` if there is no page, or if that differs from cycle to cycle.
fn count(doing: Doing, looks: u64) -> Option<u64> {
    let Doing::Present { touch, writes } = doing else { return None };
    let weight = if writes { 3 } else { 1 };
    match touch {
        Touch::Never => Some(0),
        Touch::Always => Some(looks * weight),
        Touch::Beats { of, on } if of == looks => Some(on.min(of) * weight),
        Touch::Beats { .. } | Touch::Every(_) => None,
    }
}

fn mapping(random: &mut Random, next: u64, looks: u64) -> ScriptedMapping {
    let kind = random.below(12);
    let has_large_pages = kind >= 9;
    let start = if has_large_pages { next.next_multiple_of(BLOCK) } else { next };
    let segments = if kind == 11 {
        vec![large(random, PageSize::Pool, looks)]
    } else {
        let mut segments = Vec::new();
        if has_large_pages {
            segments.push(large(random, PageSize::Huge, looks));
        }
        for _ in 0..=random.below(4) {
            segments.push(base(random, looks));
        }
        segments
    };
    let mut mapping = ScriptedMapping::private(start, segments);
    match kind {
        0 => mapping.pinned = true,
        1 => (mapping.permissions, mapping.inode) = ("rw-s".into(), 1),
        2 => (mapping.permissions, mapping.inode) = ("r-xp".into(), 2),
        3 => mapping.permissions = "rwxp".into(),
        _ => {}
    }
    mapping
}

fn base(random: &mut Random, looks: u64) -> Segment {
    let pages = 1 + random.below(MOST_PAGES) as u64;
    let texture = match random.below(3) {
        0 => Texture::Solid(life(random, looks)),
        1 => {
            let stripes = 2 + random.below(3);
            Texture::Stripes(
                (0..stripes).map(|_| (1 + random.below(40) as u64, life(random, looks))).collect(),
            )
        }
        _ => Texture::Scattered {
            seed: random.next(),
            one_in: 2 + random.below(9) as u64,
            chosen: life(random, looks),
            others: life(random, looks),
        },
    };
    Segment { pages, size: PageSize::Base, texture }
}

fn large(random: &mut Random, size: PageSize, looks: u64) -> Segment {
    let pages = 1 + random.below(4) as u64;
    let stripes = vec![(1, present(random, looks)), (1, present(random, looks))];
    Segment { pages, size, texture: Texture::Stripes(stripes) }
}

fn life(random: &mut Random, looks: u64) -> Life {
    if random.below(6) == 0 { Life::hole() } else { present(random, looks) }
}

fn present(random: &mut Random, looks: u64) -> Life {
    let touch = match random.below(4) {
        0 | 1 => Touch::Never,
        2 => Touch::Always,
        _ => Touch::Beats { of: looks, on: random.below(usize::try_from(looks).unwrap_or(1) + 1) as u64 },
    };
    Life::of(Doing::Present { touch, writes: random.below(3) == 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_case_and_another_another() {
        assert_eq!(Case::new(3, 7), Case::new(3, 7));
        assert_ne!(Case::new(3, 7).process.mappings, Case::new(4, 7).process.mappings);
    }

    #[test]
    fn fifty_cases_are_of_every_kind() {
        let cases: Vec<Case> = (0..50).map(|seed| Case::new(seed, 7)).collect();
        let some = |wanted: &dyn Fn(&Case) -> bool| cases.iter().filter(|case| wanted(case)).count();
        let bytes = |case: &Case| case.cold().iter().map(|range| range.end - range.start).sum::<u64>();
        assert!(some(&|case| bytes(case) > 0) >= 40, "cases with cold pages");
        assert!(some(&|case| case.looks == 3 && (2..9).contains(&case.threshold)) >= 5);
        let mappings = |wanted: &dyn Fn(&ScriptedMapping) -> bool| {
            cases.iter().flat_map(|case| &case.process.mappings).filter(|mapping| wanted(mapping)).count()
        };
        assert!(mappings(&|mapping| mapping.pinned) > 2);
        assert!(mappings(&|mapping| mapping.is_of_pool()) > 2);
        assert!(mappings(&|mapping| mapping.permissions == "rw-s") > 2);
        let huge =
            |mapping: &ScriptedMapping| mapping.segments.iter().any(|segment| segment.size == PageSize::Huge);
        assert!(mappings(&huge) > 5);
        for case in &cases {
            for pair in case.process.mappings.windows(2) {
                assert!(pair[0].range().end <= pair[1].start);
            }
            for (range, segment) in case.process.mappings.iter().flat_map(ScriptedMapping::laid_out) {
                assert!(range.start.is_multiple_of(segment.size.bytes()));
            }
        }
    }

    #[test]
    fn what_is_cold() {
        let beats = |on, writes| Life::of(Doing::Present { touch: Touch::Beats { of: 3, on }, writes });
        let lives =
            [Life::cold(), beats(1, false), beats(1, true), Life::hot(), Life::written(), Life::hole()];
        let segments: Vec<Segment> = lives.into_iter().map(|life| Segment::solid(1, life)).collect();
        let shared = ScriptedMapping {
            permissions: "rw-s".into(),
            ..ScriptedMapping::private(0x9000, segments.clone())
        };
        let process = ScriptedProcess::new(7, "x", vec![ScriptedMapping::private(0x1000, segments), shared]);
        let once = |start: u64, end: u64| std::iter::once(start..end).collect::<Vec<_>>();
        let cold = |threshold| cold(&process, Moment::default(), 3, threshold);
        assert_eq!(cold(0), []);
        assert_eq!(cold(1), once(0x1000, 0x2000));
        assert_eq!(cold(3), once(0x1000, 0x3000));
        assert_eq!(cold(4), once(0x1000, 0x5000));
        assert_eq!(cold(9), once(0x1000, 0x5000));
    }
}
