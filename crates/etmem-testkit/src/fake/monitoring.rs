//! A kernel that watches and acts itself, by script: it counts the same each time that it is asked.

use super::machine::FakeMachine;
use etmem_core::kernel::monitoring::{Attributes, Done, Monitor, Monitoring, Region, Scheme, Watching};
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
    /// Whether the scheme acts.
    pub acts: bool,
    /// What the scheme does between two questions, while it acts and watches.
    pub done: Done,
    /// The regions that fit.
    pub regions: Vec<Region>,
    /// What it answers to everything.
    pub fails: Option<ProcessError>,
}

impl Default for FakeMonitoring {
    fn default() -> Self {
        let done = Done { tried_regions: 3, tried: 3 << 20, applied: 2 << 20, quota_exceeded: 1 };
        Self { set: None, begun: 0, watched: Vec::new(), acts: false, done, regions: Vec::new(), fails: None }
    }
}

impl FakeMachine {
    /// What its kernel was asked to watch.
    #[must_use]
    pub fn monitoring(&self) -> FakeMonitoring {
        self.lock().monitoring.clone()
    }

    /// Changes what its kernel counts and answers.
    pub fn change_monitoring(&self, change: impl FnOnce(&mut FakeMonitoring)) {
        change(&mut self.lock().monitoring);
    }

    fn ask<T>(&self, ask: impl FnOnce(&mut FakeMonitoring) -> T) -> Result<T, ProcessError> {
        let monitoring = &mut self.lock().monitoring;
        match &monitoring.fails {
            Some(error) => Err(error.clone()),
            None => Ok(ask(monitoring)),
        }
    }
}

impl Monitoring for FakeMachine {
    fn begin(&self, attributes: &Attributes, scheme: &Scheme) -> Result<Box<dyn Monitor>, ProcessError> {
        self.ask(|kernel| {
            kernel.set = Some((attributes.clone(), scheme.clone()));
            kernel.begun += 1;
            kernel.acts = true;
        })?;
        Ok(Box::new(FakeMonitor(self.clone())))
    }
}

#[derive(Debug)]
struct FakeMonitor(FakeMachine);

impl Monitor for FakeMonitor {
    fn watch(&mut self, processes: &[ProcessId]) -> Result<Watching, ProcessError> {
        self.0.ask(|kernel| {
            let before = std::mem::replace(&mut kernel.watched, processes.to_vec());
            match &kernel.watched {
                now if now.is_empty() => Watching::Nothing,
                now if *now == before => Watching::AsBefore,
                now if !before.is_empty() && before.iter().all(|one| now.contains(one)) => Watching::Added,
                _ => Watching::Begun,
            }
        })
    }

    fn set_acting(&mut self, acts: bool) -> Result<(), ProcessError> {
        self.0.ask(|kernel| kernel.acts = acts)
    }

    fn done(&mut self) -> Result<Done, ProcessError> {
        self.0.ask(
            |kernel| {
                if kernel.acts && !kernel.watched.is_empty() { kernel.done } else { Done::default() }
            },
        )
    }

    fn regions(&mut self) -> Result<Vec<Region>, ProcessError> {
        self.0.ask(|kernel| kernel.regions.clone())
    }
}

impl Drop for FakeMonitor {
    fn drop(&mut self) {
        let kernel = &mut self.0.lock().monitoring;
        (kernel.set, kernel.watched) = (None, Vec::new());
    }
}
