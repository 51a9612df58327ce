//! What sinks, by its age and when the device is too full.

use std::time::Duration;

use anyhow::{Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_engine::{Level, ReasonName};
use etmem_testkit::size::MIB;

use crate::inside::{Disk, Inside, LATE, PAGE, Task, Zram, figure, on_disk, page_out, part, reason, touch};

/// 256 MiB in zram, half of it touched again: what was not touched is on the disk, and nothing else.
pub(crate) fn by_age(inside: &Inside) -> Result<()> {
    let disk = Disk::of_machine()?;
    let zram = Zram::new(512 * MIB, Some(&disk))?;
    let half = 128 * MIB;
    let mut program = inside.program(2 * half)?;
    let (touched, untouched) = (part(&program, 0, half), part(&program, half, half));
    let begun = inside.clock.now();
    page_out(&program, untouched)?;
    let untouched_since = inside.clock.now();
    page_out(&program, touched)?;
    inside.say("all is out");
    // What was touched must not be as old when all is written, however slow the machine is.
    inside.wait(Duration::from_secs(30).max(3 * (inside.clock.now() - begun)));
    touch(&program, touched)?;
    page_out(&program, touched)?;
    inside.say("half of it was touched and is out again");
    let after = format!("sink_after={}s", (inside.clock.now() - untouched_since).as_secs());
    let mut task = Task::new(&[&after, "sink_high=100", "sink_rate=none"])?;
    let report = task.cycle()?;
    ensure!(reason(&report).is_none(), "{report:?}");
    let (sunk, _) = on_disk(&program, untouched)?;
    let (wrongly, still) = on_disk(&program, touched)?;
    inside
        .say(format!("{sunk} of {} untouched pages are on disk, {wrongly} of the touched ones", half / PAGE));
    ensure!(sunk >= half / PAGE / 100 * 99, "{sunk}");
    ensure!(wrongly == 0 && still >= half / PAGE / 100 * 99, "{wrongly} {still}");
    ensure!(figure(&report, "sunk_bytes") == sunk as u64 * 4096, "{report:?}");
    ensure!(Zram::number("bd_stat", 0)? == sunk as u64);
    ensure!(Zram::number("writeback_limit_enable", 0)? == 0, "the limit is put back");
    ensure!(program.verify()? == 2 * half, "contents");
    let read = figure(&task.cycle()?, "disk_read_back_bytes");
    ensure!(read == sunk as u64 * 4096, "{read} bytes were read back of {sunk} pages");
    // A page that is in memory again has no slot.
    let blocks = Zram::number("bd_stat", 0)?;
    inside.say(format!("all is read back; {blocks} blocks of the disk are in use still"));
    ensure!(blocks <= LATE, "{blocks}");
    program.kill()?;
    let blocks = Zram::number("bd_stat", 0)?;
    ensure!(blocks <= LATE, "{blocks} blocks of the disk are in use though nothing is out");
    drop(zram);
    Ok(())
}

/// A device at 95 %: down to the low mark, the oldest first, as fast and as much as is allowed.
pub(crate) fn by_marks(inside: &Inside) -> Result<()> {
    let disk = Disk::new("back", 200)?;
    let _zram = Zram::new(128 * MIB, Some(&disk))?;
    let piece = 10 * MIB;
    let program = inside.program(12 * piece)?;
    // The last piece first, so that age and address differ.
    for number in (0..12).rev() {
        page_out(&program, part(&program, number * piece, piece))?;
        inside.wait(Duration::from_millis(300));
    }
    let in_zram = || Ok::<_, anyhow::Error>(Zram::slots()?.values().filter(|(_, on_disk)| !on_disk).count());
    let before = in_zram()?;
    ensure!(before * 100 / (128 * MIB / PAGE) >= 93, "{before}");
    let marks = ["sink_after=none", "sink_high=80", "sink_low=70"];
    let mut task = Task::new(&[&marks[..], &["sink_rate=4m", "sink_per_day=16m"]].concat())?;
    let start = inside.clock.now();
    let report = task.cycle()?;
    let took = inside.clock.now() - start;
    let sunk = figure(&report, "sunk_bytes");
    inside.say(format!("{sunk} bytes in {took:?}"));
    ensure!(sunk == 16 << 20 && reason(&report) == Some(ReasonName::SinkBudget), "{report:?}");
    ensure!(Zram::number("bd_stat", 2)? == 16 << 20 >> 12, "no page more is written");
    // The last batch needs no rest after it.
    ensure!(took >= Duration::from_millis(3400), "{took:?} for 16 MiB at 4 MiB a second");
    for _ in 0..3 {
        let report = task.cycle()?;
        ensure!(figure(&report, "sunk_bytes") == 0, "{report:?}");
        let warned: Vec<_> = report.events.iter().filter(|event| event.level == Level::Warn).collect();
        ensure!(warned.len() == 1 && warned[0].repeated.is_none(), "once: {report:?}");
    }
    let mut task = Task::new(&[&marks[..], &["sink_rate=none"]].concat())?;
    task.cycle()?;
    let (after, low) = (in_zram()?, 128 * MIB / PAGE * 70 / 100);
    inside.say(format!("{after} pages are in memory, from {before}; the mark is {low}"));
    ensure!(after.abs_diff(low) <= 64, "{after}");
    oldest_first(inside)
}

/// At most one in a hundred pages on the disk is younger than one in memory.
fn oldest_first(inside: &Inside) -> Result<()> {
    let mut slots: Vec<(u64, bool)> = Zram::slots()?.into_values().collect();
    slots.sort_unstable();
    let sunk = slots.iter().filter(|(_, on_disk)| *on_disk).count();
    let wrongly = slots[..sunk].iter().filter(|(_, on_disk)| !on_disk).count();
    inside.say(format!("{wrongly} of the {sunk} oldest pages are not on disk"));
    ensure!(sunk > 1000 && wrongly * 100 <= sunk, "{wrongly} of {sunk}");
    Ok(())
}
