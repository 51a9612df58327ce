//! The tasks of an engine that share a monitor, in the order in which they came: the first one leads, and what several of them name
//! belongs to the first of these.

use std::collections::BTreeMap;

/// The tasks, each with what it names.
#[derive(Debug)]
pub(super) struct Members<T> {
    next: u64,
    members: BTreeMap<u64, Member<T>>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { next: 0, members: BTreeMap::new() }
    }
}

#[derive(Debug)]
struct Member<T> {
    task: String,
    names: Vec<T>,
}

impl<T: Ord + Clone> Members<T> {
    /// Takes in `task`, which names nothing yet. Returns its number.
    pub(super) fn join(&mut self, task: &str) -> u64 {
        let number = self.next;
        self.next += 1;
        self.members.insert(number, Member { task: task.to_owned(), names: Vec::new() });
        number
    }

    /// From now on, task `number` names these.
    pub(super) fn set(&mut self, number: u64, names: Vec<T>) {
        if let Some(member) = self.members.get_mut(&number) {
            member.names = names;
        }
    }

    /// Task `number` goes. Returns whether it was the last.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        self.members.remove(&number);
        self.members.is_empty()
    }

    /// Whether task `number` came first.
    pub(super) fn leads(&self, number: u64) -> bool {
        self.members.keys().next() == Some(&number)
    }

    /// All that any of them names, each once, in ascending order.
    pub(super) fn all(&self) -> Vec<T> {
        let mut all: Vec<T> = self.members.values().flat_map(|member| &member.names).cloned().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The task that came before `number` and names `one`, too.
    pub(super) fn before(&self, number: u64, one: &T) -> Option<&str> {
        let mut before = self.members.range(..number);
        before.find(|(_, member)| member.names.contains(one)).map(|(_, member)| &*member.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_leads_and_has_what_others_name_too() {
        let mut members = Members::default();
        let [one, two] = ["one", "two"].map(|task| members.join(task));
        members.set(one, vec![7, 3]);
        members.set(two, vec![3, 5]);
        assert_eq!(members.all(), [3, 5, 7]);
        assert_eq!((members.leads(one), members.leads(two)), (true, false));
        assert_eq!((members.before(two, &3), members.before(two, &5)), (Some("one"), None));
        assert_eq!(members.before(one, &3), None);
        assert!(!members.leave(one));
        assert_eq!((members.leads(two), members.before(two, &3)), (true, None));
        assert!(members.leave(two));
        assert!(members.join("three") > two, "numbers are not given again");
    }
}
