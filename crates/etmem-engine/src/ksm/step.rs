//! A round of a ksm task: KSM runs while it is worth it.
//!
//! ```text
//!           processes are there                     no profit, copied again, switched off
//! resting ----------------------> running ------------------------------------------------> ended
//!    ^                               |                                                        |
//!    '------- no process left -------'<------------- a process that was not there ------------'
//! ```

use super::report::{Why, first_scans, profit, report, together};
use super::settings::Settings;
use super::tuning;
use crate::contract::{TaskRunner, cycle_over, notes_on_target};
use crate::report::{Event, Level, Line, ProcessReport, ProcessResult, StepReport};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::merging::{Merging, MergingRun, MergingState, Mode, ProcessMerging, Speed};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{ProcessError, ProcessId, Target};
use etmem_core::kernel::wishes::Wishes;
use std::collections::BTreeMap;
use std::time::Duration;

/// Scans after which it is known what of a process can be merged: the one under way, and two whole ones.
const SCANS: u64 = 3;

/// Rounds in a row in which as much is copied as is merged, after which merging is of no use.
const ROUNDS: u32 = 3;

/// The work of a ksm task.
#[derive(Debug)]
pub(super) struct KsmRunner {
    task: String,
    target: Target,
    settings: Settings,
    run: Running,
    /// How many scans had ended when each process was found.
    found_at: BTreeMap<ProcessId, u64>,
    /// Pages between two rests, without an advisor.
    pages: Option<u32>,
    /// What was copied until the round before, and for how many rounds it was too much.
    copied: Option<u64>,
    copied_rounds: u32,
}

/// Whether KSM runs for the task.
#[derive(Debug)]
enum Running {
    /// It does not.
    No,
    /// It does; without anything to end if it ran before.
    Yes(Option<Box<dyn MergingRun>>),
    /// It did.
    Ended(Why),
}

impl KsmRunner {
    /// The work of the task called `task`.
    pub(super) fn new(task: String, target: Target, settings: Settings) -> Self {
        Self {
            task,
            target,
            settings,
            run: Running::No,
            found_at: BTreeMap::new(),
            pages: None,
            copied: None,
            copied_rounds: 0,
        }
    }

    /// Ends it for now.
    fn rest(&mut self, then: Running) -> Result<(), ProcessError> {
        (self.copied, self.copied_rounds) = (None, 0);
        match std::mem::replace(&mut self.run, then) {
            Running::Yes(Some(run)) => run.end(self.settings.engine.separate),
            Running::Yes(None) | Running::No | Running::Ended(_) => Ok(()),
        }
    }

    /// Lets it run, or go on at the speed of this round.
    fn go_on(
        &mut self,
        merging: &dyn Merging,
        state: &MergingState,
        kernel: &Kernel,
    ) -> Result<(), ProcessError> {
        let speed = if state.has_advisor { self.settings.engine.advised } else { self.by_pages(kernel)? };
        match &mut self.run {
            Running::Yes(Some(run)) if !state.has_advisor => run.change(speed),
            Running::Yes(_) | Running::Ended(_) => Ok(()),
            Running::No => {
                self.run = Running::Yes(merging.run(speed)?);
                Ok(())
            }
        }
    }

    fn by_pages(&mut self, kernel: &Kernel) -> Result<Speed, ProcessError> {
        let memory = kernel.memory.state()?;
        let pages = tuning::next_pages(self.pages, &memory);
        self.pages = Some(pages);
        Ok(tuning::speed(pages, &memory))
    }

    fn round(&mut self, found: &[ProcessId], kernel: &Kernel) -> Result<StepReport, ProcessError> {
        let missing = || ProcessError::refused("merging", "this task has no KSM");
        let merging = kernel.merging.as_deref().ok_or_else(missing)?;
        let state = merging.state()?;
        let is_new = found.iter().any(|process| !self.found_at.contains_key(process));
        self.found_at.retain(|process, _| found.contains(process));
        for process in found {
            self.found_at.entry(*process).or_insert(state.full_scans);
        }
        let seen: Vec<(ProcessId, Result<ProcessMerging, ProcessError>)> =
            found.iter().map(|process| (*process, merging.of(*process))).collect();
        let now_allowed =
            || seen.iter().any(|(_, one)| one.as_ref().is_ok_and(|one| one.allowed == Some(true)));
        match self.run {
            Running::Ended(Why::NotAllowed) if is_new || now_allowed() => self.run = Running::No,
            Running::Ended(_) if is_new => self.run = Running::No,
            Running::Ended(_) | Running::No | Running::Yes(_) => {}
        }
        let began = matches!(self.run, Running::No);
        if began {
            // Those that were known before have to be looked at again.
            self.found_at.values_mut().for_each(|scans| *scans = state.full_scans);
        } else if matches!(self.run, Running::Yes(_)) && state.mode != Mode::Running {
            self.rest(Running::Ended(Why::Changed))?;
        }
        self.go_on(merging, &state, kernel)?;
        let copied = self.copied_since(&state);
        if let Some(why) = self.verdict(&seen, &state, copied) {
            self.rest(Running::Ended(why))?;
        }
        let merged = seen.iter().filter_map(|(_, one)| one.as_ref().ok()).map(|one| one.merged).sum();
        Ok(StepReport {
            processes: seen.into_iter().map(|(process, one)| self.report(process, one, &state)).collect(),
            together: together(merged, &state, copied.unwrap_or(0)),
            events: self.events(began),
            ..StepReport::default()
        })
    }

    /// What was copied since the round before, of a run that lasts.
    fn copied_since(&mut self, state: &MergingState) -> Option<u64> {
        if !matches!(self.run, Running::Yes(_)) {
            return None;
        }
        let before = std::mem::replace(&mut self.copied, state.copied);
        Some(state.copied?.saturating_sub(before?))
    }

    /// Why it is not worth it to go on.
    fn verdict(
        &mut self,
        seen: &[(ProcessId, Result<ProcessMerging, ProcessError>)],
        state: &MergingState,
        copied: Option<u64>,
    ) -> Option<Why> {
        if !matches!(self.run, Running::Yes(_)) {
            return None;
        }
        let is_known = |process: &ProcessId| self.scans(process, state) >= SCANS;
        let known: Vec<ProcessMerging> = seen
            .iter()
            .filter(|(process, _)| is_known(process))
            .filter_map(|(_, one)| one.as_ref().ok().copied())
            .collect();
        let is_worse = copied.is_some_and(|copied| copied > 0 && copied >= state.sharing);
        self.copied_rounds = if is_worse { self.copied_rounds + 1 } else { 0 };
        if self.copied_rounds >= ROUNDS {
            Some(Why::Copied)
        } else if seen.iter().all(|(_, one)| one.as_ref().is_ok_and(|one| one.allowed == Some(false))) {
            Some(Why::NotAllowed)
        } else if known.is_empty() {
            None
        } else if known.iter().all(|one| one.allowed != Some(true)) {
            Some(Why::NotAllowed)
        } else {
            (known.iter().map(|one| profit(*one)).sum::<i128>() <= 0).then_some(Why::NoProfit)
        }
    }

    /// How many scans have ended since `process` was found.
    fn scans(&self, process: &ProcessId, state: &MergingState) -> u64 {
        self.found_at.get(process).map_or(0, |at| state.full_scans.saturating_sub(*at))
    }

    fn report(
        &self,
        process: ProcessId,
        merging: Result<ProcessMerging, ProcessError>,
        state: &MergingState,
    ) -> ProcessReport {
        let merging = match merging {
            Ok(merging) => merging,
            Err(error) => return ProcessReport::new(process, ProcessResult::Lost(error)),
        };
        let scans = self.scans(&process, state);
        let reason = match self.run {
            Running::Ended(why) => Some(why.reason()),
            _ if merging.allowed == Some(false) => Some(Why::NotAllowed.reason()),
            _ if scans < SCANS && merging.merged == 0 => Some(first_scans(scans)),
            // The kernel has looked at all there is of the others.
            _ if merging.allowed.is_none() => Some(Why::NotAllowed.reason()),
            Running::Yes(_) | Running::No => None,
        };
        report(process, merging, reason)
    }

    fn events(&self, began: bool) -> Vec<Event> {
        let text = match &self.run {
            Running::Yes(None) if began => "KSM runs already, and its settings are left as they are",
            Running::Yes(Some(_)) if began => "KSM runs; it merges equal pages of all programs that let it",
            Running::Ended(why) => {
                let line = Line::new(why.reason().text);
                return vec![Event::once(Level::Warn, format!("{why:?}"), line)];
            }
            Running::Yes(_) | Running::No => return Vec::new(),
        };
        vec![Event::always(Level::Info, Line::new(text))]
    }

    /// A round without a process.
    fn no_process(&mut self) -> Result<(), ProcessError> {
        self.found_at.clear();
        self.rest(Running::No)
    }
}

impl TaskRunner for KsmRunner {
    fn wishes(&self) -> Wishes {
        Wishes { merging: true, ..Wishes::default() }
    }

    fn notes(&self, kernel: &Kernel) -> Vec<String> {
        let Self { task, target, .. } = self;
        let mut notes = notes_on_target(task, target, kernel);
        notes.push(format!(
            "task {task}: while it runs, KSM merges equal pages of all programs that let it, which lets one find out what another has \
             in memory; docs/ksm.md says when that matters"
        ));
        notes
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let target = self.target.clone();
        cycle_over(&target, kernel, pacer, |found| {
            if found.is_empty() {
                self.no_process()?;
                return Ok(StepReport::default());
            }
            Ok(self.round(found, kernel).unwrap_or_else(|error| {
                let lost =
                    |process: &ProcessId| ProcessReport::new(*process, ProcessResult::Lost(error.clone()));
                StepReport { processes: found.iter().map(lost).collect(), ..StepReport::default() }
            }))
        })
    }

    fn end(&mut self, _: &Kernel) -> Result<(), ProcessError> {
        self.rest(Running::No)
    }

    fn period(&self) -> Duration {
        self.settings.interval
    }
}

#[cfg(test)]
#[path = "../../tests/unit/ksm.rs"]
mod tests;
