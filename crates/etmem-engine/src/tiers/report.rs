//! What tiers says of a device: in figures, in a line, for which reason not more, and in the log.

use crate::figures::{Figures, WOULD_MOVE};
use crate::reason::{Reason, ReasonName};
use crate::report::{DeviceReport, Event, Level, Line, mib};
use etmem_core::address::PAGE_SIZE;
use etmem_core::kernel::sinking::{CompressedDevice, SinkRefusal};
use std::fmt;
use std::time::Duration;

figures! { pub(super) FIGURES;
    SUNK: Counter Bytes, "sunk_bytes", "written to disk", Always,
        "pages of zram that were written to the disk behind it, by their size in memory";
    DISK_READ_BACK: Counter Bytes, "disk_read_back_bytes", "read back from disk", Always,
        "read back from the disk behind zram since the cycle before, whichever program it was for";
    FREED_SLOTS: Counter Count, "freed_slots", "slots freed meanwhile", NonZero,
        "slots that were to be written and had no page in memory any more";
    COMPRESSED: Level Bytes, "zram_bytes", "in zram", Always,
        "pages that zram devices hold compressed in memory, by their size in memory";
    TAKES: Level Bytes, "zram_memory_bytes", "zram takes", Always,
        "memory that zram devices take";
    ON_DISK: Level Bytes, "zram_disk_bytes", "on disk", Always,
        "pages that are on the disks behind zram devices";
    BUDGET_LEFT: Gauge Bytes, "sink_budget_bytes", "left to write today", NonZero,
        "what `sink_per_day` leaves to be written now";
}

/// How a cycle of a device ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing more is to be written.
    #[default]
    Done,
    /// It would go on, if it wrote.
    DryRun,
    /// The budget of the day is used up; there is more in this time.
    Budget { more_in: Duration },
    /// The rest is for the next cycle.
    Later,
    /// A stop came.
    Stopped,
    /// It cannot be written.
    Refused(SinkRefusal),
}

/// A cycle of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    /// As it is now.
    pub(super) device: CompressedDevice,
    /// Bytes of pages that were written, and that a dry run would have written.
    pub(super) sunk: u64,
    pub(super) would: u64,
    /// Slots that had no page any more.
    pub(super) vanished: u64,
    /// For how long the oldest page of those chosen had not been touched.
    pub(super) oldest: Duration,
    /// Bytes that were read back from the disk since the cycle before.
    pub(super) read_back: u64,
    /// Bytes that may still be written today, if that is bounded.
    pub(super) budget_left: Option<u64>,
    pub(super) end: End,
}

impl Done {
    /// Nothing was done to `device` yet.
    pub(super) const fn of(device: CompressedDevice) -> Self {
        Self {
            device,
            sunk: 0,
            would: 0,
            vanished: 0,
            oldest: Duration::ZERO,
            read_back: 0,
            budget_left: None,
            end: End::Done,
        }
    }

    /// The report of it.
    pub(super) fn report(self) -> DeviceReport {
        let (figures, reason) = (self.figures(), self.reason());
        let device: Box<str> = self.device.name.clone();
        let is_fault = match &self.end {
            End::Budget { .. } | End::Refused(_) => true,
            End::Done | End::DryRun | End::Later | End::Stopped => false,
        };
        let sunk = self.sunk > 0;
        let text = Line::new(self);
        let mut events = Vec::new();
        if sunk || !is_fault {
            let level = if sunk { Level::Info } else { Level::Debug };
            events.push(Event::always(level, text.clone()));
        }
        if let Some(reason) = reason.as_ref().filter(|_| is_fault) {
            events.push(Event::once(Level::Warn, reason.name.word(), Line::new(reason.text.clone())));
        }
        DeviceReport { device, text, reason, figures, events }
    }

    fn figures(&self) -> Figures {
        Figures::of([
            (&SUNK, self.sunk),
            (&WOULD_MOVE, self.would),
            (&DISK_READ_BACK, self.read_back),
            (&FREED_SLOTS, self.vanished),
            (&COMPRESSED, self.device.in_memory * PAGE_SIZE),
            (&TAKES, self.device.memory),
            (&ON_DISK, self.device.on_disk * PAGE_SIZE),
            (&BUDGET_LEFT, self.budget_left.unwrap_or(0)),
        ])
    }

    /// Why not more was written.
    fn reason(&self) -> Option<Reason> {
        let (name, text) = match &self.end {
            End::Done if self.sunk > 0 => return None,
            End::Done => (
                ReasonName::NothingOld,
                "nothing in it has been untouched for sink_after, and it is not too full".to_owned(),
            ),
            End::DryRun => {
                (ReasonName::DryRun, format!("dry_run=yes: {} MiB would be written to disk", mib(self.would)))
            }
            End::Budget { more_in } => (
                ReasonName::SinkBudget,
                format!(
                    "sink_per_day is used up: no more is written to disk for at least {} min",
                    more_in.as_secs().div_ceil(60)
                ),
            ),
            End::Later => (ReasonName::Later, "the rest is left for the next cycle, by sink_rate".to_owned()),
            End::Stopped => {
                (ReasonName::Stopped, "the task was stopped before it had written all".to_owned())
            }
            End::Refused(refusal) => (name_of(refusal), refusal.to_string()),
        };
        Some(Reason::new(name, text))
    }
}

const fn name_of(refusal: &SinkRefusal) -> ReasonName {
    match refusal {
        SinkRefusal::NotBuilt => ReasonName::NoWriteback,
        SinkRefusal::NoDisk => ReasonName::NoBackingDevice,
        SinkRefusal::NoAges(_) => ReasonName::NoSlotAges,
        SinkRefusal::DiskFull => ReasonName::DiskFull,
        SinkRefusal::LimitReached => ReasonName::WritebackLimit,
        SinkRefusal::DiskFails(_) => ReasonName::DiskFails,
        SinkRefusal::Busy => ReasonName::WritebackBusy,
        SinkRefusal::Gone => ReasonName::DeviceGone,
        SinkRefusal::Refused { .. } => ReasonName::KernelRefused,
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, sunk, vanished, oldest, read_back, .. } = self;
        write!(
            f,
            "{} MiB in memory as {} MiB ({} % full), {} MiB on disk",
            mib(device.in_memory * PAGE_SIZE),
            mib(device.memory),
            device.percent_full(),
            mib(device.on_disk * PAGE_SIZE)
        )?;
        if *sunk > 0 {
            write!(
                f,
                ", {} MiB of it written now, the oldest untouched for {} s",
                mib(*sunk),
                oldest.as_secs()
            )?;
        }
        if *vanished > 0 {
            write!(f, ", {vanished} slots freed meanwhile")?;
        }
        if *read_back > 0 {
            write!(f, ", {} MiB read back", mib(*read_back))?;
        }
        Ok(())
    }
}
