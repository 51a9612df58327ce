//! A control group of a scripted machine.

use etmem_core::kernel::groups::{
    Group, GroupError, GroupMemory, GroupPressure, Reclaimed, Seen, Stall, Swappiness,
};
use std::time::Duration;

/// A control group. Of its anonymous memory a part may be hot: what of that is reclaimed is read back before the next look.
#[derive(Debug, Clone)]
pub struct FakeGroup {
    /// Its path and number.
    pub group: Group,
    /// Its figures.
    pub memory: GroupMemory,
    /// How long its programs wait.
    pub pressure: GroupPressure,
    /// Bytes of its anonymous memory that are touched all the time.
    pub hot: u64,
    /// Whether the kernel takes `swappiness=`.
    pub takes_swappiness: bool,
    /// When the kernel has looked at it, if it can be asked.
    pub looks: Option<Vec<Duration>>,
    /// A look passes over it, as the kernel does where mappings are being changed: all of it seems idle.
    pub passed_over: bool,
    /// What fails.
    pub fault: Option<GroupFault>,
    /// Each request to reclaim.
    pub requests: Vec<(u64, Option<Swappiness>)>,
}

/// What fails of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupFault {
    /// Reading its figures.
    Memory(GroupError),
    /// Reading its pressure.
    Pressure(GroupError),
    /// Reclaiming, once a number of requests has passed.
    Reclaim(usize, GroupError),
    /// The kernel finds nothing to reclaim.
    NothingFound,
}

impl FakeGroup {
    /// A group at `path` with these bytes of files and of anonymous memory, whose programs never wait.
    #[must_use]
    pub fn new(path: &str, id: u64, file: u64, anon: u64) -> Self {
        Self {
            group: Group { path: path.into(), id },
            memory: GroupMemory { current: file + anon, file, anon, ..GroupMemory::default() },
            pressure: GroupPressure { memory: Some(Stall::default()), io: Some(Stall::default()) },
            hot: 0,
            takes_swappiness: true,
            looks: None,
            passed_over: false,
            fault: None,
            requests: Vec::new(),
        }
    }

    /// Reads back what of its hot memory has left.
    pub(super) fn touch(&mut self) {
        let back = self.hot.saturating_sub(self.memory.anon).min(self.memory.swapped);
        self.memory.anon += back;
        self.memory.current += back;
        self.memory.swapped -= back;
        self.memory.counters.refaulted_anon += back;
    }

    /// The kernel looks `now` at which of its memory is in use: after the second time it knows.
    pub(super) fn look(&mut self, now: Duration) -> bool {
        let Some(looks) = &mut self.looks else { return false };
        looks.push(now);
        self.memory.active_anon = match looks.len() {
            1 => self.memory.anon,
            _ if self.passed_over => 0,
            _ => self.hot.min(self.memory.anon),
        };
        true
    }

    /// What its looks say `now`.
    pub(super) fn seen(&self, now: Duration) -> Option<Seen> {
        let looks = self.looks.as_deref()?;
        let idle_for =
            looks.last_chunk().map_or(Duration::ZERO, |[before, last]| last.saturating_sub(*before));
        Some(Seen { idle_for, ago: looks.last().map_or(now, |last| now.saturating_sub(*last)) })
    }

    pub(super) fn reclaim(&mut self, bytes: u64, swappiness: Option<Swappiness>, swap: bool) -> Reclaimed {
        let memory = &mut self.memory;
        let file = memory.file.min(bytes);
        let may_swap = swap && swappiness != Some(Swappiness::FILE_ONLY);
        let anon = if may_swap { memory.anon.min(bytes - file) } else { 0 };
        memory.file -= file;
        memory.anon -= anon;
        memory.swapped += anon;
        memory.current -= file + anon;
        Reclaimed { got: file + anon, no_more: file + anon < bytes }
    }
}
