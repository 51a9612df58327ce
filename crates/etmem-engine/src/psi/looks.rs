//! Looks at what is in use: the kernel is asked for one from time to time, so that a round knows what was idle before it asks for it.
//!
//! Left alone, the kernel looks when it has nothing idle left to take, in the middle of a request; and what it then takes was idle for
//! no longer than from that look to the next, which is milliseconds.

use etmem_core::kernel::Kernel;
use etmem_core::kernel::groups::{Group, Seen};
use etmem_core::kernel::pacer::{Pace, Pacer};
use std::time::Duration;

/// The least time from one look to the next.
pub(super) const EVERY: Duration = Duration::from_secs(30);

/// How long memory must have been idle to leave: as long, less what a look takes.
const IDLE: Duration = Duration::from_secs(25);

/// Of the time, looks take at most a hundredth.
const PART: u32 = 100;

/// What is known of a group by looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// The kernel cannot be asked to look.
    Unable,
    /// What its lists have as inactive may have been used just now.
    Waits,
    /// What they have as inactive was not used `idle_for`, as the look at `look` found.
    Knows { idle_for: Duration, look: Duration },
}

/// The looks at the groups of a task.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// When the last was, the earliest time of the next, and whether anonymous memory was looked at.
    last: Duration,
    next: Duration,
    swaps: bool,
    /// Whether the kernel could be asked the last time; none: it has not been tried.
    able: Option<bool>,
}

impl Looks {
    /// Has the kernel look at those of `groups` for which it is time: what is known of each.
    pub(super) fn round(
        &mut self,
        groups: &[Group],
        swaps: bool,
        kernel: &Kernel,
        pacer: &dyn Pacer,
    ) -> Vec<Looked> {
        let mut now = pacer.now();
        let mut seen = kernel.groups.seen(groups, now);
        // Swap that comes makes memory movable that no look was at.
        let is_new = swaps && !self.swaps && self.able.is_some();
        // A look soon after one that the kernel had itself would show nothing; but it may have its own again and again.
        let is_late = is_new || self.able.is_none() || now >= self.last + EVERY * 2;
        let is_due = |seen: &Option<Seen>| is_late || seen.is_some_and(|seen| seen.ago >= EVERY);
        let due = groups.iter().zip(&seen).filter(|(_, seen)| is_due(seen)).map(|(group, _)| group.clone());
        let due: Vec<Group> = due.collect();
        if !due.is_empty() && (is_new || now >= self.next) {
            let used = pacer.processor_time();
            let looks = if is_new { 2 } else { 1 };
            let asked = (0..looks).fold(false, |_, _| kernel.groups.look(&due, swaps, pacer));
            // A stop may end a look before it has begun, which says nothing of the kernel.
            if pacer.pace() == Pace::Continue {
                self.able = Some(asked);
            }
            let took = pacer.processor_time().saturating_sub(used);
            now = pacer.now();
            (self.last, self.next) = (now, now + took.saturating_mul(PART));
            self.swaps = swaps;
            seen = kernel.groups.seen(groups, now);
        }
        if self.able != Some(true) {
            return vec![Looked::Unable; groups.len()];
        }
        let known = |seen: Option<Seen>| match seen {
            None => Looked::Unable,
            Some(Seen { idle_for, .. }) if idle_for < IDLE => Looked::Waits,
            Some(Seen { idle_for, ago }) => Looked::Knows { idle_for, look: now.saturating_sub(ago) },
        };
        seen.into_iter().map(known).collect()
    }

    /// Whether it has been tried, and the kernel could not be asked.
    pub(super) fn are_impossible(&self) -> bool {
        self.able == Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_testkit::fake::{FakeGroup, FakeMachine, FakePacer};

    #[test]
    fn a_group_is_known_after_its_second_look() {
        let machine = FakeMachine::new(FakeMachine::roomy(), Vec::new());
        let able = FakeGroup { looks: Some(Vec::new()), ..FakeGroup::new("a", 1, 0, 4096) };
        let unable = FakeGroup::new("b", 2, 0, 4096);
        let [a, b] = [&able, &unable].map(|group| group.group.clone());
        let c = Group { path: "c".into(), id: 3 };
        machine.make_group(able.clone());
        machine.make_group(unable);
        let (kernel, pacer) = (machine.kernel(), FakePacer::endless());
        let (mut looks, mut seen) = (Looks::default(), Vec::new());
        let mut groups = vec![a, b];
        for round in 0..7 {
            if round == 1 {
                machine.make_group(FakeGroup { group: c.clone(), ..able.clone() });
                groups.push(c.clone());
            }
            seen.push(looks.round(&groups, true, &kernel, &pacer));
            let _ = pacer.pause(EVERY / 2);
        }
        let (unable, waits) = (Looked::Unable, Looked::Waits);
        let knows = |looks: u32| Looked::Knows { idle_for: EVERY, look: EVERY * looks };
        assert_eq!(seen[..2], [vec![waits, unable], vec![waits, unable, waits]]);
        assert_eq!(seen[2..4], [[knows(1), unable, waits]; 2]);
        assert_eq!(seen[4..6], [[knows(2), unable, knows(2)]; 2]);
        assert_eq!(seen[6], [knows(3), unable, knows(3)]);
        assert_eq!(machine.group_at("a").unwrap().looks.unwrap().len(), 4);
        // Another program has the kernel look as well: what is inactive now was idle for a moment.
        let _ = pacer.pause(Duration::from_secs(1));
        assert!(kernel.groups.look(&groups, true, &pacer));
        assert_eq!(looks.round(&groups, true, &kernel, &pacer)[0], Looked::Waits);
        // All of it counts as in use when swap comes.
        let mut later = Looks::default();
        assert_eq!(later.round(&groups, false, &kernel, &pacer)[0], Looked::Waits);
        let _ = pacer.pause(EVERY - Duration::from_secs(1));
        assert_eq!(later.round(&groups, true, &kernel, &pacer)[0], Looked::Waits);
        assert!(!later.are_impossible());
        let mut none = Looks::default();
        assert_eq!(none.round(&groups[1..2], true, &kernel, &pacer), [Looked::Unable]);
        assert!(none.are_impossible());
    }
}
