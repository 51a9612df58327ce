//! What is out and in memory as well, in the swap cache, is in swap alone afterwards.

use super::acting::{ACT_LONGEST, Actor, Attached};
use super::history::ProcessHistory;
use etmem_core::act::{Reading, Tools, free_second_copies};
use etmem_core::address::AddressRange;
use etmem_core::feedback::{PageSet, PageSetBuilder};
use std::time::Duration;

/// What is out of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    /// In all.
    pub(super) all: u64,
    /// What of it has just left.
    pub(super) left: u64,
}

impl Actor<'_> {
    /// Frees the copies in memory of what is `out` of `ranges`, which is all of the process. Returns bytes that were in memory as well,
    /// and the processor time that it took.
    pub(super) fn free_second_copies(
        &self,
        ranges: &[AddressRange],
        out: Out,
        known: &mut ProcessHistory,
        attached: &mut Attached,
    ) -> (u64, Duration) {
        let (now, processor) = (self.pacer.now(), self.pacer.processor_time());
        let memory = self.machine.figures(self.kernel, now).map(|machine| machine.memory);
        // What a living child reads is in use.
        let is_due = !known.shares
            && !self.settings.dry_run
            && memory.is_ok_and(|memory| known.next_pass.is_due(now, out.all, out.left, &memory));
        if !is_due {
            return (0, Duration::ZERO);
        }
        let Ok(mut reader) = self.kernel.readers.attach(self.process) else { return (0, Duration::ZERO) };
        let (mut given, mut kept) = (PageSetBuilder::default(), PageSetBuilder::default());
        let mut tools = Tools {
            mover: &mut *attached.mover,
            probe: None,
            fresh_until: now,
            throttle: &self.history.throttle,
            given: &mut given,
            kept: &mut kept,
            pacer: self.pacer,
        };
        let reading = Reading { reader: &mut *reader, memory: &*self.kernel.memory, out: out.all };
        let passed =
            free_second_copies(ranges, &mut known.next_pass.progress, now + ACT_LONGEST, reading, &mut tools);
        // What cannot be read, or a process that is gone, shows when its pages are to leave.
        let passed = passed.unwrap_or_default();
        known.next_pass.ended(&passed.end, self.pacer.now());
        // The program has not touched what was read: it is no refault.
        self.history.moved(known, PageSet::default(), passed.stayed);
        self.machine.forget();
        (passed.freed, self.pacer.processor_time().saturating_sub(processor))
    }
}
