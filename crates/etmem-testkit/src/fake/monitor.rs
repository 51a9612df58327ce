//! The kernel of the scripted machine, which watches and acts itself.

use super::machine::FakeMachine;
use super::monitoring::FakeMonitoring;
use etmem_core::kernel::groups::Group;
use etmem_core::kernel::monitoring::{
    Action, Attributes, Done, GroupMonitor, Monitor, Monitoring, Region, Scheme, Watching, Way,
};
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

    fn set_up(&self, attributes: &Attributes, scheme: &Scheme) -> Result<(), ProcessError> {
        self.ask(|kernel| {
            kernel.set = Some((attributes.clone(), scheme.clone()));
            kernel.begun += 1;
            kernel.acts = true;
        })
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
        self.set_up(attributes, scheme)?;
        Ok(Box::new(FakeMonitor(self.clone())))
    }

    fn can_migrate(&self, _: Action) -> Result<(), ProcessError> {
        self.ask(|kernel| kernel.cannot_migrate.clone())?.map_or(Ok(()), Err)
    }

    fn begin_for_groups(
        &self,
        attributes: &Attributes,
        scheme: &Scheme,
        ways: &[Way],
    ) -> Result<Box<dyn GroupMonitor>, ProcessError> {
        self.set_up(attributes, scheme)?;
        self.ask(|kernel| kernel.ways = ways.to_vec())?;
        Ok(Box::new(FakeGroupMonitor(self.clone())))
    }
}

#[derive(Debug)]
struct FakeGroupMonitor(FakeMachine);

impl GroupMonitor for FakeGroupMonitor {
    fn watch(&mut self, groups: &[Group]) -> Result<Vec<Group>, ProcessError> {
        self.0.ask(|kernel| {
            kernel.groups = groups.iter().take(kernel.most_groups).cloned().collect();
            kernel.groups.clone()
        })
    }

    fn set_acting(&mut self, acts: bool) -> Result<(), ProcessError> {
        self.0.ask(|kernel| kernel.acts = acts)
    }

    fn done(&mut self) -> Result<Vec<(Group, Done)>, ProcessError> {
        self.0.ask(|kernel| {
            let done = if kernel.acts { kernel.done } else { Done::default() };
            kernel.groups.iter().map(|group| (group.clone(), done)).collect()
        })
    }
}

impl Drop for FakeGroupMonitor {
    fn drop(&mut self) {
        let kernel = &mut self.0.lock().monitoring;
        (kernel.set, kernel.groups, kernel.ways) = (None, Vec::new(), Vec::new());
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
