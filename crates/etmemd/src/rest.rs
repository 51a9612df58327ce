//! The wait of a task between two cycles: for its time, a trigger of its project, or a stop; and what ended it.

use crate::journal::Journal;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::trigger::{Interrupt, Trigger, TriggerWait, Woken};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What a task waits on between two cycles.
#[derive(Debug, Default)]
pub(crate) struct Rest(Option<OnTriggers>);

#[derive(Debug)]
struct OnTriggers {
    triggers: Vec<Trigger>,
    wait: Box<dyn TriggerWait>,
    /// What the log has said of them.
    said: Vec<Option<String>>,
}

/// A trigger of a task, to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ShownTrigger {
    /// As the file has it.
    pub(crate) trigger: String,
    /// Why it cannot be watched.
    pub(crate) fault: Option<String>,
}

impl ShownTrigger {
    /// What a person who starts the task should know of it.
    pub(crate) fn note(self) -> Option<String> {
        let Self { trigger, fault } = self;
        fault.map(|fault| {
            format!(
                "trigger {trigger} cannot be watched now: {fault}; it is tried again, and the timer goes on"
            )
        })
    }
}

/// What began the cycle of a task that has triggers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct WokenBy {
    /// `start`, `timer` or `trigger`.
    pub(crate) cause: &'static str,
    /// Which trigger, as the file has it.
    pub(crate) trigger: Option<String>,
    /// What the kernel said then.
    pub(crate) evidence: Option<String>,
}

impl WokenBy {
    /// The task's start.
    pub(crate) const START: Self = Self { cause: "start", trigger: None, evidence: None };
    const TIMER: Self = Self { cause: "timer", trigger: None, evidence: None };
}

impl Rest {
    /// On `triggers`, which `wait` has armed.
    pub(crate) fn on(triggers: Vec<Trigger>, wait: Box<dyn TriggerWait>) -> Self {
        let said = vec![None; triggers.len()];
        Self(Some(OnTriggers { triggers, wait, said }))
    }

    /// Ends the wait from another thread.
    pub(crate) fn interrupt(&self) -> Option<Arc<dyn Interrupt>> {
        self.0.as_ref().map(|on| on.wait.interrupt())
    }

    /// The triggers as they stand.
    pub(crate) fn triggers(&self) -> Vec<ShownTrigger> {
        let Some(OnTriggers { triggers, wait, .. }) = &self.0 else { return Vec::new() };
        let shown = |(trigger, fault): (&Trigger, _)| ShownTrigger { trigger: trigger.to_string(), fault };
        triggers.iter().zip(wait.faults()).map(shown).collect()
    }

    /// Waits for `period` at most: what ended the wait, or `None` after a stop. `changed` receives the triggers each time that one
    /// of them can be watched no longer, or again.
    pub(crate) fn wait(
        &mut self,
        period: Duration,
        clock: &dyn Pacer,
        journal: &Journal,
        changed: impl Fn(Vec<ShownTrigger>),
    ) -> Option<WokenBy> {
        if self.0.is_none() {
            return (clock.pause(period) == Pace::Continue).then_some(WokenBy::TIMER);
        }
        let until = clock.now().saturating_add(period);
        loop {
            if self.say_faults(journal) {
                changed(self.triggers());
            }
            let on = self.0.as_mut()?;
            let woken = on.wait.wait(until.saturating_sub(clock.now()), clock);
            match woken {
                Woken::Stop => return None,
                Woken::Changed => {}
                Woken::Timer => return Some(WokenBy::TIMER),
                Woken::Fired(fired) => {
                    let trigger = on.triggers.get(fired.place).map(ToString::to_string);
                    if self.say_faults(journal) {
                        changed(self.triggers());
                    }
                    return Some(WokenBy { cause: "trigger", trigger, evidence: Some(fired.evidence) });
                }
            }
        }
    }

    /// Writes to the log which triggers cannot be watched any more, and which can again: whether there were any.
    fn say_faults(&mut self, journal: &Journal) -> bool {
        let Some(OnTriggers { triggers, wait, said }) = &mut self.0 else { return false };
        let faults = wait.faults();
        for (trigger, (before, now)) in triggers.iter().zip(said.iter().zip(&faults)) {
            match (before, now) {
                (before, Some(reason)) if before.as_ref() != Some(reason) => {
                    journal.not_watched(trigger, reason);
                }
                (Some(_), None) => journal.watched_again(trigger),
                (Some(_) | None, Some(_)) | (None, None) => {}
            }
        }
        std::mem::replace(said, faults) != *said
    }
}

#[cfg(test)]
#[path = "../tests/unit/rest.rs"]
mod tests;
