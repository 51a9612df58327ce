//! Whether a program feels that its pages leave: whether its threads wait longer for a processor than before. While they do not, more
//! leaves.

use etmem_core::address::AddressRange;
use etmem_core::kernel::mover::{Moved, Residence, SwapOut};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{ProcessError, ProcessId, ProcessTable};
use etmem_core::throttle::Throttle;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long it is watched between two decisions, at least.
const EVERY: Duration = Duration::from_secs(1);

/// It feels it where it waits longer than before by a quarter, and by this part of the time.
const PART: u32 = 50;

/// How long a process has waited.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Duration,
    waited: Duration,
}

/// What is known of how long a process waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    last: Option<Reading>,
    /// How long it waits in a second while nothing leaves.
    usual: Option<Duration>,
}

impl Waiting {
    /// Begins to count; what it usually waits is known at the next [`Waiting::until_now`].
    pub(super) fn begin(table: &dyn ProcessTable, process: ProcessId, pacer: &dyn Pacer) -> Self {
        let at = pacer.now();
        let last = table.waited(process).map(|waited| Reading { at, waited });
        Self { last, usual: None }
    }

    /// The same, with what it waited in a second since it began.
    pub(super) fn until_now(self, table: &dyn ProcessTable, process: ProcessId, pacer: &dyn Pacer) -> Self {
        let now = Self::begin(table, process, pacer);
        let usual = self.last.zip(now.last).and_then(|(before, now)| per_second(before, now));
        Self { usual, ..now }
    }

    /// Whether it has waited longer since this was asked last; none before its time, or where it is not known what is usual.
    fn is_longer(&mut self, table: &dyn ProcessTable, process: ProcessId, pacer: &dyn Pacer) -> Option<bool> {
        let (last, usual) = self.last.zip(self.usual)?;
        let at = pacer.now();
        if at < last.at + EVERY {
            return None;
        }
        let now = Reading { at, waited: table.waited(process)? };
        self.last = Some(now);
        let waits = per_second(last, now)?;
        Some(waits > usual + usual / 4 + Duration::from_secs(1) / PART)
    }
}

/// How long it waited in each second from one reading to the next, which are a second apart at least.
fn per_second(before: Reading, now: Reading) -> Option<Duration> {
    let elapsed = now.at.checked_sub(before.at).filter(|elapsed| *elapsed >= EVERY)?;
    Some(now.waited.saturating_sub(before.waited).div_f64(elapsed.as_secs_f64()))
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
        if self.waiting.last.is_some() {
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

        fn waited(&self, _: ProcessId) -> Option<Duration> {
            *self.0.lock().unwrap()
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
        let mut uncounted = Waiting::begin(&table, process, &pacer).until_now(&table, process, &pacer);
        assert!(uncounted.last.is_none() && uncounted.is_longer(&table, process, &pacer).is_none());
        table.waits(ms(7));
        let begun = Waiting::begin(&table, process, &pacer);
        passes(10, ms(1000));
        let mut waiting = begun.until_now(&table, process, &pacer);
        assert_eq!(waiting.usual, Some(ms(100)));
        let mut after = |seconds, waits| {
            passes(seconds, waits);
            waiting.is_longer(&table, process, &pacer)
        };
        assert_eq!(after(0, ms(900)), None, "not yet");
        assert_eq!(after(1, ms(0)), Some(true));
        assert_eq!(after(2, ms(290)), Some(false), "a quarter and 20 ms in each second are noise");
        assert_eq!(after(2, ms(291)), Some(true));
        // What is usual is known where it was watched for a second at least.
        let begun = Waiting::begin(&table, process, &pacer);
        assert_eq!(begun.until_now(&table, process, &pacer).usual, None);
    }
}
