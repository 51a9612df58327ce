//! A cycle of a tiers task: each zram device that is swap has its turn. What fails with one concerns no other.

use super::budget::DayBudget;
use super::cycle::{DeviceCycle, Shared};
use super::settings::Settings;
use crate::contract::TaskRunner;
use crate::report::{DeviceReport, StepReport};
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::process::ProcessError;
use etmem_core::kernel::sinking::{CompressedDevice, Sinking};
use etmem_core::kernel::wishes::Wishes;
use etmem_core::throttle::Throttle;
use std::collections::HashMap;
use std::time::Duration;

/// How long a cycle may take, if the time between two is shorter.
const LONGEST: Duration = Duration::from_secs(60);

/// The work of a tiers task.
#[derive(Debug)]
pub(super) struct TiersRunner {
    settings: Settings,
    budget: DayBudget,
    throttle: Throttle,
    /// Pages that had been read back from the disk behind each device, when it was looked at last.
    reads: HashMap<Box<str>, u64>,
    /// Whether the budget is news.
    wrote: bool,
}

impl TiersRunner {
    pub(super) fn new(settings: Settings) -> Self {
        let throttle = Throttle::new(settings.rate, None);
        Self { settings, budget: DayBudget::default(), throttle, reads: HashMap::new(), wrote: false }
    }

    fn cycles(
        &mut self,
        found: Vec<CompressedDevice>,
        sinking: &dyn Sinking,
        pacer: &dyn Pacer,
    ) -> Vec<DeviceReport> {
        let until = pacer.now() + LONGEST.max(self.settings.sleep);
        let mut reports = Vec::with_capacity(found.len());
        self.reads.retain(|name, _| found.iter().any(|device| device.name == *name));
        for device in found {
            if pacer.pace() == Pace::Stop {
                break;
            }
            let name = device.name.clone();
            let mut shared = Shared { budget: &mut self.budget, throttle: &mut self.throttle };
            let cycle = DeviceCycle { settings: &self.settings, sinking, pacer, until };
            let mut done = cycle.run(device, &mut shared);
            let before = self.reads.insert(name, done.device.disk_reads);
            // Fewer: the device was set up again.
            let read = before.map_or(0, |before| done.device.disk_reads.saturating_sub(before));
            done.read_back = read * PAGE_SIZE;
            self.wrote |= done.sunk > 0;
            reports.push(done.report());
        }
        reports
    }
}

impl TaskRunner for TiersRunner {
    fn wishes(&self) -> Wishes {
        Wishes { sinking: true, ..Wishes::default() }
    }

    fn notes(&self, kernel: &Kernel) -> Vec<String> {
        let task = &self.settings.task;
        let mut notes = Vec::new();
        if self.settings.dry_run {
            notes.push(format!("task {task}: dry_run=yes: it looks and chooses, and writes nothing"));
        }
        match kernel.sinking.as_ref().map(|sinking| sinking.devices()) {
            Some(Ok(devices)) if devices.is_empty() => {
                notes.push(format!("task {task}: no zram device is swap yet; waiting for one"));
            }
            Some(Ok(devices)) => {
                let lacking =
                    devices.into_iter().filter_map(|device| Some((device.name, device.can_sink.err()?)));
                notes.extend(lacking.map(|(name, why_not)| format!("task {task}: {name}: {why_not}")));
            }
            Some(Err(error)) => notes.push(format!("task {task}: {error}")),
            None => {}
        }
        notes
    }

    fn step(&mut self, kernel: &Kernel, pacer: &dyn Pacer) -> StepReport {
        let before = pacer.processor_time();
        let missing =
            || ProcessError::refused("writing compressed swap to a disk", "this machine has no way to");
        let found = kernel.sinking.as_ref().ok_or_else(missing);
        let mut report = match found.and_then(|sinking| Ok((sinking, sinking.devices()?))) {
            Ok((sinking, devices)) => {
                let count = devices.len();
                let reports = self.cycles(devices, &**sinking, pacer);
                StepReport {
                    stopped: reports.is_empty() && count > 0,
                    devices: Some(reports),
                    ..StepReport::default()
                }
            }
            Err(error) => {
                StepReport { fault: Some(error), devices: Some(Vec::new()), ..StepReport::default() }
            }
        };
        report.processor_time = pacer.processor_time().saturating_sub(before);
        report
    }

    fn remembered(&mut self, _: &Kernel, always: bool) -> Option<Vec<u8>> {
        let is_news = std::mem::take(&mut self.wrote) || always;
        is_news.then(|| postcard::to_allocvec(&self.budget).ok()).flatten()
    }

    fn recall(&mut self, remembered: &[u8], _: Duration, _: &Kernel) -> Result<(), String> {
        self.budget =
            postcard::from_bytes(remembered).map_err(|error| format!("it cannot be read: {error}"))?;
        Ok(())
    }

    fn period(&self) -> Duration {
        self.settings.sleep
    }
}
