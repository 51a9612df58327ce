//! What a real kernel answers where pages cannot be written, or are gone.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use etmem_core::kernel::sinking::{SinkRefusal, Sinking};
use etmem_engine::ReasonName;
use etmem_testkit::size::MIB;

use crate::inside::{Disk, Inside, LATE, PAGE, Task, Zram, figure, machine, on_disk, page_out, part, reason};

const MEMORY: usize = 32 * MIB;
const ALL: [&str; 2] = ["sink_after=1s", "sink_rate=none"];

pub(crate) fn all(inside: &Inside) -> Result<()> {
    no_disk(inside)?;
    full_disk(inside)?;
    own_limit(inside)?;
    another_writes(inside)?;
    failing_disk(inside)?;
    program_ends(inside)?;
    swapoff_and_reset(inside)
}

fn no_disk(inside: &Inside) -> Result<()> {
    let _zram = Zram::new(64 * MIB, None)?;
    let program = inside.program(MEMORY)?;
    page_out(&program, part(&program, 0, MEMORY))?;
    let report = Task::new(&ALL)?.cycle()?;
    ensure!(reason(&report) == Some(ReasonName::NoBackingDevice), "{report:?}");
    program.kill()
}

fn full_disk(inside: &Inside) -> Result<()> {
    let disk = Disk::new("small", 8)?;
    let _zram = Zram::new(64 * MIB, Some(&disk))?;
    let mut program = inside.program(MEMORY)?;
    page_out(&program, part(&program, 0, MEMORY))?;
    inside.wait(Duration::from_secs(2));
    let report = Task::new(&ALL)?.cycle()?;
    ensure!(reason(&report) == Some(ReasonName::DiskFull), "{report:?}");
    let sunk = figure(&report, "sunk_bytes");
    ensure!((7 << 20..=8 << 20).contains(&sunk), "{sunk} bytes on a disk of 8 MiB");
    ensure!(program.verify()? == MEMORY);
    program.kill()
}

/// What the operator allows is not exceeded, and counted down as if etmemd had not been there.
fn own_limit(inside: &Inside) -> Result<()> {
    let disk = Disk::new("back", 64)?;
    let _zram = Zram::new(64 * MIB, Some(&disk))?;
    let program = inside.program(MEMORY)?;
    page_out(&program, part(&program, 0, MEMORY))?;
    inside.wait(Duration::from_secs(2));
    fs::write(Zram::file("writeback_limit_enable"), "1")?;
    fs::write(Zram::file("writeback_limit"), "100")?;
    let report = Task::new(&ALL)?.cycle()?;
    ensure!(reason(&report) == Some(ReasonName::WritebackLimit), "{report:?}");
    ensure!(figure(&report, "sunk_bytes") == 100 * 4096, "{report:?}");
    ensure!((Zram::number("writeback_limit_enable", 0)?, Zram::number("writeback_limit", 0)?) == (1, 0));
    // A larger one of the operator's is put back less what was written.
    fs::write(Zram::file("writeback_limit"), "100000")?;
    let port = machine();
    let old = port.oldest("zram0", Duration::ZERO, 50)?;
    let mut pass = port.begin("zram0", 50)?;
    ensure!(Zram::number("writeback_limit", 0)? == 50);
    ensure!(port.begin("zram0", 50).map(drop) == Err(SinkRefusal::Busy), "one writes at a time");
    let sunk = pass.sink(&old.slots);
    drop(pass);
    ensure!(sunk.written == 50, "{sunk:?}");
    ensure!(Zram::number("writeback_limit", 0)? == 99_950, "{}", Zram::number("writeback_limit", 0)?);
    program.kill()
}

/// Another program has the kernel write all of the device meanwhile: each page is written once, by one of the two, and Linux 6.12 refuses
/// the second to ask (EAGAIN). Where a kernel lets both go on, the other uses up the limit as well.
fn another_writes(inside: &Inside) -> Result<()> {
    let disk = Disk::new("back", 64)?;
    let _zram = Zram::new(64 * MIB, Some(&disk))?;
    let mut program = inside.program(MEMORY)?;
    let all = part(&program, 0, MEMORY);
    page_out(&program, all)?;
    inside.wait(Duration::from_secs(2));
    fs::write(Zram::file("idle"), "all")?;
    let mut task = Task::new(&ALL)?;
    let (report, other) = thread::scope(|scope| {
        let other = scope.spawn(|| fs::write(Zram::file("writeback"), "idle"));
        (task.cycle(), other.join())
    });
    let (report, other) = (report?, other.map_err(|_| anyhow!("the other program panicked"))?);
    let (sunk, _) = on_disk(&program, all)?;
    let ours = figure(&report, "sunk_bytes");
    inside.say(format!("{sunk} pages are on disk, {ours} bytes by the task, the other program: {other:?}"));
    let allowed = [ReasonName::WritebackLimit, ReasonName::WritebackBusy];
    ensure!(reason(&report).is_none_or(|reason| allowed.contains(&reason)), "{report:?}");
    // Each once, and the other wrote the first page of the swap as well, which is no program's.
    let written = Zram::number("bd_stat", 2)?;
    ensure!(
        [0, 1].contains(&written.saturating_sub(sunk as u64)),
        "{written} blocks are written: {report:?}"
    );
    ensure!(written >= sunk as u64 && ours <= (sunk * PAGE) as u64, "{report:?}");
    ensure!(Zram::number("writeback_limit_enable", 0)? == 0, "the limit is put back");
    // What is left goes in the next cycle.
    task.cycle()?;
    let (sunk, still) = on_disk(&program, all)?;
    ensure!(sunk * PAGE >= MEMORY / 100 * 99 && still == 0, "{sunk} pages are on disk, {still} are not");
    ensure!(program.verify()? == MEMORY);
    program.kill()
}

/// A disk that does not write: nothing is lost, and it is no limit.
fn failing_disk(inside: &Inside) -> Result<()> {
    let disk = Disk::new("back", 64)?;
    let _zram = Zram::new(64 * MIB, Some(&disk))?;
    let mut program = inside.program(MEMORY)?;
    page_out(&program, part(&program, 0, MEMORY))?;
    inside.wait(Duration::from_secs(2));
    disk.fails()?;
    let report = Task::new(&ALL)?.cycle()?;
    ensure!(reason(&report) == Some(ReasonName::DiskFails), "{report:?}");
    ensure!(figure(&report, "sunk_bytes") == 0, "{report:?}");
    ensure!(program.verify()? == MEMORY);
    program.kill()
}

/// The program ends between the look and the write: its slots are free, and nothing is written.
fn program_ends(inside: &Inside) -> Result<()> {
    let disk = Disk::new("back", 64)?;
    let _zram = Zram::new(64 * MIB, Some(&disk))?;
    let program = inside.program(MEMORY)?;
    page_out(&program, part(&program, 0, MEMORY))?;
    let port = machine();
    let old = port.oldest("zram0", Duration::ZERO, 1000)?;
    let mut pass = port.begin("zram0", 1000)?;
    program.kill()?;
    let sunk = pass.sink(&old.slots);
    inside.say(format!("after its program has ended: {sunk:?}"));
    ensure!(sunk.written <= LATE && sunk.written + sunk.vanished == 1000 && sunk.ended.is_none(), "{sunk:?}");
    Ok(())
}

/// `swapoff` and a reset while pages are written.
fn swapoff_and_reset(inside: &Inside) -> Result<()> {
    let disk = Disk::new("back", 64)?;
    let zram = Zram::new(64 * MIB, Some(&disk))?;
    let mut program = inside.program(MEMORY)?;
    page_out(&program, part(&program, 0, MEMORY))?;
    let port = machine();
    let old = port.oldest("zram0", Duration::ZERO, 1000)?;
    let mut pass = port.begin("zram0", 1000)?;
    let first = pass.sink(&old.slots[..100]);
    Zram::swap_off()?;
    let rest = pass.sink(&old.slots[100..]);
    inside.say(format!("before swapoff {first:?}, after it {rest:?}"));
    ensure!(first.written == 100 && rest.written <= LATE && rest.ended.is_none(), "{rest:?}");
    ensure!(port.devices()?.is_empty(), "it is no swap any more");
    fs::write(Zram::file("reset"), "1")?;
    let reset = pass.sink(&old.slots[..1]);
    ensure!(reset.ended == Some(SinkRefusal::Gone), "{reset:?}");
    ensure!(matches!(port.oldest("zram0", Duration::ZERO, 1), Err(SinkRefusal::Gone)), "it has no slots");
    drop(pass);
    ensure!(program.verify()? == MEMORY);
    drop(zram);
    Ok(())
}
