//! What is out and in memory as well, in the swap cache, is in swap alone afterwards.

use super::acting::{ACT_LONGEST, Actor, Attached};
use super::history::ProcessHistory;
use super::next_pass::PART;
use etmem_core::act::{Reading, Tools, free_second_copies};
use etmem_core::address::AddressRange;
use etmem_core::feedback::PageSetBuilder;

impl Actor<'_> {
    /// Has what is out of `ranges` in swap alone: `out` bytes in all, of which some have just `left`. Returns bytes that were in memory as
    /// well.
    pub(super) fn free_second_copies(
        &self,
        ranges: &[AddressRange],
        (out, left): (u64, u64),
        known: &mut ProcessHistory,
        attached: &mut Attached,
    ) -> u64 {
        let now = self.pacer.now();
        let memory = self.machine.figures(self.kernel, now).map(|machine| machine.memory);
        // What a living child reads is in use; and what has just left may be on its way to a disk.
        let is_calm = !known.shares && left < out / PART && !self.settings.dry_run;
        if !is_calm || !memory.is_ok_and(|memory| known.next_pass.is_due(now, out, &memory)) {
            return 0;
        }
        let Ok(mut reader) = self.kernel.readers.attach(self.process) else { return 0 };
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
        let reading = Reading { reader: &mut *reader, memory: &*self.kernel.memory };
        let passed =
            free_second_copies(ranges, known.next_pass.resume, now + ACT_LONGEST, reading, &mut tools);
        // What cannot be read, or a process that is gone, shows when its pages are to leave.
        let passed = passed.unwrap_or_default();
        known.next_pass.ended(&passed.end, self.pacer.now());
        self.machine.forget();
        passed.freed
    }
}
