//! Records of `damo record`, the user space tool of DAMON, in its formats json and json_compressed (zlib).
//!
//! Such a record has, for each target, snapshots of regions with the number of samples in which one page of the region was accessed.
//! All of a region counts as in memory, and all of it as touched if any sample was: it is no finer than that. What comes out is a record
//! of ours, so that all that reads ours reads it.

use crate::header::{Header, Process, VERSION};
use crate::memory::{ADDRESSES_END, BLOCKS_MAX, Malformed};
use crate::reader::ReadError;
use crate::writer::{WriteError, Writer};
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE, PAGES_PER_BLOCK, block_of};
use etmem_core::heat::{HeatMap, HeatUpdate};
use etmem_core::kernel::probe::{Access, AccessSink, Block};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::time::Duration;

/// Most bytes of JSON that are taken.
const JSON_MAX: usize = 1 << 30;

/// A number, which damo writes as such or as text, with or without commas.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Whole(u64),
            Broken(f64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Whole(number) => return Ok(Self(number)),
            Written::Broken(number) => format!("{number:.0}"),
            Written::Text(text) => text.replace(',', ""),
        };
        // -1 stands for what is not known.
        if text.starts_with('-') {
            return Ok(Self(0));
        }
        let whole = text.split('.').next().unwrap_or_default();
        whole.parse().map(Self).map_err(|_| D::Error::custom(format!("{text:?} is not a number")))
    }
}

#[derive(Debug, Deserialize)]
struct Target {
    target_id: Number,
    snapshots: Vec<Snapshot>,
}

#[derive(Debug, Deserialize)]
struct Snapshot {
    #[serde(default)]
    start_time: Option<Number>,
    end_time: Number,
    regions: Vec<Region>,
}

#[derive(Debug, Deserialize)]
struct Region {
    start: Number,
    end: Number,
    #[serde(default)]
    nr_accesses: Option<Accesses>,
}

#[derive(Debug, Deserialize)]
struct Accesses {
    #[serde(default)]
    samples: Option<Number>,
    #[serde(default)]
    percent: Option<Number>,
}

impl Snapshot {
    /// Blocks that its regions may lie in, at most.
    fn blocks(&self) -> u64 {
        let of = |region: &Region| region.range().bytes() / BLOCK_SIZE + 1;
        self.regions.iter().map(of).sum()
    }
}

impl Region {
    fn range(&self) -> AddressRange {
        let whole = |address: u64| address.min(ADDRESSES_END) / PAGE_SIZE * PAGE_SIZE;
        AddressRange::new(whole(self.start.0), whole(self.end.0.saturating_add(PAGE_SIZE - 1)))
    }

    fn access(&self) -> Access {
        let seen = |number: Option<Number>| number.is_some_and(|number| number.0 > 0);
        let touched = self.nr_accesses.as_ref().is_some_and(|one| seen(one.samples) || seen(one.percent));
        if touched { Access::READ } else { Access::IDLE }
    }
}

/// Whether bytes that begin like `first` may be a record of damo.
#[must_use]
pub fn is_meant(first: &[u8]) -> bool {
    // JSON of a list; or the head of zlib's format (RFC 1950), a multiple of 31.
    let zlib = |head: &[u8]| head[0] == 0x78 && u16::from_be_bytes([head[0], head[1]]).is_multiple_of(31);
    first.trim_ascii_start().first() == Some(&b'[') || (first.len() >= 2 && zlib(first))
}

/// The record of ours that says the same as `bytes`.
///
/// # Errors
/// Why they are no record of damo.
pub fn convert(bytes: &[u8]) -> Result<Vec<u8>, ReadError> {
    convert_of_at_most(bytes, BLOCKS_MAX)
}

/// The same of records whose targets have at most `most` blocks together.
///
/// # Errors
/// As `convert`.
pub fn convert_of_at_most(bytes: &[u8], most: usize) -> Result<Vec<u8>, ReadError> {
    let text = if bytes.first() == Some(&0x78) {
        decompress_to_vec_zlib_with_limit(bytes, JSON_MAX)
            .map_err(|error| ReadError::Damo(format!("it cannot be decompressed: {error}")))?
    } else {
        bytes.to_vec()
    };
    let targets: Vec<Target> =
        serde_json::from_slice(&text).map_err(|error| ReadError::Damo(error.to_string()))?;
    write(&targets, most).map_err(|error| match error {
        WriteError::Io(error) => ReadError::Io(error),
        WriteError::TooMuch(error) => ReadError::Damo(error.to_string()),
    })
}

fn write(targets: &[Target], blocks_most: usize) -> Result<Vec<u8>, WriteError> {
    let all = || {
        targets
            .iter()
            .enumerate()
            .flat_map(|(number, target)| target.snapshots.iter().map(move |snapshot| (number, snapshot)))
    };
    let begin = |snapshot: &Snapshot| snapshot.start_time.unwrap_or(snapshot.end_time).0;
    let start = all().map(|(_, snapshot)| begin(snapshot).min(snapshot.end_time.0)).min().unwrap_or_default();
    let span = all().map(|(_, snapshot)| snapshot.end_time.0).max().unwrap_or_default().saturating_sub(start);
    let most = targets.iter().map(|target| target.snapshots.len()).max().unwrap_or_default().max(1);
    let header = Header {
        etmem_record: VERSION,
        version: String::new(),
        machine: String::new(),
        kernel: String::new(),
        target: "a record of damo".to_owned(),
        probe: "damon".to_owned(),
        page_bytes: PAGE_SIZE,
        interval_seconds: span as f64 / most as f64 / 1e9,
        start: 0,
    };
    let mut writer = Writer::new(Vec::new(), &header)?;
    for target in targets {
        let pid = u32::try_from(target.target_id.0).unwrap_or(0);
        let name = format!("target {}", target.target_id.0);
        writer.process(&Process { pid, start_time: 0, name, since_ms: 0 })?;
    }
    let mut snapshots: Vec<_> = all().collect();
    snapshots.sort_by_key(|(_, snapshot)| snapshot.end_time.0);
    let mut blocks = vec![0; targets.len()];
    for (number, snapshot) in snapshots {
        // Before they are made: a region of some bytes of text can be all that a machine could address.
        blocks[number] = snapshot.blocks();
        if blocks.iter().sum::<u64>() > blocks_most as u64 {
            return Err(Malformed::TooMuch(blocks_most).into());
        }
        let at = Duration::from_nanos(snapshot.end_time.0.saturating_sub(start));
        writer.look(number, at, &heat(snapshot))?;
    }
    Ok(writer.into_inner())
}

/// What a snapshot says of each page.
fn heat(snapshot: &Snapshot) -> HeatMap {
    let mut regions: Vec<(AddressRange, Access)> =
        snapshot.regions.iter().map(|region| (region.range(), region.access())).collect();
    regions.sort_by_key(|(range, _)| *range);
    let mut update = HeatUpdate::new(HeatMap::default());
    let mut next = 0;
    for (range, access) in regions {
        // What two regions have in common counts for the first.
        let range = AddressRange::new(range.start.max(next), range.end);
        if !range.is_empty() {
            fill(&mut update, range, access);
            next = range.end;
        }
    }
    update.finish()
}

/// Tells `sink` that all of `range` was accessed in this way.
pub(crate) fn fill(sink: &mut dyn AccessSink, range: AddressRange, access: Access) {
    let mut at = range.start;
    while at < range.end {
        let block = block_of(at);
        let whole = if at == block { (range.end - at) / BLOCK_SIZE } else { 0 };
        if whole > 0 {
            sink.equal_blocks(at, whole, access);
            at += whole * BLOCK_SIZE;
            continue;
        }
        let mut pages = [Access::ABSENT; PAGES_PER_BLOCK];
        for (page, address) in pages.iter_mut().zip((block..).step_by(4096)) {
            if address >= range.start && address < range.end {
                *page = access;
            }
        }
        sink.block(block, Block::Pages(&pages));
        at = block + BLOCK_SIZE;
    }
}

#[cfg(test)]
#[path = "../tests/unit/damo.rs"]
mod tests;
