//! Bringing memory of a process back from swap before it is needed.
//!
//! In comes what left, in its order, or else all that has mappings; what of it is in swap is touched by several threads, piece by piece,
//! and counted when it is there.

use super::record::{Record, Records, Without};
use super::stage::Progress;
use super::watch::stopped;
use crate::task_show::text::size;
use etmem_core::address::{AddressRange, PAGE_SIZE, append};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::mapping::Mapping;
use etmem_core::kernel::mover::Residence;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::reader::{MemoryReader, MemoryReaders};
use etmem_engine::{Reason, ReasonName};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that are brought back at once.
const PIECE: u64 = 4 << 20;

/// Bytes that are looked at at once for what is in swap.
const LOOKED_AT: u64 = 1 << 30;

/// Memory that must stay available.
const RESERVE: u64 = 64 << 20;

/// After how many pieces that is asked for again.
const ASKED_EVERY: usize = 16;

/// What brings back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Warm<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) readers: &'a dyn MemoryReaders,
    pub(super) pacer: &'a dyn Pacer,
    pub(super) progress: &'a Progress,
    /// How many at once: one for each processor, at most two, as more take turns in the kernel.
    pub(super) threads: usize,
}

/// What became of a process.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Bytes that were in swap.
    pub(super) wanted: u64,
    /// Of these, bytes that are in memory now.
    pub(super) back: u64,
    /// How long it took, with looking for what is in swap.
    pub(super) took: Duration,
    /// Whether a record says what went out.
    pub(super) by_record: bool,
    /// Why not all, or why not as recorded.
    pub(super) reasons: Vec<Reason>,
}

/// Pieces of what is in swap, in the order in which they come back.
type Pieces = Vec<Vec<AddressRange>>;

impl Warm<'_> {
    /// Brings back what `record` says of `process`, or else all of it.
    pub(super) fn bring_back(&self, process: ProcessId, record: Result<Record, Without>) -> Done {
        let start = self.pacer.now();
        let mut done = Done { by_record: record.is_ok(), ..Done::default() };
        if let Err(error) = self.try_bring_back(process, record, &mut done) {
            done.reasons.push(Reason::from(&error));
        }
        done.took = self.pacer.now().saturating_sub(start);
        done
    }

    fn try_bring_back(
        &self,
        process: ProcessId,
        record: Result<Record, Without>,
        done: &mut Done,
    ) -> Result<(), ProcessError> {
        let mut reader = self.readers.attach(process)?;
        let (ranges, most) = match record {
            Ok(record) => (record.ranges, u64::MAX),
            Err(_) => {
                let mut mappings: Vec<Mapping> = Vec::new();
                self.kernel.mappings.mappings(process, &[], &mut mappings)?;
                let ranges = mappings.iter().filter(|mapping| !mapping.special && !mapping.huge_pool);
                // Some programs reserve terabytes: the search ends when all that the kernel counts is found.
                (
                    ranges.map(|mapping| mapping.range).collect(),
                    self.kernel.processes.memory(process)?.swapped,
                )
            }
        };
        let Some(pieces) = self.in_swap(&mut *reader, &ranges, most)? else {
            done.reasons.push(stopped());
            return Ok(());
        };
        drop(reader);
        done.wanted = pieces.iter().map(|piece| bytes_of(piece)).sum();
        let work =
            Work { pieces: &pieces, wanted: done.wanted, next: AtomicUsize::new(0), back: AtomicU64::new(0) };
        let ended: Mutex<Option<Reason>> = Mutex::new(None);
        let run = || {
            let end = self.readers.attach(process).and_then(|mut reader| self.work(&work, &mut *reader));
            let reason = end.unwrap_or_else(|error| Some(Reason::from(&error)));
            if let Some(reason) = reason {
                // The others stop as well.
                work.next.store(usize::MAX / 2, Ordering::Relaxed);
                ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.threads.max(1) {
                scope.spawn(run);
            }
            run();
        });
        done.back = work.back.into_inner();
        done.reasons.extend(ended.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// What of `ranges` is in swap, until `most` bytes are found; `None` if a stop was asked for.
    fn in_swap(
        &self,
        reader: &mut dyn MemoryReader,
        ranges: &[AddressRange],
        most: u64,
    ) -> Result<Option<Pieces>, ProcessError> {
        let (mut pieces, mut found, mut there) = (Pieces::new(), 0, Vec::new());
        let mut room = 0;
        for range in ranges {
            let mut start = range.start;
            while start < range.end && found < most {
                if self.pacer.pace() == Pace::Stop {
                    return Ok(None);
                }
                let end = range.end.min(start.saturating_add(LOOKED_AT));
                reader.residence(&[AddressRange::new(start, end)], &mut there)?;
                for (at, _) in
                    (start..).step_by(4096).zip(&there).filter(|(_, place)| **place == Residence::Swap)
                {
                    if room == 0 {
                        pieces.push(Vec::new());
                        room = PIECE;
                    }
                    if let Some(piece) = pieces.last_mut() {
                        append(piece, AddressRange::new(at, at + PAGE_SIZE));
                    }
                    room -= PAGE_SIZE;
                    found += PAGE_SIZE;
                }
                start = end;
            }
        }
        Ok(Some(pieces))
    }

    /// Brings back piece after piece. Returns why it ended before the last.
    fn work(&self, work: &Work<'_>, reader: &mut dyn MemoryReader) -> Result<Option<Reason>, ProcessError> {
        let (mut there, mut ascending) = (Vec::new(), Vec::new());
        loop {
            let number = work.next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = work.pieces.get(number) else { return Ok(None) };
            if self.pacer.pace() == Pace::Stop {
                return Ok(Some(stopped()));
            }
            if number.is_multiple_of(ASKED_EVERY) {
                let available = self.kernel.memory.state()?.available;
                let most = PIECE * ASKED_EVERY as u64 + RESERVE;
                if available < most {
                    let text = format!(
                        "{} of memory are available: more would push out other programs",
                        size(available)
                    );
                    return Ok(Some(Reason::new(ReasonName::NoRoom, text)));
                }
            }
            reader.touch(piece)?;
            ascending.clone_from(piece);
            ascending.sort_unstable();
            reader.residence(&ascending, &mut there)?;
            let back = there.iter().filter(|place| place.is_memory()).count() as u64 * PAGE_SIZE;
            let all = work.back.fetch_add(back, Ordering::Relaxed) + back;
            self.progress.show(&format_args!("bringing back: {} of {}", size(all), size(work.wanted)));
            if back < bytes_of(piece) / 2 {
                let text = "pages leave again as fast as they come: its control group has no room below memory.max or memory.high, \
                            or it frees them";
                return Ok(Some(Reason::new(ReasonName::NoRoom, text)));
            }
        }
    }
}

/// What several threads do together.
struct Work<'a> {
    pieces: &'a [Vec<AddressRange>],
    wanted: u64,
    next: AtomicUsize,
    back: AtomicU64,
}

fn bytes_of(ranges: &[AddressRange]) -> u64 {
    ranges.iter().map(AddressRange::bytes).sum()
}

/// The records of `processes`, those that went out first before others; those without a record come last.
pub(super) fn in_order(
    processes: Vec<ProcessId>,
    records: &Records,
) -> Vec<(ProcessId, Result<Record, Without>)> {
    let mut found: Vec<_> = processes.into_iter().map(|process| (process, records.read(process))).collect();
    found.sort_by_key(|(process, record)| {
        let at = record.as_ref().ok().and_then(|record| record.at);
        (at.is_none(), at, *process)
    });
    found
}

#[cfg(test)]
#[path = "../../tests/unit/warm.rs"]
mod tests;
