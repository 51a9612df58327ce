//! How long the workload stood waiting for memory, measured in a way that a busy machine does not change.
//!
//! The workload is one thread that always wants a processor. At any moment it runs its own code, works in the kernel, waits
//! for a processor, or sleeps. It works in the kernel and sleeps for memory only: page faults, reads from swap, locks
//! of its address space. The kernel counts the time a thread ran and the time it waited for a processor
//! (`/proc/PID/schedstat`), so the other two are what remains. Time that a hypervisor gave to another virtual machine
//! remains as well; it is taken off.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use etmem_core::kernel::pacer::Pacer;

use crate::clock::WallClock;
use crate::pagemap;
use crate::workload::pace::TICKS;

/// What the workload spent its time on, since its start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    at: Duration,
    ran: Duration,
    queued: Duration,
    in_kernel: Duration,
    stolen: Duration,
}

/// Shares of the time between two moments, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// It waited for a processor: other programs had them.
    pub processor: f64,
    /// It waited for memory.
    pub memory: f64,
}

impl Spent {
    /// Looks now; `None` if the kernel does not count (built without `CONFIG_SCHED_INFO`).
    ///
    /// # Errors
    /// The process has ended.
    pub fn look(clock: &WallClock, pid: u32) -> Result<Option<Self>> {
        let at = clock.now();
        let counted = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
        let in_kernel = Duration::from_secs_f64(pagemap::stat_field(pid, 15)? as f64 / TICKS);
        let stolen = stolen(&fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?);
        Ok(ran_and_queued(&counted).map(|(ran, queued)| Self { at, ran, queued, in_kernel, stolen }))
    }

    /// What it spent the time on since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Shares {
        let passed = |of: fn(&Self) -> Duration| of(&self).saturating_sub(of(&earlier));
        let elapsed = passed(|spent| spent.at);
        let awake = passed(|spent| spent.ran) + passed(|spent| spent.queued);
        let asleep = elapsed.saturating_sub(awake + passed(|spent| spent.stolen));
        let share = |part: Duration| part.as_secs_f64() / elapsed.as_secs_f64();
        Shares {
            processor: share(passed(|spent| spent.queued)),
            memory: share(asleep + passed(|spent| spent.in_kernel)),
        }
    }
}

/// The first two numbers of a `schedstat` (nanoseconds); a kernel that does not count writes zeroes.
fn ran_and_queued(schedstat: &str) -> Option<(Duration, Duration)> {
    let mut numbers = schedstat.split_whitespace().map(|number| number.parse().map(Duration::from_nanos));
    let ran = numbers.next()?.ok().filter(|ran| !ran.is_zero())?;
    Some((ran, numbers.next()?.ok()?))
}

/// What the hypervisor took from the processor from which it took most, by `/proc/stat`: the workload lost no more.
fn stolen(stat: &str) -> Duration {
    let each = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    let ticks = each.filter_map(|line| line.split_whitespace().nth(8)?.parse::<u64>().ok()).max();
    Duration::from_secs_f64(ticks.unwrap_or(0) as f64 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    const START: Spent = Spent { at: ms(500), ran: ms(90), queued: ms(10), in_kernel: ms(5), stolen: ms(7) };

    fn after(ran: u64, queued: u64, in_kernel: u64, stolen: u64) -> Shares {
        let spent = Spent {
            at: START.at + ms(10_000),
            ran: START.ran + ms(ran),
            queued: START.queued + ms(queued),
            in_kernel: START.in_kernel + ms(in_kernel),
            stolen: START.stolen + ms(stolen),
        };
        spent.since(START)
    }

    #[track_caller]
    fn check(found: Shares, processor: f64, memory: f64) {
        let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
        assert!(near(found.processor, processor) && near(found.memory, memory), "{found:?}");
    }

    #[test]
    fn waiting_for_a_processor_is_not_waiting_for_memory() {
        check(after(10_000, 0, 0, 0), 0.0, 0.0);
        check(after(2_000, 8_000, 0, 0), 0.8, 0.0);
    }

    #[test]
    fn sleep_and_work_in_the_kernel_are_waiting_for_memory() {
        check(after(7_000, 0, 0, 0), 0.0, 0.3);
        check(after(10_000, 0, 2_000, 0), 0.0, 0.2);
        check(after(2_000, 5_000, 500, 0), 0.5, 0.35);
    }

    #[test]
    fn stolen_time_is_left_out_and_counters_out_of_step_are_zero() {
        check(after(9_000, 0, 0, 900), 0.0, 0.01);
        check(after(9_000, 1_050, 0, 0), 0.105, 0.0);
    }

    #[test]
    fn kernel_files_are_read() {
        assert_eq!(ran_and_queued("5000000 250000 12\n"), Some((ms(5), Duration::from_micros(250))));
        for text in ["", "0 0 0\n", "7\n", "x 1 2\n"] {
            assert_eq!(ran_and_queued(text), None, "{text:?}");
        }
        let stat =
            "cpu  1 0 1 9 0 0 0 30 0 0\ncpu0 1 0 1 9 0 0 0 10 0 0\ncpu1 1 0 1 9 0 0 0 20 0 0\nintr 7\n";
        assert_eq!(stolen(stat), ms(200));
    }
}
