//! The kernel of the scripted machine, which watches and acts itself.

use super::machine::FakeMachine;
use super::monitoring::FakeMonitoring;
use etmem_core::kernel::monitoring::{Attributes, Done, Monitor, Monitoring, Region, Scheme, Watching};
use etmem_core::kernel::process::{ProcessError, ProcessId};

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
