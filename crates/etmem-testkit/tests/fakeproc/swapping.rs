//! `swap_pages` through the mount.

use std::io::Write;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use etmem_testkit::fake::proc::script::{Script, ScriptedMapping, ScriptedProcess};
use nix::errno::Errno;

use crate::{PAGE, PID, START, Stage, cold, entries, fails_with, hot, one, read};

pub(crate) fn lines(pages: impl IntoIterator<Item = u64>) -> String {
    pages.into_iter().map(|page| format!("0x{:x}\n", START + page * PAGE)).collect()
}

fn kib(text: &str, name: &str) -> Result<u64> {
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).context(name.to_owned())?;
    Ok(line.trim().strip_suffix("kB").context("not in kB")?.trim().parse()?)
}

pub(crate) fn every_file_says_so() -> Result<()> {
    let script = Script {
        memory: 1 << 30,
        swap: 1 << 20,
        ..Script::new(vec![ScriptedProcess::new(
            PID,
            "x",
            vec![ScriptedMapping::private(START, vec![cold(100), hot(10)])],
        )])
    };
    let stage = Stage::with(script)?;
    let figures = |stage: &Stage| -> Result<[u64; 7]> {
        let status = stage.text("status")?;
        let smaps = stage.text("smaps")?;
        let meminfo = std::fs::read_to_string(stage.fake.root().join("meminfo"))?;
        Ok([
            kib(&status, "VmRSS")?,
            kib(&status, "VmSwap")?,
            kib(&smaps, "Rss")?,
            kib(&smaps, "Swap")?,
            (1 << 20) - kib(&meminfo, "MemFree")?,
            kib(&meminfo, "SwapTotal")?,
            kib(&meminfo, "SwapFree")?,
        ])
    };
    ensure!(figures(&stage)? == [440, 0, 440, 0, 440, 1024, 1024], "{:?}", figures(&stage)?);
    let (idle, mut swap) = (stage.idle_pages()?, stage.swap_pages()?);
    read(&idle, START, 32)?;
    swap.write_all(lines(0..50).as_bytes())?;
    ensure!(figures(&stage)? == [240, 200, 240, 200, 240, 1024, 824], "{:?}", figures(&stage)?);
    let stream = read(&idle, START, 32)?;
    let behind = START + 50 * PAGE;
    ensure!(entries(&stream, behind)? == [0x5f, 0x5f, 0x5f, 0x55, 0x0a], "{stream:x?}");
    ensure!(stage.fake.out(PID) == one(START..START + 50 * PAGE));
    // A hot page comes back with the next touch, which is at once; the kernel counts a fault.
    swap.write_all(lines([49, 50, 105]).as_bytes())?;
    ensure!(stage.fake.out(PID) == one(START..START + 51 * PAGE));
    ensure!(stage.fake.ever_out(PID) == [START..START + 51 * PAGE, START + 105 * PAGE..START + 106 * PAGE]);
    let counts = stage.fake.counts(PID);
    ensure!((counts.paged_out, counts.came_back, counts.missed) == (52, 1, 1), "{counts:?}");
    let stat = stage.text("stat")?;
    ensure!(stat.split(' ').nth(11) == Some("1"), "{stat}");
    fails_with(read(&swap, 0, 64), Errno::EBADF, "swap_pages is for writing")?;
    ensure!(stage.fake.violations().is_empty());
    Ok(())
}

pub(crate) fn a_cut_address_is_lost() -> Result<()> {
    let stage = Stage::private(vec![cold(1000)])?;
    let text = lines(0..1000);
    let mut swap = stage.swap_pages()?;
    // Writes of 128 bytes, as of a stream with a small buffer: most of their ends are within an address.
    for piece in text.as_bytes().chunks(128) {
        ensure!(swap.write(piece)? == piece.len());
    }
    let cut = (1..).map(|end| end * 128).take_while(|end| *end < text.len()).filter(|end| {
        // An end around the newline cuts nothing, and behind `0x` the rest is the number still.
        ![0, 2, 14].contains(&(end % 15))
    });
    let lost = u64::try_from(cut.count())?;
    let counts = stage.fake.counts(PID);
    ensure!(lost > 90 && counts.paged_out == 1000 - lost, "{counts:?}, {lost} cut");
    // In one write all of them go, also where it is larger than a buffer of 128 KiB.
    let stage = Stage::private(vec![cold(60_000)])?;
    let text = lines(0..60_000);
    ensure!(text.len() < 1 << 20 && stage.swap_pages()?.write(text.as_bytes())? == text.len());
    ensure!(stage.fake.out(PID) == one(START..START + 60_000 * PAGE), "{:?}", stage.fake.counts(PID));
    ensure!(stage.fake.counts(PID).writes == 1);
    Ok(())
}

pub(crate) fn what_stays() -> Result<()> {
    let pinned = ScriptedMapping { pinned: true, ..ScriptedMapping::private(START, vec![cold(10)]) };
    let stage = Stage::of(vec![pinned])?;
    let mut swap = stage.swap_pages()?;
    swap.write_all(lines([0, 1, 99]).as_bytes())?;
    swap.write_all(b"what is this\n")?;
    let counts = stage.fake.counts(PID);
    ensure!((counts.skipped, counts.missed, counts.nonsense, counts.paged_out) == (2, 1, 1, 0), "{counts:?}");
    ensure!(stage.fake.out(PID).is_empty());
    stage.fake.kill(PID);
    fails_with(swap.write(b"0x1000\n"), Errno::ESRCH, "the process is gone")
}

const IOCTL: &str = r#"
open(my $file, ">", $ARGV[0]) or die "open: $!";
my $argument = pack("L", hex $ARGV[2]);
ioctl($file, hex $ARGV[1], $argument) or die "ioctl: $!";
"#;

pub(crate) fn ioctls() -> Result<()> {
    let stage = Stage::private(vec![cold(10)])?;
    let ioctl = |number: u32, argument: u32| -> Result<()> {
        let output = Command::new("perl")
            .args(["-e", IOCTL])
            .arg(stage.path("swap_pages"))
            .args([format!("{:x}", 0x4004_7700 | number), format!("{argument:x}")])
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    ensure!(stage.fake.watermarks().is_none());
    ioctl(2, 3 | 7 << 8)?;
    ensure!(stage.fake.watermarks() == Some((3, 7)));
    for wrong in [7 | 3 << 8, 5 | 5 << 8, 1 | 101 << 8, 1 << 16 | 2 << 8] {
        ensure!(ioctl(2, wrong).is_err(), "{wrong:#x}");
    }
    ensure!(stage.fake.watermarks() == Some((3, 7)));
    let cached =
        || -> Result<u64> { kib(&std::fs::read_to_string(stage.fake.root().join("meminfo"))?, "SwapCached") };
    stage.fake.set_swap_cached(1 << 39);
    ensure!(cached()? == 1 << 29);
    ioctl(1, 0)?;
    ensure!(stage.fake.reclaims() == 1 && cached()? == (4 << 40) / 100 * 3 / 1024);
    ioctl(0, 0)?;
    ensure!(ioctl(3, 0).is_err());
    Ok(())
}
