//! A daemon that is killed while it writes: the next one puts the limit back.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::daemon::Daemon;
use etmem_testkit::size::MIB;

use crate::inside::{Disk, Inside, Zram, page_out, part};

const KILLS: u64 = 10;
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn limit(inside: &Inside) -> Result<()> {
    let disk = Disk::new("back", 200)?;
    let _zram = Zram::new(128 * MIB, Some(&disk))?;
    let program = inside.program(96 * MIB)?;
    page_out(&program, part(&program, 0, 96 * MIB))?;
    inside.wait(Duration::from_secs(2));
    fs::write(Zram::file("writeback_limit_enable"), "1")?;
    fs::write(Zram::file("writeback_limit"), "1000000")?;
    let text = "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=tiers\n\
                [task]\nproject=p\nengine=tiers\nname=t\ntype=machine\nsink_after=1s\nsink_rate=2m\n";
    for kill in 0..KILLS {
        let daemon = Daemon::start(&inside.binaries)?;
        let left = Zram::number("writeback_limit", 0)?;
        let written = Zram::number("bd_stat", 2)?;
        ensure!(left == 1_000_000 - written, "before kill {kill}: {left} is left after {written} pages");
        daemon.add(text)?;
        daemon.must(&["project", "start", "-n", "p"])?;
        let is_set = || Ok(Zram::number("writeback_limit", 0)? < 100_000);
        let waited = inside.clock.wait_until(LIMIT, "the limit is set", is_set);
        waited.with_context(|| daemon.log())?;
        let _ = inside.clock.pause(Duration::from_millis(kill * 130));
        daemon.kill()?;
        ensure!(Zram::number("writeback_limit", 0)? < 100_000, "it is left set");
    }
    let written = Zram::number("bd_stat", 2)?;
    let daemon = Daemon::start(&inside.binaries)?;
    let left = Zram::number("writeback_limit", 0)?;
    inside.say(format!("after {KILLS} kills {written} pages are written, and {left} of 1000000 are left"));
    ensure!(left == 1_000_000 - written && Zram::number("writeback_limit_enable", 0)? == 1);
    // One that ends puts it back itself.
    daemon.add(text)?;
    daemon.must(&["project", "start", "-n", "p"])?;
    inside.clock.wait_until(LIMIT, "pages are written", || Ok(Zram::number("bd_stat", 2)? > written))?;
    let shown = daemon.must(&["task", "show", "-n", "p"])?;
    println!("{shown}");
    daemon.terminate()?;
    ensure!(Zram::number("writeback_limit", 0)? == 1_000_000 - Zram::number("bd_stat", 2)?);
    program.kill()
}
