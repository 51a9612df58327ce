//! Address × time: what was touched in each row of the address space, in each column of looks.

use super::about::About;
use super::extent::Layout;
use super::scale::share;
use crate::header::NamedMapping;
use crate::memory::Memory;
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use std::time::Duration;

/// A cell: pages of one row in the looks of one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cell {
    /// The highest share of its pages that was touched between two looks, in millionths.
    pub highest: u32,
    /// Pages that were touched, summed up over the looks.
    touched: u64,
    /// Pages in memory, the same.
    present: u64,
}

impl Cell {
    /// Whether anything of it was in memory.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.present > 0
    }

    /// The share of its pages that was touched between two looks, on average, in millionths.
    #[must_use]
    pub fn average(&self) -> u32 {
        share(self.touched, self.present)
    }

    /// Pages in memory at a look, on average.
    pub(super) const fn pages(&self, looks: u64) -> u64 {
        if looks == 0 { 0 } else { self.present.div_ceil(looks) }
    }
}

/// The cells of a heat map.
#[derive(Debug, Clone)]
pub struct Grid {
    pub(super) layout: Layout,
    columns: usize,
    /// Looks of a column; the last may have fewer.
    looks_of: u64,
    cells: Vec<Cell>,
    /// When each column began and ended, after the beginning of the record.
    pub(super) times: Vec<(Duration, Duration)>,
    looks: u64,
    row_now: Vec<(u64, u64)>,
}

impl Grid {
    /// An empty one for `looks` looks, in at most `columns` columns.
    #[must_use]
    pub fn new(layout: Layout, looks: u64, columns: usize) -> Self {
        let looks_of = looks.div_ceil(columns.max(1) as u64).max(1);
        let columns = usize::try_from(looks.div_ceil(looks_of)).unwrap_or(columns);
        let rows = layout.rows();
        Self {
            layout,
            columns,
            looks_of,
            cells: vec![Cell::default(); columns * rows],
            times: Vec::new(),
            looks: 0,
            row_now: vec![(0, 0); rows],
        }
    }

    /// Takes in a look, which saw what was touched in `window` until `at`.
    pub fn saw(&mut self, memory: &Memory, at: Duration, window: Duration) {
        let column = usize::try_from(self.looks / self.looks_of).unwrap_or(usize::MAX);
        if column >= self.columns {
            return;
        }
        self.looks += 1;
        match self.times.get_mut(column) {
            Some((_, end)) => *end = at,
            None => self.times.push((at.saturating_sub(window), at)),
        }
        self.row_now.iter_mut().for_each(|row| *row = (0, 0));
        let row = self.layout.row;
        for (block, pages) in memory.blocks() {
            let start = block * BLOCK_SIZE;
            let Some(first) = self.layout.row_of(start) else { continue };
            let per_word = usize::try_from((BLOCK_SIZE / row).max(1)).unwrap_or(1);
            for (number, (present, touched)) in pages.present.0.iter().zip(&pages.touched.0).enumerate() {
                // A block is part of a row, or has several.
                let offset = number * per_word / pages.present.0.len();
                if let Some((sum_touched, sum_present)) = self.row_now.get_mut(first + offset) {
                    *sum_touched += u64::from(touched.count_ones());
                    *sum_present += u64::from(present.count_ones());
                }
            }
        }
        for (number, (touched, present)) in self.row_now.iter().enumerate() {
            let cell = &mut self.cells[number * self.columns + column];
            cell.touched += touched;
            cell.present += present;
            cell.highest = cell.highest.max(share(*touched, *present));
        }
    }

    /// The rows in ascending order of address: their range, whether a gap is before them, their cells.
    pub(super) fn rows(&self) -> impl DoubleEndedIterator<Item = (AddressRange, bool, &[Cell])> {
        let ranges: Vec<_> = self.layout.ranges().collect();
        let cells = self.cells.chunks(self.columns.max(1));
        ranges
            .into_iter()
            .zip(cells)
            .map(|((range, gap), cells)| (range, gap, cells))
            .collect::<Vec<_>>()
            .into_iter()
    }

    pub(super) const fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn looks_in(&self, column: usize) -> u64 {
        self.looks_of.min(self.looks - (column as u64 * self.looks_of).min(self.looks))
    }

    /// When the last look was.
    pub(super) fn end(&self) -> Duration {
        self.times.last().map_or(Duration::ZERO, |(_, end)| *end)
    }

    /// When the first window began.
    pub(super) fn begin(&self) -> Duration {
        self.times.first().map_or(Duration::ZERO, |(begin, _)| *begin)
    }
}

/// A heat map, ready to be written.
#[derive(Debug)]
pub struct HeatReport<'a> {
    /// What it is about.
    pub about: &'a About,
    /// Its cells.
    pub grid: &'a Grid,
    /// The mappings of the process.
    pub mappings: &'a [NamedMapping],
}

impl HeatReport<'_> {
    /// What is mapped in `range`: the mapping that has most of it, and whether there are others.
    pub(super) fn mapping(&self, range: AddressRange) -> String {
        let bytes = |mapping: &&NamedMapping| mapping.range().intersection(range).bytes();
        let inside: Vec<_> = self.mappings.iter().filter(|mapping| bytes(mapping) > 0).collect();
        let Some(most) = inside.iter().max_by_key(|mapping| bytes(mapping)) else { return String::new() };
        let name = if most.name().is_empty() { "anonymous" } else { most.name() };
        match inside.len() - 1 {
            0 => name.to_owned(),
            others => format!("{name} and {others} more"),
        }
    }
}

/// Bytes of pages.
pub(super) const fn bytes(pages: u64) -> u64 {
    pages * PAGE_SIZE
}
