//! What is said of a cycle of a damon task.

use super::change::Change;
use crate::figures::{Figures, MOVED, REFAULTED, SCANNED};
use crate::reason::Reason;
use crate::report::{Event, Level, Line, ProcessReport, mib};
use etmem_core::kernel::monitoring::{Action, Done, Region};
use etmem_core::kernel::process::ProcessId;
use std::fmt::{self, Write};

figures! { pub(super) FIGURES;
    TRIED_REGIONS: Counter Count, "tried_regions", "regions that fitted the scheme", Always,
        "damon: regions that fitted the scheme, once for each time that they did";
    TRIED: Counter Bytes, "tried_bytes", "tried by the scheme", Always,
        "damon: the size of these regions";
    APPLIED: Counter Bytes, "applied_bytes", "applied by the scheme", Always,
        "damon: memory to which the kernel applied the action, whatever became of its pages; a region with an unmapped part is left out, \
         though the action reaches the rest (`damos_madvise` in mm/damon/vaddr.c). With `migrate_hot` and `migrate_cold`: memory that is \
         on the other node now (`damon_pa_migrate` in mm/damon/paddr.c)";
    QUOTA_EXCEEDED: Counter Count, "quota_exceeded", "times the quota was used up", Always,
        "damon: how often `max_rate` or `max_cpu` was used up";
}

/// Most regions that are listed.
const LISTED: usize = 2000;

/// The figures of what a scheme did.
pub(super) fn figures_of(done: Done) -> Figures {
    Figures::of([
        (&TRIED_REGIONS, done.tried_regions),
        (&TRIED, done.tried),
        (&APPLIED, done.applied),
        (&QUOTA_EXCEEDED, done.quota_exceeded),
    ])
}

/// A process that the kernel watches.
#[derive(Debug)]
struct Watched {
    action: Action,
    change: Change,
    held: Option<Reason>,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, change, held } = self;
        let (resident, swapped) = (mib(change.memory.resident), mib(change.memory.swapped));
        write!(f, "the kernel watches it, action {action}; {resident} MiB in memory, {swapped} MiB in swap")?;
        held.as_ref().map_or(Ok(()), |reason| write!(f, "; the action is paused: {}", reason.text))
    }
}

/// The report of a process that the kernel watches.
pub(super) fn watched(
    process: ProcessId,
    action: Action,
    change: Change,
    held: Option<Reason>,
) -> ProcessReport {
    let moved = if action == Action::PageOut { change.left } else { 0 };
    let figures = Figures::of([
        (&SCANNED, change.memory.resident),
        (&MOVED, moved),
        (&REFAULTED, if action == Action::PageOut { change.refaulted } else { 0 }),
    ]);
    let own = Watched { action, change, held: held.clone() };
    let mut report = ProcessReport::worked_on(process, "watched", own, held, figures);
    // Once for each process: what changes in each cycle is for `task show`.
    let line = Line::new(format!("the kernel watches it, action {action}"));
    report.events = vec![Event::once(Level::Info, "watched", line)];
    report
}

/// That the action is paused, and why.
pub(super) fn held_event(reason: &Reason) -> Event {
    let line = Line::new(format!("the action is paused: {}", reason.text));
    Event::once(Level::Warn, format!("held {}", reason.name), line)
}

/// The regions as a table.
pub(super) fn region_table(regions: &[Region]) -> String {
    let mut text = format!("{:>18} {:>18} {:>12} {:>8} {:>8}\n", "start", "end", "KiB", "accesses", "age");
    for Region { range, accesses, age } in regions.iter().take(LISTED) {
        let size = range.bytes() >> 10;
        // Writing to a text does not fail.
        let _ = writeln!(text, "{:>#18x} {:>#18x} {size:>12} {accesses:>8} {age:>8}", range.start, range.end);
    }
    if let Some(more) = regions.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::address::AddressRange;

    #[test]
    fn regions_are_rows() {
        let region = |start, end| Region { range: AddressRange::new(start, end), accesses: 3, age: 20 };
        let text = region_table(&[region(0x7f00_0000_0000, 0x7f00_0020_0000)]);
        assert_eq!(
            text,
            "             start                end          KiB accesses      age\n    \
             0x7f0000000000     0x7f0000200000         2048        3       20\n"
        );
        let many = region_table(&vec![region(0, 4096); LISTED + 2]);
        assert!(many.ends_with("and 2 more\n") && many.lines().count() == LISTED + 2, "{many}");
    }
}
