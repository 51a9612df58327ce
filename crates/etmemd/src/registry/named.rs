//! Things with names, each name once, in the order in which they came.
//!
//! A file may list a hundred thousand tasks, and every client waits while it is added: so a lookup, and a removal, does
//! not go through the others.

use etmem_core::name::Name;
use std::collections::{BTreeMap, HashMap};

/// Things with names, in the order in which they came.
#[derive(Debug)]
pub(super) struct Named<T> {
    places: HashMap<Name, u64>,
    things: BTreeMap<u64, T>,
    next: u64,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { places: HashMap::new(), things: BTreeMap::new(), next: 0 }
    }
}

impl<T> Named<T> {
    pub(super) fn get(&self, name: &Name) -> Option<&T> {
        self.things.get(self.places.get(name)?)
    }

    pub(super) fn get_mut(&mut self, name: &Name) -> Option<&mut T> {
        self.things.get_mut(self.places.get(name)?)
    }

    pub(super) fn contains(&self, name: &Name) -> bool {
        self.places.contains_key(name)
    }

    /// Puts `thing` after all others. What had the name before is removed.
    pub(super) fn push(&mut self, name: Name, thing: T) {
        self.remove(&name);
        self.places.insert(name, self.next);
        self.things.insert(self.next, thing);
        self.next += 1;
    }

    pub(super) fn remove(&mut self, name: &Name) -> Option<T> {
        self.things.remove(&self.places.remove(name)?)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// From the oldest to the newest.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.things.values()
    }

    /// From the oldest to the newest.
    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.things.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn order_and_names() {
        let mut named = Named::default();
        for (text, thing) in [("b", 1), ("a", 2), ("c", 3)] {
            named.push(name(text), thing);
        }
        assert_eq!(named.iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((named.get(&name("a")), named.get(&name("d"))), (Some(&2), None));
        assert_eq!((named.remove(&name("a")), named.remove(&name("a"))), (Some(2), None));
        assert!(!named.contains(&name("a")) && named.contains(&name("b")));
        *named.get_mut(&name("b")).unwrap() = 9;
        named.push(name("a"), 4);
        assert_eq!(named.iter().rev().copied().collect::<Vec<_>>(), [4, 3, 9]);
        named.push(name("b"), 5);
        assert_eq!(named.iter_mut().map(|thing| *thing).collect::<Vec<_>>(), [3, 4, 5]);
        for text in ["a", "b", "c"] {
            named.remove(&name(text));
        }
        assert!(named.is_empty());
    }
}
