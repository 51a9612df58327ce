//! The wait between two cycles of a task: on its triggers, its timer and a stop.

use super::free::FreeWatch;
use super::high::HighWatch;
use super::pressure::PressureWatch;
use super::usage::UsageWatch;
use super::watch::Watch;
use crate::root::Roots;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::trigger::{Fired, Interrupt, Trigger, TriggerWait, Woken};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// How often a trigger without an event is read.
const READ_EACH: Duration = Duration::from_secs(1);

/// How often a trigger that cannot be watched is tried again.
const TRY_EACH: Duration = Duration::from_secs(5);

/// The triggers of the machine.
#[derive(Debug, Clone)]
pub struct MachineTriggers(pub Roots);

impl MachineTriggers {
    /// Arms `triggers`. What cannot be armed is a fault of the wait, and is tried again.
    ///
    /// # Errors
    /// No file can be opened any more.
    pub fn watch(&self, triggers: &[Trigger]) -> io::Result<Box<dyn TriggerWait>> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let armed = triggers.iter().map(|trigger| Armed::new(trigger.clone(), &self.0)).collect();
        let (roots, bell) = (self.0.clone(), Arc::new(Bell(bell)));
        Ok(Box::new(MachineWait { roots, bell, armed, news: false, goes_on: false }))
    }
}

/// Rings when a wait is to end.
#[derive(Debug)]
struct Bell(OwnedFd);

impl Interrupt for Bell {
    fn interrupt(&self) {
        // It can only fail when it has rung as often as it can count.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

/// A trigger and its watch.
#[derive(Debug)]
struct Armed {
    trigger: Trigger,
    watch: Result<Box<dyn Watch>, Fault>,
}

/// Why a trigger cannot be watched.
#[derive(Debug)]
struct Fault {
    reason: String,
    /// When it is tried again; `None` before the first wait.
    again: Option<Duration>,
}

impl Armed {
    fn new(trigger: Trigger, roots: &Roots) -> Self {
        let watch = arm(&trigger, roots, true).map_err(|reason| Fault { reason, again: None });
        Self { trigger, watch }
    }

    /// Keeps what a watch answered: the evidence if it fired.
    fn take(&mut self, answer: Result<Option<String>, String>, now: Duration) -> Answer {
        match answer {
            Ok(None) => Answer::Nothing,
            Ok(Some(evidence)) => Answer::Fired(evidence),
            Err(reason) => {
                self.watch = Err(Fault { reason, again: Some(now.saturating_add(TRY_EACH)) });
                Answer::Changed
            }
        }
    }

    /// Begins a wait.
    fn begin(&mut self, now: Duration) -> Answer {
        let answer = self.watch.as_mut().map_or(Ok(None), |watch| watch.begin());
        self.take(answer, now)
    }

    /// Reads what happened.
    fn read(&mut self, now: Duration) -> Answer {
        let answer = self.watch.as_mut().map_or(Ok(None), |watch| watch.read());
        self.take(answer, now)
    }

    /// Tries again what could not be watched, if it is time.
    fn try_again(&mut self, roots: &Roots, now: Duration) -> Answer {
        let Err(fault) = &mut self.watch else { return Answer::Nothing };
        let again = *fault.again.get_or_insert(now.saturating_add(TRY_EACH));
        if now < again {
            return Answer::Nothing;
        }
        match arm(&self.trigger, roots, false) {
            Ok(watch) => {
                self.watch = Ok(watch);
                // What it missed counts: a threshold that was crossed meanwhile has fired.
                match self.begin(now) {
                    Answer::Fired(evidence) => Answer::Fired(evidence),
                    Answer::Nothing | Answer::Changed => Answer::Changed,
                }
            }
            Err(reason) => {
                let is_other = reason != fault.reason;
                *fault = Fault { reason, again: Some(now.saturating_add(TRY_EACH)) };
                if is_other { Answer::Changed } else { Answer::Nothing }
            }
        }
    }

    /// Whether it has to be read each second.
    fn is_read(&self) -> bool {
        self.watch.as_ref().is_ok_and(|watch| watch.descriptor().is_none())
    }
}

/// What came of a trigger.
enum Answer {
    Nothing,
    Fired(String),
    Changed,
}

/// Arms one; with `afresh`, a threshold that is crossed already has not fired.
fn arm(trigger: &Trigger, roots: &Roots, afresh: bool) -> Result<Box<dyn Watch>, String> {
    Ok(match trigger {
        Trigger::Pressure { stalled, stall, window, group } => {
            Box::new(PressureWatch::arm(roots, group.as_ref(), *stalled, (*stall, *window))?)
        }
        Trigger::Usage { group, bytes } => Box::new(UsageWatch::arm(&roots.sys, group, *bytes, afresh)?),
        Trigger::High { group } => Box::new(HighWatch::arm(&roots.sys, group)?),
        Trigger::Free { below_percent } => Box::new(FreeWatch::arm(roots, *below_percent, afresh)?),
    })
}

/// Waits on a task's triggers.
#[derive(Debug)]
struct MachineWait {
    roots: Roots,
    bell: Arc<Bell>,
    armed: Vec<Armed>,
    /// A trigger came or went together with one that fired.
    news: bool,
    /// The last call ended with news, so that the next one goes on with the same wait.
    goes_on: bool,
}

impl MachineWait {
    /// Asks all that `due` names; the first that fired ends the wait.
    fn ask(
        &mut self,
        due: impl Fn(usize, &Armed) -> bool,
        ask: impl Fn(&mut Armed) -> Answer,
    ) -> Option<Woken> {
        let mut fired = None;
        for (place, armed) in self.armed.iter_mut().enumerate() {
            if !due(place, armed) {
                continue;
            }
            match ask(armed) {
                Answer::Nothing => {}
                Answer::Changed => self.news = true,
                Answer::Fired(evidence) => {
                    fired.get_or_insert(Woken::Fired(Fired { place, evidence }));
                }
            }
        }
        fired.or_else(|| std::mem::take(&mut self.news).then_some(Woken::Changed))
    }

    /// Waits for `limit` at most: which triggers have an event. `None` when the bell rang.
    fn poll(&self, limit: Duration) -> Option<Vec<bool>> {
        let mut places = Vec::new();
        let mut files = vec![PollFd::new(&self.bell.0, PollFlags::IN)];
        for (place, armed) in self.armed.iter().enumerate() {
            if let Some((file, events)) = armed.watch.as_ref().ok().and_then(|watch| watch.descriptor()) {
                places.push(place);
                files.push(PollFd::from_borrowed_fd(file, events));
            }
        }
        // A longer wait than it can count ends early, and begins again.
        let limit = Timespec::try_from(limit.min(LONGEST)).unwrap_or_default();
        // What ends it early (EINTR) shows no event, and the wait goes on.
        let answered = poll(&mut files, Some(&limit)).is_ok();
        let mut rang = vec![false; self.armed.len()];
        if !answered {
            return Some(rang);
        }
        for (place, file) in places.into_iter().zip(&files[1..]) {
            rang[place] = !file.revents().is_empty();
        }
        files[0].revents().is_empty().then_some(rang)
    }
}

/// The longest single call of poll(2).
const LONGEST: Duration = Duration::from_secs(86_400);

impl MachineWait {
    fn wait_until(&mut self, until: Duration, pacer: &dyn Pacer) -> Woken {
        let begun = pacer.now();
        if !self.goes_on
            && let Some(woken) = self.ask(|_, _| true, |armed| armed.begin(begun))
        {
            return woken;
        }
        let mut read_next = begun.saturating_add(READ_EACH);
        loop {
            let (now, roots) = (pacer.now(), self.roots.clone());
            if let Some(woken) = self.ask(|_, _| true, |armed| armed.try_again(&roots, now)) {
                return woken;
            }
            if pacer.pace() == Pace::Stop {
                return Woken::Stop;
            }
            if now >= until {
                return Woken::Timer;
            }
            let is_read = self.armed.iter().any(Armed::is_read);
            let tries = self.armed.iter().filter_map(|armed| armed.watch.as_ref().err()?.again);
            let next = tries.chain(is_read.then_some(read_next)).chain([until]).min().unwrap_or(until);
            let Some(rang) = self.poll(next.saturating_sub(now)) else { return Woken::Stop };
            let now = pacer.now();
            let read = now >= read_next;
            if read {
                read_next = now.saturating_add(READ_EACH);
            }
            let due = |place: usize, armed: &Armed| rang[place] || (read && armed.is_read());
            if let Some(woken) = self.ask(due, |armed| armed.read(now)) {
                return woken;
            }
        }
    }
}

impl TriggerWait for MachineWait {
    fn wait(&mut self, limit: Duration, pacer: &dyn Pacer) -> Woken {
        let woken = self.wait_until(pacer.now().saturating_add(limit), pacer);
        self.goes_on = woken == Woken::Changed;
        woken
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        Arc::clone(&self.bell) as Arc<dyn Interrupt>
    }

    fn faults(&self) -> Vec<Option<String>> {
        self.armed.iter().map(|armed| armed.watch.as_ref().err().map(|fault| fault.reason.clone())).collect()
    }
}

#[cfg(test)]
mod tests;
