//! One scan's worth of accesses, added to the counts so far.

use super::counts::{ABSENT, BlockCounts, COUNT_MAX};
use super::encoding::Item;
use super::map::{HeatMap, Writer};
use crate::address::{BLOCK_SIZE, PAGES_PER_BLOCK};
use crate::kernel::probe::{Access, AccessSink, Block};
use crate::segments::{Reader, Segment};
use std::collections::VecDeque;

/// Merges one scan into a [`HeatMap`]: takes the blocks of a probe in ascending order, reads the old stream
/// alongside, writes the new one, and frees the old as it passes. Blocks that the scan did not see are gone.
#[derive(Debug)]
pub struct HeatUpdate {
    old: Old,
    new: Writer,
    /// The block that is still open: two ranges may share one.
    open: Option<(u64, OpenBlock)>,
    /// What this scan saw of the open block, where that is of base pages.
    pages: Box<[Access; PAGES_PER_BLOCK]>,
}

/// What the open block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenBlock {
    Pages,
    Huge(Access),
}

impl HeatUpdate {
    /// Begins a scan on top of `old`.
    #[must_use]
    pub fn new(old: HeatMap) -> Self {
        let pages = Box::new([Access::ABSENT; PAGES_PER_BLOCK]);
        Self { old: Old::new(old.segments), new: Writer::default(), open: None, pages }
    }

    /// Ends the scan.
    #[must_use]
    pub fn finish(mut self) -> HeatMap {
        self.close();
        self.new.finish()
    }

    /// Merges the open block.
    fn close(&mut self) {
        match self.open.take() {
            None => {}
            Some((block, OpenBlock::Huge(access))) => self.merge_equal(block, 1, access, true),
            Some((block, OpenBlock::Pages)) => {
                let mut counts = match self.old.seek(block) {
                    Before::Nothing => BlockCounts::EMPTY,
                    Before::Equal { count } => BlockCounts::uniform(count),
                    Before::Mixed => self.old.counts,
                };
                counts.add(&self.pages);
                self.new.pages(block, &counts);
            }
        }
    }

    /// Merges blocks of which this scan saw the same, as many at once as the scans before knew the same of.
    fn merge_equal(&mut self, mut block: u64, mut blocks: u64, access: Access, huge: bool) {
        if !access.is_present() {
            return;
        }
        let add = |count: u16| (count + u16::from(access.weight())).min(COUNT_MAX);
        while blocks > 0 {
            let before = self.old.seek(block);
            let alike = blocks.min(self.old.alike(block));
            match before {
                Before::Nothing => self.new.equal_blocks(block, alike, add(0), huge),
                Before::Equal { count } => self.new.equal_blocks(block, alike, add(count), huge),
                Before::Mixed if huge => {
                    // A huge page that was base pages at the scan before (collapsed): as hot as the hottest.
                    let counts = self.old.counts.0.iter().copied();
                    let hottest = counts.filter(|&count| count != ABSENT).max().unwrap_or(0);
                    self.new.equal_blocks(block, alike, add(hottest), huge);
                }
                Before::Mixed => {
                    let mut counts = self.old.counts;
                    counts.add(&[access; PAGES_PER_BLOCK]);
                    self.new.pages(block, &counts);
                }
            }
            block += alike;
            blocks -= alike;
        }
    }

    /// Closes what lies before the blocks from `start` on, which are given as a whole; says which to begin with.
    fn whole_blocks(&mut self, start: u64) -> u64 {
        let block = start / BLOCK_SIZE;
        debug_assert!(
            self.open.is_none_or(|(open, _)| open < block),
            "a block given as a whole is given once"
        );
        self.close();
        block
    }
}

impl AccessSink for HeatUpdate {
    fn block(&mut self, start: u64, block: Block<'_>) {
        let number = start / BLOCK_SIZE;
        match self.open {
            Some((open, OpenBlock::Pages)) if open == number => {
                if let Block::Pages(more) = block {
                    for (page, new) in self.pages.iter_mut().zip(more) {
                        *page = if new.is_present() { *new } else { *page };
                    }
                }
                return;
            }
            Some((open, _)) => debug_assert!(open <= number, "blocks come in ascending order"),
            None => {}
        }
        self.close();
        let seen = match block {
            Block::Huge(access) => OpenBlock::Huge(access),
            Block::Pages(pages) => {
                self.pages.copy_from_slice(pages);
                OpenBlock::Pages
            }
        };
        self.open = Some((number, seen));
    }

    fn equal_blocks(&mut self, start: u64, blocks: u64, access: Access) {
        let block = self.whole_blocks(start);
        self.merge_equal(block, blocks, access, false);
    }

    fn equal_huge_blocks(&mut self, start: u64, blocks: u64, access: Access) {
        let block = self.whole_blocks(start);
        self.merge_equal(block, blocks, access, true);
    }
}

/// What the scans before knew of a block.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    Equal { count: u16 },
    Mixed,
}

/// Reads the old stream once, dropping each segment as it is passed.
#[derive(Debug)]
struct Old {
    segments: VecDeque<Segment>,
    position: usize,
    /// The blocks that the item read last describes.
    first_block: u64,
    next_block: u64,
    item: Option<Item>,
    counts: BlockCounts,
}

impl Old {
    fn new(segments: VecDeque<Segment>) -> Self {
        let next_block = segments.front().map_or(0, |segment| segment.first_block);
        Self { segments, position: 0, first_block: 0, next_block, item: None, counts: BlockCounts::EMPTY }
    }

    /// What is known of `block`; blocks are asked for in ascending order.
    fn seek(&mut self, block: u64) -> Before {
        while self.next_block <= block {
            let Some(segment) = self.segments.front() else { return Before::Nothing };
            let mut reader = Reader::new(&segment.bytes, self.position);
            self.item = reader.next_counts(&mut self.counts);
            self.position = reader.position();
            let blocks = match self.item {
                None => {
                    self.segments.pop_front();
                    self.position = 0;
                    let Some(next) = self.segments.front() else { return Before::Nothing };
                    self.next_block = next.first_block;
                    self.first_block = next.first_block;
                    continue;
                }
                Some(Item::Gap { blocks } | Item::Run { blocks, .. }) => blocks,
                Some(Item::Mixed) => 1,
            };
            self.first_block = self.next_block;
            self.next_block += blocks;
        }
        match self.item {
            Some(Item::Run { count, .. }) if block >= self.first_block => Before::Equal { count },
            Some(Item::Mixed) if block >= self.first_block => Before::Mixed,
            Some(Item::Gap { .. } | Item::Run { .. } | Item::Mixed) | None => Before::Nothing,
        }
    }

    /// How many blocks from `block` on, which was sought last, are as that one is.
    fn alike(&self, block: u64) -> u64 {
        // Behind the last segment nothing is known; before each, `next_block` is where it begins.
        if self.segments.is_empty() { u64::MAX } else { self.next_block - block }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::PAGE_SIZE;
    use crate::heat::Entry;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A slow model: one map node per page, huge pages apart.
    #[derive(Default, Debug, PartialEq, Clone)]
    struct Model {
        pages: BTreeMap<u64, u16>,
        huge: BTreeMap<u64, u16>,
    }

    #[derive(Debug, Clone)]
    enum Shape {
        Absent,
        Huge(Access),
        Uniform(Access),
        Random(Vec<Access>),
        Sparse(usize, Access),
    }

    fn access() -> impl Strategy<Value = Access> {
        prop_oneof![Just(Access::IDLE), Just(Access::READ), Just(Access::WRITTEN)]
    }

    fn shape() -> impl Strategy<Value = Shape> {
        let any = prop_oneof![access(), Just(Access::ABSENT)];
        prop_oneof![
            1 => Just(Shape::Absent),
            1 => access().prop_map(Shape::Huge),
            3 => access().prop_map(Shape::Uniform),
            2 => proptest::collection::vec(any, PAGES_PER_BLOCK).prop_map(Shape::Random),
            1 => (0..PAGES_PER_BLOCK, access()).prop_map(|(page, access)| Shape::Sparse(page, access)),
        ]
    }

    fn pages_of(shape: &Shape) -> [Access; PAGES_PER_BLOCK] {
        let mut pages = [Access::ABSENT; PAGES_PER_BLOCK];
        match shape {
            Shape::Absent | Shape::Huge(_) => {}
            Shape::Uniform(access) => pages = [*access; PAGES_PER_BLOCK],
            Shape::Random(list) => pages.copy_from_slice(list),
            Shape::Sparse(page, access) => pages[*page] = *access,
        }
        pages
    }

    fn scan(map: HeatMap, shapes: &[(u64, Shape)]) -> HeatMap {
        let mut update = HeatUpdate::new(map);
        for (block, shape) in shapes {
            match shape {
                Shape::Absent => {}
                Shape::Huge(access) => update.block(block * BLOCK_SIZE, Block::Huge(*access)),
                Shape::Uniform(_) | Shape::Random(_) | Shape::Sparse(..) => {
                    let pages = pages_of(shape);
                    // In two deliveries, as two mappings that meet inside a block would come.
                    let mut front = [Access::ABSENT; PAGES_PER_BLOCK];
                    let mut back = front;
                    front[..200].copy_from_slice(&pages[..200]);
                    back[200..].copy_from_slice(&pages[200..]);
                    update.block(block * BLOCK_SIZE, Block::Pages(&front));
                    update.block(block * BLOCK_SIZE, Block::Pages(&back));
                }
            }
        }
        update.finish()
    }

    fn model_scan(old: &Model, shapes: &[(u64, Shape)]) -> Model {
        let mut new = Model::default();
        for (block, shape) in shapes {
            let start = block * BLOCK_SIZE;
            if let Shape::Huge(access) = shape {
                let inside = old.pages.range(start..start + BLOCK_SIZE).map(|(_, count)| *count).max();
                let before = old.huge.get(&start).copied().or(inside).unwrap_or(0);
                new.huge.insert(start, before + u16::from(access.weight()));
                continue;
            }
            for (index, access) in (0u64..).zip(pages_of(shape)) {
                if access.is_present() {
                    let page = start + index * PAGE_SIZE;
                    let before = old.pages.get(&page).or(old.huge.get(&start)).copied().unwrap_or(0);
                    new.pages.insert(page, before + u16::from(access.weight()));
                }
            }
        }
        new
    }

    fn spread(map: &HeatMap) -> Model {
        let mut model = Model::default();
        let mut cursor = map.cursor();
        while let Some((start, entry)) = cursor.next() {
            match entry {
                Entry::Pages { blocks, count } => {
                    let pages = blocks * PAGES_PER_BLOCK as u64;
                    model.pages.extend((0..pages).map(|page| (start + page * PAGE_SIZE, count)));
                }
                Entry::Huge { blocks, count } => {
                    model.huge.extend((0..blocks).map(|block| (start + block * BLOCK_SIZE, count)));
                }
                Entry::Mixed => {
                    for (index, &count) in (0u64..).zip(&cursor.counts().0) {
                        if count != ABSENT {
                            model.pages.insert(start + index * PAGE_SIZE, count);
                        }
                    }
                }
            }
        }
        model
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn scans_add_up_as_in_the_model(
            gaps in proptest::collection::vec(prop_oneof![4 => Just(1u64), 1 => 2..1000u64], 1..24),
            scans in proptest::collection::vec(proptest::collection::vec(shape(), 24), 1..6),
        ) {
            let mut map = HeatMap::default();
            let mut model = Model::default();
            for shapes in &scans {
                let mut block = 0x7f00;
                let placed: Vec<_> = gaps
                    .iter()
                    .zip(shapes)
                    .map(|(gap, shape)| {
                        block += gap;
                        (block, shape.clone())
                    })
                    .collect();
                map = scan(map, &placed);
                model = model_scan(&model, &placed);
                prop_assert_eq!(spread(&map), model.clone());
                let histogram = map.histogram();
                prop_assert_eq!(
                    histogram.total(),
                    model.pages.len() as u64 * PAGE_SIZE + model.huge.len() as u64 * BLOCK_SIZE
                );
            }
        }
    }

    /// Scans `blocks` blocks three times; returns heap bytes per present page.
    fn bytes_per_page(blocks: u64, scans: usize, pages: impl Fn(u64, usize) -> Access) -> f64 {
        let mut map = HeatMap::default();
        let mut present = 0;
        for _ in 0..scans {
            let mut update = HeatUpdate::new(map);
            present = 0;
            for block in 0..blocks {
                let mut seen = [Access::ABSENT; PAGES_PER_BLOCK];
                for (index, page) in seen.iter_mut().enumerate() {
                    *page = pages(block, index);
                }
                present += seen.iter().filter(|page| page.is_present()).count();
                update.block(block * BLOCK_SIZE, Block::Pages(&seen));
            }
            map = update.finish();
        }
        map.heap_bytes() as f64 / present as f64
    }

    #[test]
    fn a_page_costs_what_the_module_says() {
        let mixed =
            |_: u64, index: usize| if index.is_multiple_of(3) { Access::WRITTEN } else { Access::IDLE };
        let every_second = |block: u64, index: usize| {
            if index.is_multiple_of(2) { mixed(block, index) } else { Access::ABSENT }
        };
        for (name, bytes, bound) in [
            ("alternating, 3 scans", bytes_per_page(2000, 3, mixed), 0.6),
            ("alternating, 40 scans", bytes_per_page(400, 40, mixed), 1.1),
            ("alternating, 120 scans", bytes_per_page(400, 120, mixed), 1.2),
            ("every second page present, 3 scans", bytes_per_page(2000, 3, every_second), 0.9),
            ("all idle", bytes_per_page(100_000, 1, |_, _| Access::IDLE), 0.001),
        ] {
            assert!(bytes <= bound, "{name}: {bytes} bytes per page, at most {bound}");
        }
    }
}
