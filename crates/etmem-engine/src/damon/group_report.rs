//! What is said of a control group whose memory the kernel moves between NUMA nodes.

use super::group_monitor::SeenGroup;
use super::report::figures_of;
use crate::figures::{Figures, MOVED_DOWN, MOVED_UP, SCANNED};
use crate::reason::{Reason, ReasonName};
use crate::report::{Event, GroupReport, GroupResult, Level, Line, mib};
use etmem_core::kernel::groups::{Group, GroupError};
use etmem_core::kernel::monitoring::Action;

/// The report of `group`, which has these bytes in memory and of which this was `seen` in a cycle; the action is `held` for a reason, or
/// not.
pub(super) fn report(
    group: &Group,
    action: Action,
    memory: u64,
    seen: SeenGroup,
    held: Option<&Reason>,
) -> GroupReport {
    let SeenGroup { elsewhere, watched, left_out, done } = seen;
    if let (0, 0, Some(task)) = (watched, left_out, &elsewhere) {
        let reason = Reason::elsewhere(task);
        return of(group, GroupResult::Held, reason.text.clone(), Some(reason), Figures::default());
    }
    if watched + left_out == 0 {
        let text = "the kernel learns of it in the next cycle".to_owned();
        return of(group, GroupResult::Held, text, None, Figures::default());
    }
    let lacking = (left_out > 0).then(|| {
        let all = watched + left_out;
        Reason::new(
            ReasonName::KernelRefused,
            format!(
                "the kernel watches {watched} of its {all} groups: etmem has no more monitors of DAMON; name fewer groups, or those above \
                 them that programs are in"
            ),
        )
    });
    let mut figures = figures_of(done);
    figures.add(&SCANNED, memory);
    figures.add(if action == Action::MigrateHot { &MOVED_UP } else { &MOVED_DOWN }, done.applied);
    let mut text = format!(
        "the kernel watches it, action {action}; {} MiB in memory, {} MiB moved",
        mib(memory),
        mib(done.applied)
    );
    let reason = held.cloned().or(lacking);
    if let Some(reason) = &reason {
        let what = if held.is_some() { "the action is paused: " } else { "" };
        text = format!("{text}; {what}{}", reason.text);
    }
    let result = if watched > 0 { GroupResult::Watched } else { GroupResult::Held };
    let mut report = of(group, result, text, reason, figures);
    if held.is_none() && report.reason.is_none() {
        // Once for each group: what changes in each cycle is for `task show`.
        let line = Line::new(format!("the kernel watches it, action {action}"));
        report.events = vec![Event::once(Level::Info, "watched", line)];
    }
    report
}

/// The report of `group`, which cannot be looked at.
pub(super) fn lost(group: &Group, error: &GroupError) -> GroupReport {
    of(group, GroupResult::Lost, error.to_string(), Some(error.into()), Figures::default())
}

fn of(
    group: &Group,
    result: GroupResult,
    text: String,
    reason: Option<Reason>,
    figures: Figures,
) -> GroupReport {
    let text = Line::new(text);
    let key = reason.as_ref().map_or_else(String::new, |reason| reason.name.word().to_owned());
    let level = if result == GroupResult::Lost { Level::Warn } else { Level::Info };
    let event = Event { repeated: Some(Level::Debug), ..Event::once(level, key, text.clone()) };
    GroupReport { group: group.clone(), result, text, reason, figures, events: vec![event] }
}
