//! A round of a psi task: its control groups are looked for, and each has its turn. What fails with one concerns no other.

use super::looks::{Looked, Looks};
use super::report::lost;
use super::round::{GroupRound, Known, Shared};
use super::settings::Settings;
use crate::contract::{TaskRunner, as_fault};
use crate::report::{Event, GroupReport, Level, Line, StepReport};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::groups::{Group, GroupError};
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::wishes::Wishes;
use etmem_core::throttle::Throttle;
use std::collections::HashMap;
use std::time::Duration;

/// Most groups that a note names.
const NAMED: usize = 3;

/// The work of a psi task.
#[derive(Debug)]
pub(super) struct PsiRunner {
    settings: Settings,
    known: HashMap<Group, Known>,
    looks: Looks,
    shared: Shared,
}

impl PsiRunner {
    pub(super) fn new(settings: Settings) -> Self {
        let shared = Shared { throttle: Throttle::new(settings.max_rate, None), takes_swappiness: true };
        Self { settings, known: HashMap::new(), looks: Looks::default(), shared }
    }

    fn rounds(
        &mut self,
        groups: &[Group],
        machine: &MemoryState,
        kernel: &Kernel,
        pacer: &dyn Pacer,
    ) -> Vec<GroupReport> {
        self.known.retain(|group, _| groups.contains(group));
        let looked = if self.settings.dry_run {
            vec![Looked::Unable; groups.len()]
        } else {
            self.looks.round(groups, machine.swap_total > 0, kernel, pacer)
        };
        let mut reports = Vec::with_capacity(groups.len());
        for (group, looked) in groups.iter().zip(looked) {
            if pacer.pace() == Pace::Stop {
                break;
            }
            let known = self.known.entry(group.clone()).or_insert_with(|| Known::new(&self.settings));
            let round = GroupRound { settings: &self.settings, group, looked, machine, kernel, pacer };
            reports.push(match round.run(known, &mut self.shared) {
                Ok(round) => round.report(group),
                Err(error) => lost(group, &error),
            });
        }
        reports
    }

    /// What holds for all groups, once as long as it holds.
    fn events(&self, machine: &MemoryState, groups: &[GroupReport]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut say = |key: &str, text: String| events.push(Event::once(Level::Warn, key, Line::new(text)));
        if machine.swap_total == 0 {
            say("no_swap", "the machine has no swap: only file pages are reclaimed".to_owned());
        }
        if !self.shared.takes_swappiness {
            say("swappiness", format!("{}; it is left out", GroupError::NoSwappiness));
        }
        if self.looks.are_impossible() {
            let text = "the kernel cannot be asked to look at what is in use, so that where little is idle a request may take what was used \
                        just now: /sys/kernel/debug/lru_gen is missing (CONFIG_LRU_GEN, debugfs), is read-only (a unit's sandbox), or \
                        lockdown keeps it; or bits 1 and 2 of /sys/kernel/mm/lru_gen/enabled are not set (echo y > enabled)";
            say("no_looks", text.to_owned());
        }
        let blind = groups.iter().filter(|group| group.figures.get(&super::report::BLIND) > Some(0));
        let blind: Vec<String> = blind.map(|group| group.group.to_string()).collect();
        if !blind.is_empty() {
            say(
                &blind.join(" "),
                format!(
                    "the kernel does not say how long programs of {} wait (CONFIG_PSI, psi=1, cgroup.pressure): reclaim goes by \
                     refaults, and by what else it says",
                    named(&blind)
                ),
            );
        }
        events
    }
}

/// The first of `names`, and how many there are beside them.
fn named(names: &[String]) -> String {
    let first = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more groups"),
    }
}

impl TaskRunner for PsiRunner {
    fn wishes(&self) -> Wishes {
        Wishes { groups: true, ..Wishes::default() }
    }

    fn notes(&self, kernel: &Kernel) -> Vec<String> {
        let Settings { task, groups: pattern, .. } = &self.settings;
        let mut notes = self.settings.notes();
        match kernel.groups.find(pattern) {
            Ok(groups) if groups.is_empty() => {
                notes.push(format!("task {task}: no control group {pattern} yet; waiting for one"));
            }
            Ok(groups) if groups.iter().any(Group::is_root) => {
                notes.push(format!(
                    "task {task}: {pattern} is the root: the memory of all programs is reclaimed"
                ));
            }
            Ok(_) => {}
            Err(error) => notes.push(format!("task {task}: {error}")),
        }
        if kernel.memory.state().is_ok_and(|memory| memory.swap_total == 0) {
            notes.push(format!("task {task}: the machine has no swap: only file pages are reclaimed"));
        }
        notes
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let before = pacer.processor_time();
        let found = kernel.groups.find(&self.settings.groups).map_err(as_fault);
        let mut report = match found.and_then(|groups| Ok((groups, kernel.memory.state()?))) {
            Ok((groups, machine)) => {
                let reports = self.rounds(&groups, &machine, kernel, pacer);
                StepReport {
                    events: self.events(&machine, &reports),
                    stopped: reports.is_empty() && !groups.is_empty(),
                    groups: Some(reports),
                    ..StepReport::default()
                }
            }
            Err(error) => {
                StepReport { fault: Some(error), groups: Some(Vec::new()), ..StepReport::default() }
            }
        };
        report.processor_time = pacer.processor_time().saturating_sub(before);
        report
    }

    fn period(&self) -> Duration {
        self.settings.interval
    }
}
