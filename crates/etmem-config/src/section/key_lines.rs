//! Where the keys stand that others than the readers ask about, for messages that point at them.

use super::task;
use crate::keyfile::Group;

/// Keys that engines and the machine have something to say about.
const ASKED: [&str; 3] = [task::VALUE.key, task::T.key, task::SWAP_FLAG.key];

/// Lines of keys, from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KeyLines([Option<usize>; ASKED.len()]);

impl KeyLines {
    /// Those of `groups`: where a key is repeated, the last, whose value counts.
    pub(crate) fn new<'g, 't: 'g>(groups: impl IntoIterator<Item = &'g Group<'t>>) -> Self {
        let mut lines = Self::default();
        for pair in groups.into_iter().flat_map(|group| &group.pairs) {
            if let Some(place) = ASKED.iter().position(|key| *key == pair.key) {
                lines.0[place] = Some(pair.line);
            }
        }
        lines
    }

    /// That of `key`, where it is one of them and written.
    pub(crate) fn of(self, key: &str) -> Option<usize> {
        let place = ASKED.iter().position(|asked| *asked == key)?;
        self.0.get(place).copied().flatten()
    }
}
