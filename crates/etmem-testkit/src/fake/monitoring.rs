//! A kernel that watches and acts itself, by script: it counts the same each time that it is asked.

use etmem_core::kernel::groups::Group;
use etmem_core::kernel::monitoring::{Attributes, Done, Region, Scheme, Way};
use etmem_core::kernel::process::{ProcessError, ProcessId};

/// What the kernel was asked to watch, and what it counts.
#[derive(Debug, Clone)]
pub struct FakeMonitoring {
    /// What was set up; none before, and when it was taken back.
    pub set: Option<(Attributes, Scheme)>,
    /// How often something was set up.
    pub begun: usize,
    /// The processes that it watches.
    pub watched: Vec<ProcessId>,
    /// The control groups that it watches, and where what fits goes.
    pub groups: Vec<Group>,
    /// The ways of memory between nodes.
    pub ways: Vec<Way>,
    /// Most groups that it watches.
    pub most_groups: usize,
    /// Why it moves no memory between nodes.
    pub cannot_migrate: Option<ProcessError>,
    /// Whether the scheme acts.
    pub acts: bool,
    /// What the scheme does between two questions, while it acts and watches; of groups, with each.
    pub done: Done,
    /// The regions that fit.
    pub regions: Vec<Region>,
    /// What it answers to everything.
    pub fails: Option<ProcessError>,
}

impl Default for FakeMonitoring {
    fn default() -> Self {
        let done = Done { tried_regions: 3, tried: 3 << 20, applied: 2 << 20, quota_exceeded: 1 };
        Self {
            set: None,
            begun: 0,
            watched: Vec::new(),
            groups: Vec::new(),
            ways: Vec::new(),
            most_groups: usize::MAX,
            cannot_migrate: None,
            acts: false,
            done,
            regions: Vec::new(),
            fails: None,
        }
    }
}
