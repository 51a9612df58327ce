//! A process of 1 TiB, through the mount, in reads of 64 KiB.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use anyhow::{Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::fake::proc::script::{Life, PageSize, Segment, Texture};

use crate::swapping::lines;
use crate::{PAGE, PID, START, Stage, cold, hot, one};

const PAGES: u64 = 1 << 28;
const END: u64 = START + PAGES * PAGE;

/// What one walk over everything saw.
#[derive(Debug, Default, PartialEq, Eq)]
struct Walk {
    reads: u64,
    bytes: u64,
    accessed: u64,
    idle: u64,
    holes: u64,
}

fn walk(file: &File) -> Result<Walk> {
    let (mut at, mut walk, mut buffer) = (START, Walk::default(), vec![0; 65_536]);
    let mut counts = [0u64; 256];
    while at < END {
        let got = file.read_at(&mut buffer, at)?;
        walk.reads += 1;
        walk.bytes += got as u64;
        let mut reached = at;
        let mut bytes = buffer[..got].iter();
        while let Some(byte) = bytes.next() {
            if *byte == 0xa0 {
                let (address, rest) = bytes.as_slice().split_at(8);
                reached = u64::from_be_bytes(address.try_into()?);
                bytes = rest.iter();
            } else {
                counts[usize::from(*byte)] += 1;
                reached += u64::from(byte & 0xf) * PAGE;
            }
        }
        // A stream that leaves room has been walked to the end of its span.
        let span_end = at + 65_536 * 8 * PAGE;
        at = if got < 65_536 - 20 { span_end } else { reached };
    }
    let sum = |kind: usize| (1..16).map(|pages| counts[kind << 4 | pages] * pages as u64).sum();
    (walk.accessed, walk.idle, walk.holes) = (sum(0), sum(5), sum(8));
    Ok(walk)
}

fn timed(what: &str, file: &File) -> Result<Walk> {
    let clock = WallClock::new();
    let walk = walk(file)?;
    eprintln!("{what}: {:.2} s, {walk:?}", clock.now().as_secs_f64());
    Ok(walk)
}

pub(crate) fn dense() -> Result<()> {
    let stage = Stage::private(vec![cold(PAGES / 4), hot(PAGES / 4), cold(PAGES / 2)])?;
    let file = stage.idle_pages()?;
    ensure!(timed("dense, first walk", &file)?.accessed == PAGES);
    let second = timed("dense, long runs", &file)?;
    ensure!((second.accessed, second.idle, second.holes) == (PAGES / 4, PAGES / 4 * 3, 0), "{second:?}");
    // Every page is unlike its neighbour.
    let texture = Texture::Stripes(vec![(1, Life::hot()), (1, Life::cold())]);
    let mixed = Segment { pages: PAGES, size: PageSize::Base, texture };
    let stage = Stage::private(vec![mixed])?;
    let file = stage.idle_pages()?;
    ensure!(timed("dense, first walk", &file)?.accessed == PAGES);
    let second = timed("dense, every page unlike its neighbour", &file)?;
    ensure!((second.accessed, second.idle) == (PAGES / 2, PAGES / 2), "{second:?}");
    ensure!(second.reads > PAGES / 65_536);
    Ok(())
}

pub(crate) fn sparse() -> Result<()> {
    // One page in 2 MiB, and one page in 1 GiB.
    for (apart, every) in [(512, "2 MiB"), (1 << 18, "1 GiB")] {
        let texture = Texture::Stripes(vec![(1, Life::cold()), (apart - 1, Life::hole())]);
        let stage = Stage::private(vec![Segment { pages: PAGES, size: PageSize::Base, texture }])?;
        let file = stage.idle_pages()?;
        let first = timed(&format!("sparse, a page every {every}"), &file)?;
        ensure!(first.accessed == PAGES / apart, "{first:?}");
        // A page table reports its holes; a table that is missing reports none.
        ensure!(first.holes < first.accessed * 512, "{first:?}");
        let second = timed(&format!("sparse, a page every {every}"), &file)?;
        ensure!((second.accessed, second.idle) == (0, PAGES / apart), "{second:?}");
    }
    Ok(())
}

pub(crate) fn paged_out() -> Result<()> {
    let stage = Stage::private(vec![cold(PAGES)])?;
    let file = stage.idle_pages()?;
    let mut swap = stage.swap_pages()?;
    let clock = WallClock::new();
    let gone = 1 << 20;
    for first in (0..gone).step_by(4096) {
        swap.write_all(lines(first..first + 4096).as_bytes())?;
    }
    eprintln!("4 GiB of it paged out page by page: {:.2} s", clock.now().as_secs_f64());
    ensure!(stage.fake.out(PID) == one(START..START + gone * PAGE));
    let rest = timed("with 4 GiB of it out", &file)?;
    ensure!(rest.accessed == PAGES - gone, "{rest:?}");
    Ok(())
}
