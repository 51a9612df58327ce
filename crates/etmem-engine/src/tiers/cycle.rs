//! A cycle of one device: what is too much is written to the disk behind it, the longest untouched first, and then what is old enough.
//!
//! ```text
//! how full -> the oldest slots -> what the budget leaves of them -> [batch, rest] ... -> how full -> ...
//! ```

use super::budget::DayBudget;
use super::report::{Done, End};
use super::settings::Settings;
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::sinking::{CompressedDevice, SinkRefusal, Sinking};
use etmem_core::throttle::Throttle;
use std::time::Duration;

/// Most slots that are chosen at once: 4 GiB, as the kernel takes seconds to list those of a large device. What is touched after they were
/// chosen has left its slot, as a rule; if the slot has another page by then, that is written, and read back.
const CHOSEN: u64 = 1 << 20;

/// What all devices of a task share.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) budget: &'a mut DayBudget,
    pub(super) throttle: &'a mut Throttle,
}

/// A cycle of a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeviceCycle<'a> {
    pub(super) settings: &'a Settings,
    pub(super) sinking: &'a dyn Sinking,
    pub(super) pacer: &'a dyn Pacer,
    /// When it ends, whatever is left.
    pub(super) until: Duration,
}

impl DeviceCycle<'_> {
    /// The cycle of `device`.
    pub(super) fn run(&self, device: CompressedDevice, shared: &mut Shared<'_>) -> Done {
        let mut done = Done::of(device);
        done.end = self.work(&mut done, shared).unwrap_or_else(|end| end);
        // One that ended early has written as well.
        if done.sunk > 0
            && let Ok(device) = self.again(&done.device.name)
        {
            done.device = device;
        }
        let now = self.pacer.now();
        done.budget_left = self.settings.per_day.map(|per_day| shared.budget.left(per_day, now));
        done
    }

    /// Until there is nothing more to do; `Err`: it ends before.
    fn work(&self, done: &mut Done, shared: &mut Shared<'_>) -> Result<End, End> {
        done.device.can_sink.clone().map_err(End::Refused)?;
        let Settings { after, high, low, .. } = *self.settings;
        let mut is_draining = false;
        loop {
            let above = done.device.pages_above(low);
            is_draining = above > 0 && (is_draining || done.device.percent_full() >= high);
            let (age, most) = match after {
                _ if is_draining => (Duration::ZERO, above.min(CHOSEN)),
                Some(after) => (after, CHOSEN),
                None => return Ok(End::Done),
            };
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let old = self.sinking.oldest(&done.device.name, age, most).map_err(End::Refused)?;
            let Some(count) = Some(old.slots.len()).filter(|count| *count > 0) else { return Ok(End::Done) };
            done.oldest = done.oldest.max(old.oldest);
            if self.settings.dry_run {
                let would = if is_draining { above.min(old.old_enough) } else { old.old_enough };
                done.would = would * PAGE_SIZE;
                return Ok(End::DryRun);
            }
            let written = self.sink(&old.slots, done, shared)?;
            done.device = self.again(&done.device.name)?;
            // What is left of these has no page to be written.
            if written == 0 || !is_draining && count < most {
                return Ok(End::Done);
            }
        }
    }

    /// Writes `slots` in batches, as far as the budget goes: how many pages.
    fn sink(&self, slots: &[u32], done: &mut Done, shared: &mut Shared<'_>) -> Result<u64, End> {
        let now = self.pacer.now();
        let left =
            self.settings.per_day.map_or(u64::MAX, |per_day| shared.budget.left(per_day, now) / PAGE_SIZE);
        if left == 0 {
            return Err(End::Budget { more_in: shared.budget.until_more(now) });
        }
        let allowed = slots.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut pass = self.sinking.begin(&done.device.name, allowed as u64).map_err(End::Refused)?;
        let (mut rest, mut pages) = (&slots[..allowed], 0);
        while !rest.is_empty() {
            if self.pacer.pause(shared.throttle.wait(self.pacer.now())) == Pace::Stop {
                return Err(End::Stopped);
            }
            if self.pacer.now() >= self.until {
                return Err(End::Later);
            }
            let batch =
                usize::try_from(shared.throttle.batch_bytes() / PAGE_SIZE).unwrap_or(1).clamp(1, rest.len());
            let (now_due, later) = rest.split_at(batch);
            let (start, processor) = (self.pacer.now(), self.pacer.processor_time());
            let sunk = pass.sink(now_due);
            let (now, used) = (self.pacer.now(), self.pacer.processor_time().saturating_sub(processor));
            let bytes = sunk.written * PAGE_SIZE;
            shared.throttle.moved(start, now, used, bytes);
            shared.budget.take(bytes, now);
            done.sunk += bytes;
            done.vanished += sunk.vanished;
            pages += sunk.written;
            if let Some(refusal) = sunk.ended {
                return Err(End::Refused(refusal));
            }
            rest = later;
        }
        if allowed < slots.len() {
            let now = self.pacer.now();
            return Err(End::Budget { more_in: shared.budget.until_more(now) });
        }
        Ok(pages)
    }

    /// The device as it is now.
    fn again(&self, name: &str) -> Result<CompressedDevice, End> {
        let devices = self.sinking.devices().unwrap_or_default();
        devices.into_iter().find(|device| *device.name == *name).ok_or(End::Refused(SinkRefusal::Gone))
    }
}
