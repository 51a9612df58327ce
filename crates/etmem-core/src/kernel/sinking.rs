//! Writing pages of compressed swap (zram) to the disk behind it, slot by slot, the longest untouched first.
//!
//! A page that was written there takes no memory any more. Its slot stays in use, and the page is read back from the disk when a
//! program touches it.

use super::process::ProcessError;
use std::fmt;
use std::time::Duration;

/// A zram device that is swap, by its own figures. Pages are those of 4 KiB that the device counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompressedDevice {
    /// Its name, such as `zram0`.
    pub name: Box<str>,
    /// Pages that fit in it.
    pub slots: u64,
    /// Pages that it holds compressed in memory.
    pub in_memory: u64,
    /// Pages that are on the disk behind it.
    pub on_disk: u64,
    /// Bytes of memory that it takes.
    pub memory: u64,
    /// Bytes of memory that it may take; 0: no limit.
    pub memory_limit: u64,
    /// Pages that were read back from the disk since the device was set up.
    pub disk_reads: u64,
    /// Pages that were written to the disk since then.
    pub disk_writes: u64,
    /// The disk behind it.
    pub disk: Option<Box<str>>,
    /// Whether pages can be written there, or what is missing for that.
    pub can_sink: Result<(), SinkRefusal>,
}

impl CompressedDevice {
    /// How full it is, in percent: by slots of which the page is in memory, or by the memory that it may take, whichever is more.
    #[must_use]
    pub fn percent_full(&self) -> u64 {
        let share = |part: u64, whole: u64| part.saturating_mul(100).checked_div(whole).unwrap_or(0);
        share(self.in_memory, self.slots).max(share(self.memory, self.memory_limit))
    }

    /// How many pages have to leave memory until it is no fuller than `percent`.
    #[must_use]
    pub fn pages_above(&self, percent: u64) -> u64 {
        let allowed = |whole: u64| whole / 100 * percent + whole % 100 * percent / 100;
        let by_slots = self.in_memory.saturating_sub(allowed(self.slots));
        let over = match self.memory_limit {
            0 => 0,
            limit => self.memory.saturating_sub(allowed(limit)),
        };
        let by_memory = u128::from(over) * u128::from(self.in_memory) / u128::from(self.memory.max(1));
        by_slots.max(u64::try_from(by_memory).unwrap_or(u64::MAX)).min(self.in_memory)
    }
}

/// Why pages of a device cannot be written to the disk behind it, or no more of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkRefusal {
    /// The kernel was built without.
    #[error("this kernel cannot write pages of zram to a disk: it was built without CONFIG_ZRAM_WRITEBACK")]
    NotBuilt,
    /// The device has no disk behind it.
    #[error(
        "there is no disk behind it: backing_dev is none; it can be set before the device has a size, by zram-generator \
         (writeback-device=) or by hand"
    )]
    NoDisk,
    /// It is not known which page was touched when.
    #[error("which of its pages was touched when is not known: {0}")]
    NoAges(Box<str>),
    /// The disk has no room left.
    #[error("the disk behind it is full")]
    DiskFull,
    /// What may be written has been written: the device's own `writeback_limit` is used up.
    #[error("its writeback_limit is used up")]
    LimitReached,
    /// A write to the disk failed.
    #[error("writing to the disk behind it failed: {0}; see dmesg")]
    DiskFails(Box<str>),
    /// Another program writes or recompresses pages of it at the moment.
    #[error("another program writes or recompresses its pages at the moment")]
    Busy,
    /// It was reset, removed, or is no swap any more.
    #[error("the device was reset or removed meanwhile")]
    Gone,
    /// The kernel refuses for another reason.
    #[error("{call}: {reason}")]
    Refused {
        /// What was tried.
        call: Box<str>,
        /// What the kernel answered.
        reason: Box<str>,
    },
}

impl SinkRefusal {
    /// The kernel refused `call` for this reason.
    pub fn refused(call: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Refused { call: call.to_string().into(), reason: reason.to_string().into() }
    }
}

/// Slots of a device, the longest untouched first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldSlots {
    /// Their numbers.
    pub slots: Vec<u32>,
    /// For how long the first of them has not been touched.
    pub oldest: Duration,
    /// How many there are that are old enough, chosen or not.
    pub old_enough: u64,
}

/// What became of slots whose pages were to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sunk {
    /// Pages that are on the disk now and were not before.
    pub written: u64,
    /// Slots that had no page to write any more: freed, or written by another program.
    pub vanished: u64,
    /// Why it ended before the last slot.
    pub ended: Option<SinkRefusal>,
}

/// The compressed swap of a machine.
pub trait Sinking: fmt::Debug + Send + Sync {
    /// The zram devices that are swap now, by name. Called at the beginning of a cycle, and again between two batches.
    ///
    /// # Errors
    /// The kernel does not tell what is swap.
    fn devices(&self) -> Result<Vec<CompressedDevice>, ProcessError>;

    /// Of `device`, at most `most` slots whose pages are in memory and have not been touched for `age`, the longest untouched first.
    ///
    /// # Errors
    /// It is not known.
    fn oldest(&self, device: &str, age: Duration, most: usize) -> Result<OldSlots, SinkRefusal>;

    /// Begins to write pages of `device`, at most `most`. The kernel enforces that as well, until this is dropped.
    ///
    /// # Errors
    /// Nothing can be written.
    fn begin(&self, device: &str, most: u64) -> Result<Box<dyn SinkPass>, SinkRefusal>;
}

/// Writes pages of a device. When it is dropped, what it has set in the kernel is taken back.
pub trait SinkPass: fmt::Debug + Send {
    /// Writes the pages of `slots` to the disk, in this order.
    fn sink(&mut self, slots: &[u32]) -> Sunk;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(in_memory: u64, memory: u64, memory_limit: u64) -> CompressedDevice {
        CompressedDevice {
            name: "zram0".into(),
            slots: 1000,
            in_memory,
            on_disk: 5,
            memory,
            memory_limit,
            disk_reads: 0,
            disk_writes: 0,
            disk: None,
            can_sink: Ok(()),
        }
    }

    #[test]
    fn whichever_is_fuller_counts() {
        for (device, percent, above) in [
            (device(0, 0, 0), 0, 0),
            (device(950, 400, 0), 95, 250),
            (device(300, 900, 1000), 90, 66),
            (device(950, 100, 1000), 95, 250),
            // It takes more than it may, and holds next to nothing.
            (device(1, 2000, 1000), 200, 0),
        ] {
            assert_eq!((device.percent_full(), device.pages_above(70)), (percent, above), "{device:?}");
        }
        let empty = CompressedDevice { slots: 0, ..device(0, 0, 0) };
        assert_eq!((empty.percent_full(), empty.pages_above(70)), (0, 0));
    }
}
