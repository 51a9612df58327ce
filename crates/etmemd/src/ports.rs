//! The ports of a running task, chosen again when openEuler's modules are loaded or unloaded.
//!
//! With `auto`, a task goes on by another probe and mover when a module goes, and takes the module when it is back. What a
//! task names is never replaced: it waits for its module, and its cycles say that it is not there.

use crate::cleanup_records::CleanupRecord;
use crate::machine::Machine;
use etmem_core::kernel::cooperation::Cooperation;
use etmem_core::kernel::wishes::{Choice, Chosen, Modules, Wishes};
use etmem_engine::TaskRunner;
use std::sync::Arc;

/// What a task sees and moves by, and how that is chosen.
#[derive(Debug)]
pub(crate) struct Ports {
    machine: Arc<dyn Machine>,
    modules: Modules,
    pub(crate) chosen: Chosen,
    /// What the next daemon takes back if this one is killed.
    records: Vec<CleanupRecord>,
}

impl Ports {
    /// Chooses the ports of `work`.
    ///
    /// # Errors
    /// What the machine lacks, or why what the task sets cannot be written down.
    pub(crate) fn choose(machine: &Arc<dyn Machine>, work: &mut dyn TaskRunner) -> Result<Self, String> {
        let modules = machine.modules();
        let guest = work.target().is_some_and(|target| machine.runs_guests(target));
        let chosen = machine.kernel(&Wishes { guest, ..work.wishes() })?;
        Ok(Self { machine: Arc::clone(machine), modules, chosen, records: Vec::new() })
    }

    /// Writes down what `work` sets in the kernel.
    ///
    /// # Errors
    /// Why that cannot be written.
    pub(crate) fn record(&mut self, work: &dyn TaskRunner) -> Result<(), String> {
        let swap_cache = work.sets_in_kernel(&self.chosen.kernel);
        let records = self.machine.cleanup_records(&self.chosen, swap_cache);
        // Those of the ports before stay until the task ends.
        self.records.extend(records.map_err(|error| format!("cannot write down what it sets: {error}"))?);
        Ok(())
    }

    /// Lets the programs of the task called `name` be asked, if `work` asks any.
    ///
    /// # Errors
    /// Why no program can listen.
    pub(crate) fn listen(&mut self, work: &dyn TaskRunner, name: &str) -> Result<(), String> {
        if work.asks() {
            let (cooperation, records) = self.machine.cooperation(name)?;
            self.chosen.kernel.cooperation = Some(cooperation);
            self.records.extend(records);
        }
        Ok(())
    }

    /// How the programs of the task are asked, if they are.
    pub(crate) fn cooperation(&self) -> Option<Arc<dyn Cooperation>> {
        self.chosen.kernel.cooperation.clone()
    }

    /// Chooses again if modules have come or gone. Returns the choices if they are others than before.
    pub(crate) fn renew(&mut self, work: &mut dyn TaskRunner) -> Option<(Choice, Choice)> {
        let modules = std::mem::replace(&mut self.modules, self.machine.modules());
        if modules == self.modules {
            return None;
        }
        let mut renewed = Self::choose(&self.machine, work).ok()?;
        renewed.records = std::mem::take(&mut self.records);
        renewed.chosen.kernel.cooperation = self.chosen.kernel.cooperation.take();
        let names = |chosen: &Chosen| (chosen.probe.name, chosen.mover.name);
        let is_other = names(&renewed.chosen) != names(&self.chosen);
        work.renew(&renewed.chosen.kernel);
        if let Err(reason) = renewed.record(work) {
            tracing::warn!("{reason}");
        }
        *self = renewed;
        is_other.then(|| (self.chosen.probe.clone(), self.chosen.mover.clone()))
    }

    /// Ends the use of the ports. Keeps the records for the next start if something was not `taken_back`.
    pub(crate) fn end(self, taken_back: bool) {
        let Self { chosen, records, .. } = self;
        // What its probe has set goes with it, and only then the records of it.
        drop(chosen);
        if taken_back {
            drop(records);
        } else {
            std::mem::forget(records);
        }
    }
}

#[cfg(test)]
#[path = "../tests/unit/ports.rs"]
mod tests;
