//! Compressed swap of a scripted machine, with a disk behind it.

use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::ProcessError;
use etmem_core::kernel::sinking::{CompressedDevice, OldSlots, SinkPass, SinkRefusal, Sinking, Sunk};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A zram device: each page compresses to a quarter.
#[derive(Debug, Clone)]
pub struct FakeZram {
    /// Its name.
    pub name: &'static str,
    /// Pages that fit in it.
    pub slots: u64,
    /// The pages that are in it: when each was touched last, and whether it is on the disk.
    pub pages: BTreeMap<u32, (Duration, bool)>,
    /// Bytes of memory that it may take; 0: no limit.
    pub memory_limit: u64,
    /// Pages that were read back from the disk.
    pub disk_reads: u64,
    /// Whether pages can be written.
    pub can_sink: Result<(), SinkRefusal>,
    /// What is answered to the write of a page after that number of writes.
    pub fault: Option<(u64, SinkRefusal)>,
    /// What is answered when it is begun.
    pub refuses: Option<SinkRefusal>,
    /// Slots that are freed between the choice and the write.
    pub freed: Vec<u32>,
    /// It is swap no more once that number of pages was written.
    pub gone_after: Option<u64>,
    /// The pages that were written, in their order, and when.
    pub written: Vec<(Duration, u32)>,
    /// The limits that were set, and whether one is now.
    pub limits: Vec<u64>,
    /// The limit that holds now.
    pub limit: Option<u64>,
}

impl FakeZram {
    /// One of `slots` slots, with `pages` pages that were touched one second after the other from the start of the machine on.
    #[must_use]
    pub fn new(slots: u64, pages: u32) -> Self {
        Self {
            name: "zram0",
            slots,
            pages: (0..pages).map(|slot| (slot, (Duration::from_secs(slot.into()), false))).collect(),
            memory_limit: 0,
            disk_reads: 0,
            can_sink: Ok(()),
            fault: None,
            refuses: None,
            freed: Vec::new(),
            gone_after: None,
            written: Vec::new(),
            limits: Vec::new(),
            limit: None,
        }
    }

    fn state(&self) -> CompressedDevice {
        let on_disk = self.pages.values().filter(|(_, on_disk)| *on_disk).count() as u64;
        let in_memory = self.pages.len() as u64 - on_disk;
        CompressedDevice {
            name: self.name.into(),
            slots: self.slots,
            in_memory,
            on_disk,
            memory: in_memory * PAGE_SIZE / 4,
            memory_limit: self.memory_limit,
            disk_reads: self.disk_reads,
            disk_writes: self.written.len() as u64,
            disk: Some("/dev/vdb".into()),
            can_sink: self.can_sink.clone(),
        }
    }
}

/// The compressed swap of a scripted machine.
#[derive(Debug, Clone)]
pub struct FakeSinking {
    devices: Arc<Mutex<Vec<FakeZram>>>,
    clock: Arc<dyn Pacer>,
    /// Why it cannot be looked for.
    fault: Option<ProcessError>,
}

impl FakeSinking {
    /// `devices`, whose pages age by `clock`.
    #[must_use]
    pub fn new(devices: Vec<FakeZram>, clock: Arc<dyn Pacer>) -> Self {
        Self { devices: Arc::new(Mutex::new(devices)), clock, fault: None }
    }

    /// It cannot be looked for.
    #[must_use]
    pub fn failing(self, fault: ProcessError) -> Self {
        Self { fault: Some(fault), ..self }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<FakeZram>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first device as it is now; `None` if there is none.
    #[must_use]
    pub fn first(&self) -> Option<FakeZram> {
        self.lock().first().cloned()
    }

    /// Changes the first device.
    pub fn change(&self, change: impl FnOnce(&mut FakeZram)) {
        if let Some(device) = self.lock().first_mut() {
            change(device);
        }
    }

    fn with<T>(
        &self,
        name: &str,
        of: impl FnOnce(&mut FakeZram) -> Result<T, SinkRefusal>,
    ) -> Result<T, SinkRefusal> {
        let mut devices = self.lock();
        of(devices.iter_mut().find(|device| device.name == name).ok_or(SinkRefusal::Gone)?)
    }
}

impl Sinking for FakeSinking {
    fn devices(&self) -> Result<Vec<CompressedDevice>, ProcessError> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(self.lock().iter().map(FakeZram::state).collect()),
        }
    }

    fn oldest(&self, device: &str, age: Duration, most: usize) -> Result<OldSlots, SinkRefusal> {
        let now = self.clock.now();
        self.with(device, |device| {
            let old = device.pages.iter().filter(|(_, (touched, on_disk))| !on_disk && *touched + age <= now);
            let mut old: Vec<(Duration, u32)> = old.map(|(slot, (touched, _))| (*touched, *slot)).collect();
            old.sort_unstable();
            let old_enough = old.len() as u64;
            let oldest = old.first().map_or(Duration::ZERO, |(touched, _)| now.saturating_sub(*touched));
            let slots = old.into_iter().take(most).map(|(_, slot)| slot).collect();
            for slot in std::mem::take(&mut device.freed) {
                device.pages.remove(&slot);
            }
            Ok(OldSlots { slots, oldest, old_enough })
        })
    }

    fn begin(&self, device: &str, most: u64) -> Result<Box<dyn SinkPass>, SinkRefusal> {
        self.with(device, |device| {
            if let Some(refusal) = &device.refuses {
                return Err(refusal.clone());
            }
            device.limits.push(most);
            device.limit = Some(most);
            Ok(())
        })?;
        Ok(Box::new(FakePass { machine: self.clone(), device: device.into() }))
    }
}

#[derive(Debug)]
struct FakePass {
    machine: FakeSinking,
    device: Box<str>,
}

impl SinkPass for FakePass {
    fn sink(&mut self, slots: &[u32]) -> Sunk {
        let now = self.machine.clock.now();
        let mut sunk = Sunk::default();
        let mut devices = self.machine.lock();
        let Some(place) = devices.iter().position(|device| device.name == &*self.device) else {
            return Sunk { ended: Some(SinkRefusal::Gone), ..sunk };
        };
        for slot in slots {
            let Some(device) = devices.get_mut(place) else { break };
            let count = device.written.len() as u64;
            sunk.ended = match (&device.fault, device.limit) {
                (Some((after, refusal)), _) if count >= *after => Some(refusal.clone()),
                (_, Some(0)) => Some(SinkRefusal::LimitReached),
                (_, _) => None,
            };
            if sunk.ended.is_some() {
                break;
            }
            match device.pages.get_mut(slot) {
                Some((_, on_disk)) if !*on_disk => *on_disk = true,
                Some(_) | None => {
                    sunk.vanished += 1;
                    continue;
                }
            }
            device.limit = device.limit.map(|limit| limit - 1);
            device.written.push((now, *slot));
            sunk.written += 1;
            if device.gone_after == Some(count + 1) {
                devices.remove(place);
                sunk.ended = Some(SinkRefusal::Gone);
                break;
            }
        }
        sunk
    }
}

impl Drop for FakePass {
    fn drop(&mut self) {
        let _ = self.machine.with(&self.device, |device| {
            device.limit = None;
            Ok(())
        });
    }
}
