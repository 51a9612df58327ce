//! Looks at what is in use: the kernel is asked for one from time to time, so that a round knows what was idle before it asks for it.
//!
//! Left alone, the kernel looks when it has nothing idle left to take, in the middle of a request; and what it then takes was idle for
//! no longer than from that look to the next, which is milliseconds.

use etmem_core::kernel::Kernel;
use etmem_core::kernel::groups::Group;
use etmem_core::kernel::pacer::Pacer;
use std::collections::HashMap;
use std::time::Duration;

/// The least time from one look to the next, and so for which memory was idle that leaves.
pub(super) const EVERY: Duration = Duration::from_secs(30);

/// Of the time, looks take at most a hundredth.
const PART: u32 = 100;

/// What is known of a group by looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Looked {
    /// The kernel cannot be asked to look.
    #[default]
    Unable,
    /// Not often enough yet.
    Waits,
    /// What is inactive by its lists was idle for as long as from one look to the next.
    Knows,
}

/// The looks at the groups of a task.
#[derive(Debug, Default)]
pub(super) struct Looks {
    next: Duration,
    able: bool,
    /// How often each group was looked at; those that could not be: 0.
    of: HashMap<Group, u32>,
}

impl Looks {
    /// Has the kernel look at `groups` if it is time.
    pub(super) fn round(&mut self, groups: &[Group], swaps: bool, kernel: &Kernel, pacer: &dyn Pacer) {
        self.of.retain(|group, _| groups.contains(group));
        if pacer.now() < self.next || groups.is_empty() {
            return;
        }
        let used = pacer.processor_time();
        let looked = kernel.groups.look(groups, swaps);
        let took = pacer.processor_time().saturating_sub(used);
        self.next = pacer.now() + EVERY.max(took.saturating_mul(PART));
        self.able = !looked.is_empty();
        for group in groups {
            let times = self.of.entry(group.clone()).or_default();
            *times = if looked.contains(group) { times.saturating_add(1) } else { 0 };
        }
    }

    /// Whether it has been tried, and the kernel could not be asked to look at any group.
    pub(super) fn are_impossible(&self) -> bool {
        !self.able && !self.of.is_empty()
    }

    /// What is known of `group`.
    pub(super) fn of(&self, group: &Group) -> Looked {
        match self.of.get(group) {
            Some(2..) => Looked::Knows,
            Some(1) => Looked::Waits,
            // A group that is new since the last look.
            None if self.able => Looked::Waits,
            Some(0) | None => Looked::Unable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_testkit::fake::{FakeGroup, FakeMachine, FakePacer};

    #[test]
    fn a_group_is_known_after_its_second_look() {
        let machine = FakeMachine::new(FakeMachine::roomy(), Vec::new());
        let able = FakeGroup { looks: Some(0), ..FakeGroup::new("a", 1, 0, 4096) };
        let (unable, new) = (FakeGroup::new("b", 2, 0, 4096), FakeGroup { ..able.clone() });
        let [a, b] = [&able, &unable].map(|group| group.group.clone());
        let c = Group { path: "c".into(), id: 3 };
        machine.make_group(able);
        machine.make_group(unable);
        let (kernel, pacer) = (machine.kernel(), FakePacer::endless());
        let (mut looks, mut seen) = (Looks::default(), Vec::new());
        let mut groups = vec![a.clone(), b.clone()];
        for round in 0..7 {
            if round == 1 {
                machine.make_group(FakeGroup { group: c.clone(), ..new.clone() });
                groups.push(c.clone());
            }
            looks.round(&groups, true, &kernel, &pacer);
            seen.push([&a, &b, &c].map(|group| looks.of(group)));
            let _ = pacer.pause(EVERY / 2);
        }
        let (unable, waits, knows) = (Looked::Unable, Looked::Waits, Looked::Knows);
        assert_eq!(seen[..2], [[waits, unable, waits]; 2]);
        assert_eq!(seen[2..4], [[knows, unable, waits]; 2]);
        assert_eq!(seen[4..], [[knows, unable, knows]; 3]);
        assert_eq!(machine.group_at("a").unwrap().looks, Some(4));
    }
}
