//! A round of a balloon task: its guest gives memory while the host lacks it, and gets it back when the host, or the guest, needs that.
//!
//! ```text
//!        the host is short, it is its turn           arrived
//! whole ----------------------------------> asked -------------> smaller --- the host is short: asked for more
//!   ^                                         |  not in six rounds  |
//!   '--------- all is back, arrived ----------'<--------------------'  the host is well, or the guest lacks memory: all back
//! ```

use super::guest::{self, Lack, News, Reports};
use super::host::{Host, Offer, Offers};
use super::report::{Round, Why, report};
use super::settings::Settings;
use crate::contract::{TaskRunner, cycle_over, notes_on_target};
use crate::report::{Event, Level, Line, ProcessReport, ProcessResult, StepReport};
use crate::scan_locks::ScanLocks;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::balloon::{Balloon, Balloons, GuestState, Noted};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{ProcessError, ProcessId, Target};
use etmem_core::kernel::wishes::Wishes;
use std::sync::Arc;
use std::time::Duration;

/// Rounds without a movement after which what was asked for is given up.
const PATIENCE: u32 = 6;

/// Rounds in which nothing is taken of a guest that lacked memory, and of one whose balloon did not move.
const AFTER_NEED: u32 = 16;
const AFTER_STUCK: u32 = 64;

/// Bytes by which a balloon may miss what was asked for.
const NEARLY: u64 = 1 << 20;

/// The work of a balloon task.
#[derive(Debug)]
pub(super) struct BalloonRunner {
    task: String,
    target: Target,
    settings: Settings,
    locks: ScanLocks,
    offers: Arc<Offers>,
    number: u64,
    guest: Option<Box<dyn Balloon>>,
    reports: Reports,
    taken: Option<Taken>,
    asked: Option<Asked>,
    /// Rounds in which nothing is to be taken.
    hold: u32,
}

/// What was taken of the guest.
#[derive(Debug)]
struct Taken {
    /// What it had before.
    whole: u64,
    /// What of QEMU was resident then.
    resident: u64,
    /// Says so to the next daemon, if this one is killed.
    _noted: Box<dyn Noted>,
}

/// What was asked for and has not arrived.
#[derive(Debug, Clone, Copy)]
struct Asked {
    bytes: u64,
    /// What the guest had in the last round.
    last: u64,
    rounds: u32,
}

impl BalloonRunner {
    /// The work of the task called `task`, beside the other guests of its engine.
    pub(super) fn new(
        task: String,
        target: Target,
        settings: Settings,
        locks: ScanLocks,
        offers: Arc<Offers>,
    ) -> Self {
        let number = offers.number();
        Self {
            task,
            target,
            settings,
            locks,
            offers,
            number,
            guest: None,
            reports: Reports::default(),
            taken: None,
            asked: None,
            hold: 0,
        }
    }

    /// The guest is gone, and what is known of it.
    fn forget(&mut self) {
        self.offers.forget(self.number);
        (self.guest, self.taken, self.asked, self.hold) = (None, None, None, 0);
        self.reports = Reports::default();
    }

    fn balloons(kernel: &Kernel) -> Result<&dyn Balloons, ProcessError> {
        kernel.balloons.as_deref().ok_or_else(|| ProcessError::refused("balloons", "this task has none"))
    }

    /// How the guest is, over a new connection if need be.
    fn ask(&mut self, kernel: &Kernel) -> Result<Result<GuestState, Why>, ProcessError> {
        let balloons = Self::balloons(kernel)?;
        let guest = match &mut self.guest {
            Some(guest) => guest,
            none => match balloons.connect(&self.settings.socket, self.settings.interval) {
                Ok(guest) => none.insert(guest),
                Err(error) => return Ok(Err(Why::Monitor(error))),
            },
        };
        let state = guest.state();
        if state.is_err() {
            self.guest = None;
        }
        Ok(state.map_err(Why::Monitor))
    }

    /// The process of the guest: the one that listens, or else the only one. QEMU inherits its socket from some managers.
    fn process(&self, found: &[ProcessId]) -> Result<ProcessId, Why> {
        let listener = self.guest.as_ref().and_then(|guest| guest.listener());
        let listens = found.iter().find(|process| Some(process.pid) == listener);
        match (listens, found) {
            (Some(process), _) | (None, [process]) => Ok(*process),
            (None, _) => Err(Why::Unclear(found.len())),
        }
    }

    fn set(&mut self, bytes: u64, state: &GuestState) -> Result<(), Why> {
        let Some(guest) = &mut self.guest else { return Ok(()) };
        if let Err(error) = guest.set(bytes) {
            self.guest = None;
            return Err(Why::Monitor(error));
        }
        self.asked = Some(Asked { bytes, last: state.actual, rounds: 0 });
        Ok(())
    }

    /// Whether what was asked for has arrived; why it has to be waited for.
    fn arrived(&mut self, state: &GuestState) -> Option<Why> {
        let asked = self.asked.as_mut()?;
        if state.actual.abs_diff(asked.bytes) < NEARLY {
            self.asked = None;
            return None;
        }
        asked.rounds = if state.actual == asked.last { asked.rounds + 1 } else { 0 };
        asked.last = state.actual;
        Some(if asked.rounds < PATIENCE { Why::Waits } else { Why::Stuck })
    }

    /// The rest of a round of a guest that runs and reports: why no more is taken.
    fn decide(
        &mut self,
        process: ProcessId,
        round: &mut Round,
        news: News,
        kernel: &Kernel,
    ) -> Result<Option<Why>, ProcessError> {
        let state = round.state.clone();
        let whole = self.taken.as_ref().map(|taken| taken.whole);
        if let (News::Fresh { lacks: Some(lack), .. }, Some(whole)) = (news, whole) {
            return Ok(Some(self.all_back(whole, &state, round, lack)));
        }
        match self.arrived(&state) {
            Some(Why::Stuck) => {
                self.hold = AFTER_STUCK;
                let back = whole.unwrap_or(state.actual);
                let failed = self.set(back, &state).err();
                self.asked = None;
                return Ok(Some(failed.unwrap_or(Why::Stuck)));
            }
            waits @ Some(_) => return Ok(waits),
            None => {}
        }
        if whole.is_some_and(|whole| state.actual.saturating_add(NEARLY) > whole) {
            self.taken = None;
        }
        let offered = self.offer(&state, round, news);
        match Host::now(self.settings.host, kernel)? {
            // What it would go by is older than what it has now.
            Host::Short(_) if news == News::Known => Ok(Some(Why::Waits)),
            Host::Short(missing) => Ok(self.give(missing, offered, process, round, kernel)),
            Host::Well(room) if self.taken.is_some() => Ok(self.get(room, &state, round)),
            Host::Well(_) | Host::Enough => Ok(Some(Why::HostWell)),
        }
    }

    /// Notes what the guest can give, for all guests of the engine to see.
    fn offer(&mut self, state: &GuestState, round: &Round, news: News) -> u64 {
        self.hold = self.hold.saturating_sub(1);
        let is_free = self.hold == 0 && self.settings.shares > 0;
        let gives = if is_free { guest::gives(state, round.floor) } else { 0 };
        let available = state.reported.map_or(0, |reported| reported.available);
        let faults = if let News::Fresh { faults, .. } = news { faults } else { 0 };
        let weight = u128::from(available) * 1000 / u128::from(self.settings.shares.max(1));
        let weight = u64::try_from(weight).unwrap_or(u64::MAX);
        self.offers.put(self.number, Offer { gives, weight, faults, taken: round.taken_of });
        gives
    }

    /// Takes a step, if the guest has something and it is its turn; why not.
    fn give(
        &mut self,
        missing: u64,
        offered: u64,
        process: ProcessId,
        round: &mut Round,
        kernel: &Kernel,
    ) -> Option<Why> {
        if offered == 0 {
            return Some(match (self.settings.shares, self.hold) {
                (0, _) => Why::NoShares,
                (_, 0) => Why::Floor,
                (_, _) => Why::Needs(None),
            });
        }
        let bytes = self.offers.to_give(self.number, missing);
        if bytes == 0 {
            return Some(Why::Others);
        }
        if self.locks.is_busy(process, &*kernel.processes) {
            return Some(Why::Elsewhere);
        }
        let state = round.state.clone();
        if let Err(why) = self.note(&state, process, kernel) {
            return Some(why);
        }
        let bytes = bytes.max(NEARLY).min(offered);
        match self.set(state.actual.saturating_sub(bytes), &state) {
            Ok(()) => {
                round.taken = bytes;
                None
            }
            Err(why) => Some(why),
        }
    }

    /// Writes down what the guest has, before anything is taken of it.
    fn note(&mut self, state: &GuestState, process: ProcessId, kernel: &Kernel) -> Result<(), Why> {
        if self.taken.is_some() {
            return Ok(());
        }
        let balloons = kernel.balloons.as_deref().ok_or_else(|| Why::NotNoted("no balloons".to_owned()))?;
        let noted = balloons.note(&self.settings.socket, state.actual).map_err(Why::NotNoted)?;
        let resident = kernel.processes.memory(process).map_or(0, |memory| memory.resident);
        self.taken = Some(Taken { whole: state.actual, resident, _noted: noted });
        Ok(())
    }

    /// Gives back as much as the host has room for.
    fn get(&mut self, room: u64, state: &GuestState, round: &mut Round) -> Option<Why> {
        let whole = self.taken.as_ref().map_or(state.actual, |taken| taken.whole);
        let bytes = self.offers.to_get(self.number, room);
        if bytes < NEARLY {
            return Some(Why::HostWell);
        }
        let bytes = bytes.min(whole.saturating_sub(state.actual));
        match self.set(state.actual + bytes, state) {
            Ok(()) => {
                round.returned = bytes;
                None
            }
            Err(why) => Some(why),
        }
    }

    /// Gives all back at once.
    fn all_back(&mut self, whole: u64, state: &GuestState, round: &mut Round, lack: Lack) -> Why {
        self.hold = AFTER_NEED;
        match self.set(whole, state) {
            Ok(()) => {
                round.returned = whole.saturating_sub(state.actual);
                Why::Needs(Some(lack))
            }
            Err(why) => why,
        }
    }

    /// A round of the guest of `process`.
    fn round(
        &mut self,
        process: ProcessId,
        state: GuestState,
        kernel: &Kernel,
        now: Duration,
    ) -> Result<ProcessReport, ProcessError> {
        let resident = kernel.processes.memory(process)?.resident;
        let taken_of = self.taken.as_ref().map_or(0, |taken| taken.whole.saturating_sub(state.actual));
        let before = self.taken.as_ref().map_or(resident, |taken| taken.resident);
        let saved = before.saturating_sub(resident).min(taken_of);
        let mut round = Round { saved, taken_of, ..Round::default() };
        let halted = state.halted.clone();
        let reported = state.reported;
        round.state = state;
        let why = match (halted, reported) {
            (Some(halted), _) => Some(Why::Halted(halted)),
            (None, None) => Some(Why::NoReport),
            (None, Some(reported)) => {
                round.floor = guest::floor(&round.state, &reported, self.settings.least);
                let is_taken = self.taken.is_some();
                let actual = round.state.actual;
                match self.reports.note(reported, actual, is_taken, now, self.settings.interval) {
                    News::Stale => Some(Why::Stale),
                    news @ (News::Fresh { .. } | News::Known) => {
                        self.decide(process, &mut round, news, kernel)?
                    }
                }
            }
        };
        if matches!(why, Some(Why::Halted(_) | Why::NoReport | Why::Stale)) {
            self.offers.forget(self.number);
        }
        Ok(finished(report(process, round, why.as_ref()), why.as_ref()))
    }

    fn cycle(
        &mut self,
        found: &[ProcessId],
        kernel: &Kernel,
        now: Duration,
    ) -> Result<Vec<ProcessReport>, ProcessError> {
        let state = self.ask(kernel)?;
        let guest = state.and_then(|state| Ok((self.process(found)?, state)));
        match guest {
            Ok((process, state)) => {
                let lost = |error| ProcessReport::new(process, ProcessResult::Lost(error));
                Ok(vec![self.round(process, state, kernel, now).unwrap_or_else(lost)])
            }
            Err(why) => {
                self.offers.forget(self.number);
                let of = |process: &ProcessId| {
                    finished(report(*process, Round::default(), Some(&why)), Some(&why))
                };
                Ok(found.iter().map(of).collect())
            }
        }
    }
}

/// A report whose line in the log is written again only when it says something else.
fn finished(mut report: ProcessReport, why: Option<&Why>) -> ProcessReport {
    let level = match why {
        Some(Why::Monitor(_) | Why::Stuck | Why::NotNoted(_) | Why::Unclear(_)) => Level::Warn,
        Some(_) | None => Level::Info,
    };
    if let Some(why) = why {
        let line = Line::new(format!("{}: {}", report.text, why.reason().text));
        report.events = vec![Event::once(level, format!("{why:?}"), line)];
    }
    report
}

impl TaskRunner for BalloonRunner {
    fn wishes(&self) -> Wishes {
        Wishes { balloon: true, ..Wishes::default() }
    }

    fn notes(&self, kernel: &Kernel) -> Vec<String> {
        notes_on_target(&self.task, &self.target, kernel)
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let target = self.target.clone();
        cycle_over(&target, kernel, pacer, |found| {
            if found.is_empty() {
                self.forget();
                return Ok(StepReport::default());
            }
            let processes = self.cycle(found, kernel, pacer.now())?;
            Ok(StepReport { processes, ..StepReport::default() })
        })
    }

    /// Gives back what was taken.
    fn end(&mut self, kernel: &Kernel) -> Result<(), ProcessError> {
        self.offers.forget(self.number);
        let Some(whole) = self.taken.as_ref().map(|taken| taken.whole) else { return Ok(()) };
        let given = match self.ask(kernel)? {
            Ok(state) => self.set(whole, &state),
            Err(why) => Err(why),
        };
        match given {
            Ok(()) => {
                self.taken = None;
                Ok(())
            }
            Err(why) => {
                // The note stays for the next daemon.
                std::mem::forget(self.taken.take());
                Err(ProcessError::refused("giving memory back to the guest", why.reason().text))
            }
        }
    }

    fn period(&self) -> Duration {
        self.settings.interval
    }
}

#[cfg(test)]
#[path = "../../tests/unit/balloon.rs"]
mod tests;
