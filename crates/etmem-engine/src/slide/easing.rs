//! Whether a program feels that its pages leave: whether its threads wait longer for a processor than before. While they do not, more
//! leaves.

use etmem_core::address::AddressRange;
use etmem_core::kernel::mover::{Moved, Residence, SwapOut};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{ProcessError, ProcessId, ProcessTable, Waited};
use etmem_core::throttle::Throttle;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long it is watched between two decisions, at least.
const EVERY: Duration = Duration::from_secs(1);

/// It feels it where it waits longer than before by a quarter, and by this part of the time.
const PART: u32 = 50;

/// What is known of how long a process waits: kept from act to act.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    /// When it was read last, and what it had waited by then.
    last: Option<(Duration, Waited)>,
    /// How long it waits in a second while nothing leaves.
    usual: Option<Duration>,
}

impl Waiting {
    /// Whether it was read: the task acts, at a rate that follows the machine, and the kernel counts.
    pub(super) const fn is_known(&self) -> bool {
        self.last.is_some()
    }

    /// An act begins: what it waited since the last one is what it usually waits.
    pub(super) fn begin_act(&mut self, table: &dyn ProcessTable, process: ProcessId, pacer: &dyn Pacer) {
        match self.read(table, process, pacer) {
            Some(usual) => self.usual = Some(usual),
            None if self.last.is_none() => {
                let at = pacer.now();
                self.last = table.waited(process).map(|waited| (at, waited));
            }
            None => {}
        }
    }

    /// Whether it has waited longer since this was asked last; nothing before its time, or where it is not known what is usual.
    fn is_longer(&mut self, table: &dyn ProcessTable, process: ProcessId, pacer: &dyn Pacer) -> Option<bool> {
        let usual = self.usual?;
        let waits = self.read(table, process, pacer)?;
        Some(waits > usual + usual / 4 + Duration::from_secs(1) / PART)
    }

    /// How long it waited in each second since it was read last, where that is long ago enough.
    fn read(&mut self, table: &dyn ProcessTable, process: ProcessId, pacer: &dyn Pacer) -> Option<Duration> {
        let (at, before) = self.last.as_ref()?;
        let now = pacer.now();
        let elapsed = now.checked_sub(*at).filter(|elapsed| *elapsed >= EVERY)?;
        let waited = table.waited(process)?;
        let longer = waited.since(before).div_f64(elapsed.as_secs_f64());
        self.last = Some((now, waited));
        Some(longer)
    }
}

/// A mover that notes, now and then, whether the process feels it.
#[derive(Debug)]
pub(super) struct Eased<'a> {
    pub(super) mover: &'a mut dyn SwapOut,
    pub(super) waiting: &'a mut Waiting,
    pub(super) process: ProcessId,
    pub(super) table: &'a dyn ProcessTable,
    pub(super) throttle: &'a Mutex<Throttle>,
    pub(super) pacer: &'a dyn Pacer,
}

impl Eased<'_> {
    fn note(&mut self) {
        if self.waiting.is_known() {
            let longer = self.waiting.is_longer(self.table, self.process, self.pacer);
            // Each change is whole in itself, so a thread that panicked leaves it sound.
            self.throttle.lock().unwrap_or_else(PoisonError::into_inner).ease(longer);
        }
    }
}

impl SwapOut for Eased<'_> {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        self.note();
        self.mover.swap_out(ranges)
    }

    fn swap_out_pages(
        &mut self,
        ranges: &[AddressRange],
        huge: &[AddressRange],
    ) -> Result<Moved, ProcessError> {
        self.note();
        self.mover.swap_out_pages(ranges, huge)
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
        self.mover.residence(ranges, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::{Pid, ProcessMemory, Target, TargetError};
    use etmem_testkit::fake::FakePacer;

    /// A process that has waited so long; none: the kernel does not count.
    #[derive(Debug, Default)]
    struct Table(Mutex<Option<Duration>>);

    impl Table {
        fn waits(&self, longer: Duration) {
            *self.0.lock().unwrap().get_or_insert_default() += longer;
        }
    }

    impl ProcessTable for Table {
        fn find(&self, _: &Target) -> Result<Vec<ProcessId>, ProcessError> {
            Ok(Vec::new())
        }

        fn check(&self, pid: Pid) -> Result<ProcessId, TargetError> {
            Err(TargetError::NoProcess(pid))
        }

        fn waited(&self, _: ProcessId) -> Option<Waited> {
            self.0.lock().unwrap().map(|waited| Waited(vec![(42, waited)]))
        }

        fn memory(&self, _: ProcessId) -> Result<ProcessMemory, ProcessError> {
            Err(ProcessError::Exited)
        }
    }

    #[test]
    fn a_process_that_waits_longer_than_it_used_to_feels_it() {
        let (table, pacer) = (Table::default(), FakePacer::endless());
        let process = ProcessId { pid: Pid::new(42).unwrap(), start_time: 1 };
        let passes = |seconds, waits: Duration| {
            let _ = pacer.pause(Duration::from_secs(seconds));
            table.waits(waits);
        };
        let ms = Duration::from_millis;
        let mut waiting = Waiting::default();
        waiting.begin_act(&table, process, &pacer);
        assert!(waiting.last.is_none(), "the kernel does not count");
        table.waits(ms(7));
        waiting.begin_act(&table, process, &pacer);
        passes(2, ms(0));
        assert_eq!(
            waiting.is_longer(&table, process, &pacer),
            None,
            "in the first act it is not known what is usual"
        );
        passes(8, ms(1000));
        waiting.begin_act(&table, process, &pacer);
        assert_eq!(waiting.usual, Some(ms(100)));
        waiting.begin_act(&table, process, &pacer);
        assert_eq!(waiting.usual, Some(ms(100)), "too soon to know better");
        let mut after = |seconds, waits| {
            passes(seconds, waits);
            waiting.is_longer(&table, process, &pacer)
        };
        assert_eq!(after(0, ms(900)), None, "not yet");
        assert_eq!(after(1, ms(0)), Some(true));
        assert_eq!(after(2, ms(290)), Some(false), "a quarter and 20 ms in each second are noise");
        assert_eq!(after(2, ms(291)), Some(true));
    }
}
