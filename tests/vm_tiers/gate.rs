//! Past zswap, to the disk behind it: what is chosen goes there and nothing else, and `memory.zswap.max` is as it was, also after kills.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::address::AddressRange;
use etmem_core::kernel::mover::PageMover;
use etmem_core::kernel::pacer::Pacer;
use etmem_linux::mover::madvise::Madvise;
use etmem_linux::mover::past_zswap::PastZswap;
use etmem_linux::root::{ProcRoot, Roots};
use etmem_testkit::cgroup::ControlGroup;
use etmem_testkit::daemon::Daemon;
use etmem_testkit::hotset::HotSet;
use etmem_testkit::size::MIB;
use tempfile::TempDir;

use crate::inside::{Disk, Inside, NoJournal, PAGE, identity, page_out, part, touch};

const PARAMETERS: &str = "/sys/module/zswap/parameters";
const MAX: &str = "memory.zswap.max";
const MEMORY: usize = 48 * MIB;
const LIMIT: Duration = Duration::from_secs(60);

/// zswap over a disk that is swap.
struct Zswap(Disk);

impl Zswap {
    fn new() -> Result<Self> {
        let set = |name: &str, value: &str| {
            fs::write(Path::new(PARAMETERS).join(name), value).with_context(|| format!("{name}={value}"))
        };
        set("compressor", "lz4")?;
        set("zpool", "zsmalloc")?;
        set("enabled", "Y")?;
        let disk = Disk::new("swap", 256)?;
        disk.swap_on(5)?;
        Ok(Self(disk))
    }
}

impl Drop for Zswap {
    fn drop(&mut self) {
        let _ = self.0.swap_off();
        let _ = fs::write(Path::new(PARAMETERS).join("enabled"), "N");
    }
}

/// Pages in the pool of zswap, and pages that have gone to disks. The figures of a group lag behind these.
fn places() -> Result<(usize, usize)> {
    let stored = fs::read_to_string("/sys/kernel/debug/zswap/stored_pages")?;
    let vmstat = fs::read_to_string("/proc/vmstat")?;
    let written = vmstat.lines().find_map(|line| line.strip_prefix("pswpout "));
    Ok((stored.trim().parse()?, written.context("no pswpout")?.parse()?))
}

/// A program in a group of its own.
struct Grouped {
    group: ControlGroup,
    program: HotSet,
    _folder: TempDir,
}

impl Grouped {
    fn new(inside: &Inside, name: &str) -> Result<Self> {
        let group = ControlGroup::new(name)?;
        let folder = tempfile::tempdir()?;
        let program = inside.program_by(MEMORY, |hotset| group.starting(hotset, folder.path()))?;
        Ok(Self { group, program, _folder: folder })
    }

    fn max(&self) -> Result<String> {
        Ok(self.group.text(MAX)?.trim().to_owned())
    }

    fn end(self, inside: &Inside) -> Result<()> {
        self.program.kill()?;
        let removed = || Ok(self.group.remove().is_ok());
        inside.clock.wait_until(LIMIT, "the group is empty", removed).map(drop)
    }
}

/// Pages that are in the pool stay there, those that are chosen go to the disk, and those that leave afterwards to the pool again.
pub(crate) fn chosen(inside: &Inside) -> Result<()> {
    let zswap = Zswap::new()?;
    let mut one = Grouped::new(inside, "gate")?;
    let mover = PastZswap::new(
        Arc::new(Madvise::detect(&ProcRoot::default())?),
        Roots::default(),
        Arc::new(NoJournal),
    );
    let piece = 8 * MIB;
    for (round, max) in ["max", "67108864"].into_iter().enumerate() {
        one.group.set(MAX, max)?;
        let at = |number: usize| part(&one.program, (round * 3 + number) * piece, piece);
        let step = |what: &str, range: AddressRange, past: bool| -> Result<(usize, usize)> {
            let before = places()?;
            if past {
                mover.attach(identity(&one.program)?)?.swap_out(&[range])?;
            } else {
                page_out(&one.program, range)?;
            }
            let after = places()?;
            let (pool, disk) = (after.0.abs_diff(before.0), after.1 - before.1);
            inside.say(format!(
                "{what}: {pool} pages more in the pool, {disk} on the disk, of {}",
                piece / PAGE
            ));
            ensure!(one.max()? == max, "{what}: {MAX} is {}", one.max()?);
            Ok((pool, disk))
        };
        // A page in a hundred may be in use just then.
        let all = piece / PAGE / 100 * 99..=piece / PAGE;
        let usual = |(pool, disk): (usize, usize)| all.contains(&pool) && disk == 0;
        ensure!(usual(step("as usual", at(0), false)?));
        let (pool, disk) = step("past zswap", at(1), true)?;
        ensure!(pool == 0 && all.contains(&disk));
        ensure!(usual(step("as usual again", at(2), false)?));
    }
    ensure!(one.program.verify()? == MEMORY, "contents");
    one.end(inside)?;
    drop(zswap);
    Ok(())
}

/// A daemon that is killed while the gate is closed: the next one opens it.
pub(crate) fn killed(inside: &Inside) -> Result<()> {
    killed_times(inside, 10)
}

pub(crate) fn killed_often(inside: &Inside) -> Result<()> {
    killed_times(inside, 100)
}

fn killed_times(inside: &Inside, kills: u64) -> Result<()> {
    let zswap = Zswap::new()?;
    let one = Grouped::new(inside, "killed")?;
    let before = "50331648";
    one.group.set(MAX, before)?;
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue={}\nT=1\nage=none\nmax_refault=none\n\
         max_rate=none\nmax_pressure=none\ndisk_directly=yes\n",
        one.program.pid()
    );
    let (mut closed, mut tries) = (0, 0);
    while closed < kills {
        tries += 1;
        ensure!(tries <= 2 * kills, "of {tries} kills {closed} came while the gate was closed");
        let daemon = Daemon::start(&inside.binaries)?;
        ensure!(one.max()? == before, "after kill {tries}: {MAX} is {}", one.max()?);
        // All of it is in memory, so that there is something to page out.
        touch(&one.program, part(&one.program, 0, MEMORY))?;
        daemon.add(&text)?;
        // Its answer may be late where the machine is busy with others; that it started shows below.
        let started = daemon.etmem(&["project", "start", "-n", "p"])?;
        // It is closed for as long as pages are written: a wait between two looks would miss it.
        let begun = inside.clock.now();
        while one.max()? != "0" {
            ensure!(inside.clock.now() - begun < LIMIT, "it is not closed: {started:?} {}", daemon.log());
        }
        daemon.kill()?;
        closed += u64::from(one.max()? == "0");
    }
    let daemon = Daemon::start(&inside.binaries)?;
    inside.say(format!("of {tries} kills {closed} left the gate closed; {MAX} is {}", one.max()?));
    ensure!(one.max()? == before, "{MAX} is {}", one.max()?);
    ensure!(daemon.log().contains("memory.zswap.max of a control group set: put back"), "{}", daemon.log());
    daemon.terminate()?;
    one.end(inside)?;
    drop(zswap);
    Ok(())
}
