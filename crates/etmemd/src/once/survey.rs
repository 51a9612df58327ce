//! Looking for a while at what programs use, without moving anything: what is idle for how long, what of it would have come back, and to
//! what it compresses.
//!
//! ```text
//! arm -> [interval] -> look at each process -> [interval, or longer: 2 % of a processor] -> ... -> a sample of cold pages -> programs
//! ```

use super::program::{Found, RETURNS, Sampled};
use super::stage::Progress;
use super::watch::Watch;
use crate::scan_claims::CommandClaims;
use etmem_core::act::Sample;
use etmem_core::address::PAGE_SIZE;
use etmem_core::feedback::{LOOKS_MAX, LastTouches};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::kernel::reader::MemoryReaders;
use etmem_core::plan::{Plan, Selection};
use etmem_core::scan::rest;
use etmem_engine::Reason;
use std::time::Duration;

/// Most of a processor that looking takes, in percent: with the beginning and the sample it is at most 2.
const PROCESSOR_PERCENT: u32 = 1;

/// Time between two looks: a fifth of the shortest age, or less where the whole is short.
const INTERVAL: Duration = Duration::from_secs(2);

/// Bytes of a process of which a sample is read.
const SAMPLE: u64 = 8 << 20;

/// What surveys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Survey<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) claims: &'a CommandClaims,
    pub(super) readers: &'a dyn MemoryReaders,
    pub(super) pacer: &'a dyn Pacer,
    pub(super) progress: &'a Progress,
    /// How long.
    pub(super) length: Duration,
    /// Whether pages are read for a sample.
    pub(super) sample: bool,
}

/// A process that is looked at.
#[derive(Debug)]
struct Watched {
    watch: Watch,
    touches: LastTouches,
    /// Why it is looked at no more.
    ended: Option<Reason>,
}

/// What is known of each process, or why nothing.
pub(super) type Surveyed = Vec<(ProcessId, Result<Found, Reason>)>;

impl Survey<'_> {
    /// Looks at `processes` for as long as is asked for, or until a stop. Returns what is known of each, and whether that was all.
    pub(super) fn look(&self, processes: &[ProcessId]) -> (Surveyed, Pace) {
        let begun = self.pacer.now();
        let mut all: Vec<_> = processes.iter().map(|process| (*process, self.begin(*process))).collect();
        let count = all.iter().filter(|(_, watched)| watched.is_ok()).count();
        let pace = if count == 0 { Pace::Continue } else { self.rounds(&mut all, begun, count) };
        let found = |(process, watched): (ProcessId, Result<Watched, Reason>)| {
            (process, watched.and_then(|watched| self.end(watched)))
        };
        (all.into_iter().map(found).collect(), pace)
    }

    fn rounds(
        &self,
        all: &mut [(ProcessId, Result<Watched, Reason>)],
        begun: Duration,
        count: usize,
    ) -> Pace {
        let end = begun + self.length;
        let shortest = INTERVAL.min(self.length / 4).max(self.length / u32::from(LOOKS_MAX - 1));
        let mut spent = Duration::ZERO;
        loop {
            let now = self.pacer.now();
            let left = end.saturating_sub(now);
            if left.is_zero() {
                return Pace::Continue;
            }
            // The last look is at the end, and none just before it.
            let wait = shortest.max(rest(spent, Some(PROCESSOR_PERCENT)));
            let wait = if left < wait + wait / 2 { left } else { wait };
            let line = |_| {
                let left = end.saturating_sub(self.pacer.now());
                format!(
                    "surveying {count} processes: {} of {} s",
                    (self.length - left).as_secs(),
                    self.length.as_secs()
                )
            };
            if self.progress.wait(wait, self.pacer, line) == Pace::Stop {
                return Pace::Stop;
            }
            let before = self.pacer.processor_time();
            for (_, watched) in all.iter_mut() {
                if let Ok(watched) = watched
                    && watched.ended.is_none()
                {
                    watched.ended = self.look_once(watched).err();
                }
            }
            spent = self.pacer.processor_time().saturating_sub(before);
        }
    }

    fn begin(&self, process: ProcessId) -> Result<Watched, Reason> {
        let watch = Watch::begin(process, self.kernel, self.claims, self.pacer)?;
        Ok(Watched { watch, touches: LastTouches::new(&RETURNS, self.pacer.now()), ended: None })
    }

    fn look_once(&self, watched: &mut Watched) -> Result<(), Reason> {
        if let Some(heat) = watched.watch.look(self.kernel, self.pacer)? {
            watched.touches.saw(&heat, self.pacer.now());
        }
        Ok(())
    }

    /// What is known of a process.
    fn end(&self, watched: Watched) -> Result<Found, Reason> {
        let Watched { watch, touches, ended } = watched;
        let process = watch.process;
        if let Some(reason) = ended {
            return Err(reason);
        }
        let memory = self.kernel.processes.memory(process).map_err(|error| Reason::from(&error))?;
        let mut found = Found::of(&touches, memory.resident);
        if self.sample {
            let age = found.age();
            found.sampled = self.read_sample(process, &touches, age).map_err(|error| Reason::from(&error))?;
        }
        Ok(found)
    }

    /// Reads some of the pages that have been idle for `age`, and compresses them as swap would.
    fn read_sample(
        &self,
        process: ProcessId,
        touches: &LastTouches,
        age: Duration,
    ) -> Result<Sampled, ProcessError> {
        let mut sampled = Sampled::default();
        let Some(look) = touches.threshold(age) else { return Ok(sampled) };
        let (map, histogram) = touches.map();
        let plan = Plan::new(map, &histogram, Selection::below(look));
        let mut reader = self.readers.attach(process)?;
        Sample::of(&plan, SAMPLE).read(&mut *reader, self.pacer, |page| match page {
            Some(page) => sampled.add(page),
            None => sampled.shared += PAGE_SIZE,
        })?;
        Ok(sampled)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/survey.rs"]
mod tests;
