//! Reads that go wrong, processes that go away, and readers that get in each other's way.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::fake::proc::script::{Life, ScriptedMapping, Segment, When};
use etmem_testkit::fake::proc::script::{PageSize, Script, ScriptedProcess, Texture};
use etmem_testkit::fake::proc::{Call, Fault, File as Which, Planned};
use nix::errno::Errno;

use crate::{PAGE, PID, START, Stage, cold, entries, fails_with, hot, read};

/// The pages of a stream with their kinds, by the rules of the format alone.
fn decode(stream: &[u8]) -> Result<Vec<(u64, u8)>> {
    let (mut at, mut pages, mut bytes) = (None, Vec::new(), stream.iter());
    while let Some(byte) = bytes.next() {
        if *byte == 0xa0 {
            let address: Vec<u8> = bytes.by_ref().take(8).copied().collect();
            at = Some(u64::from_be_bytes(address.try_into().ok().context("a torn address")?));
            continue;
        }
        let at = at.as_mut().context("no address")?;
        ensure!(byte >> 4 != 1 && byte >> 4 < 9, "{byte:x}");
        for _ in 0..byte & 0xf {
            pages.push((*at, byte >> 4));
            *at += PAGE;
        }
    }
    Ok(pages)
}

pub(crate) fn alternating() -> Result<()> {
    let pages = 100_000;
    let texture = Texture::Stripes(vec![(1, Life::hot()), (1, Life::cold())]);
    let stage = Stage::private(vec![Segment { pages, size: PageSize::Base, texture }])?;
    let file = stage.idle_pages()?;
    read(&file, START, 1 << 20)?;
    for room in [1024, 65_536] {
        let (mut seen, mut at, mut reads) = (Vec::new(), START, 0);
        while at < START + pages * PAGE {
            let stream = read(&file, at, room)?;
            let found = decode(&stream)?;
            let last = found.last().context("nothing")?.0;
            seen.extend(found);
            at = last + PAGE;
            reads += 1;
        }
        // The kernel keeps 9 bytes free in each piece of 8000 that it gathers, and needs 9 for the address.
        let pieces = (room / 8000).max(1);
        let most = room - 18 * pieces;
        ensure!(reads >= usize::try_from(pages)? / most, "{reads} reads of {room} bytes");
        ensure!(seen.len() == usize::try_from(pages)?, "{} pages", seen.len());
        // The first walk primed the bits; from then on the odd pages are idle.
        let wrong = (0..)
            .zip(&seen)
            .find(|(number, (at, kind))| *at != START + number * PAGE || (*kind == 0) != (number % 2 == 0));
        ensure!(wrong.is_none(), "{wrong:?}");
    }
    Ok(())
}

fn planned(call: Call, fault: Fault) -> Planned {
    let file = if call == Call::Write { Which::SwapPages } else { Which::IdlePages };
    Planned { pid: PID, file, call, after: 0, times: 1, fault }
}

pub(crate) fn every_fault() -> Result<()> {
    let stage = Stage::private(vec![cold(100), hot(100)])?;
    stage.fake.plan(planned(Call::Open, Fault::Errno(Errno::EBUSY as i32)));
    fails_with(File::open(stage.path("idle_pages")), Errno::EBUSY, "open")?;
    let file = stage.idle_pages()?;
    for errno in [Errno::EINTR, Errno::EFAULT, Errno::EBUSY, Errno::ESRCH, Errno::EIO] {
        stage.fake.plan(planned(Call::Read, Fault::Errno(errno as i32)));
        fails_with(read(&file, START, 4096), errno, "read")?;
    }
    stage.fake.plan(planned(Call::Read, Fault::Nothing));
    ensure!(read(&file, START, 4096)?.is_empty());
    // None of these has cleared anything: the pages still count as touched when they were faulted in.
    stage.fake.plan(planned(Call::Read, Fault::Short(20)));
    let short = read(&file, START, 4096)?;
    ensure!(entries(&short, START)? == [0x0f, 0x0f], "{short:x?}");
    let rest = read(&file, START + 160 * PAGE, 4096)?;
    ensure!(entries(&rest, START + 160 * PAGE)? == [0x0f, 0x0f, 0x0a], "{rest:x?}");
    stage.fake.plan(planned(Call::Read, Fault::Torn(5)));
    ensure!(read(&file, START, 4096)?.len() == 5);
    let whole = read(&file, START, 4096)?;
    for seed in 0..3 {
        stage.fake.plan(planned(Call::Read, Fault::Garbage(seed)));
        let garbage = read(&file, START, 4096)?;
        ensure!(garbage.len() == whole.len() && garbage != whole, "{garbage:x?}");
    }
    ensure!(read(&file, START, 4096)? == whole, "the faults are over");
    ensure!(stage.fake.violations().is_empty());
    Ok(())
}

pub(crate) fn exit_in_mid_scan() -> Result<()> {
    let stage = Stage::private(vec![cold(1000)])?;
    let file = stage.idle_pages()?;
    read(&file, START, 32)?;
    stage.fake.kill(PID);
    fails_with(read(&file, START + 256 * PAGE, 32), Errno::ESRCH, "read")?;
    fails_with(File::open(stage.path("maps")), Errno::ENOENT, "open")?;
    ensure!(!stage.fake.root().join(PID.to_string()).exists());
    let listed: Vec<_> = std::fs::read_dir(stage.fake.root())?.collect::<std::io::Result<_>>()?;
    ensure!(listed.iter().all(|entry| entry.file_name() != PID.to_string().as_str()));
    Ok(())
}

pub(crate) fn exec_in_mid_scan() -> Result<()> {
    let stage = Stage::private(vec![cold(100)])?;
    let file = stage.idle_pages()?;
    read(&file, START, 32)?;
    let maps = File::open(stage.path("maps"))?;
    ensure!(!read(&maps, 0, 32)?.is_empty());
    let mapping = ScriptedMapping::private(START + (1 << 30), vec![cold(7)]);
    stage.fake.exec(PID, vec![mapping]);
    fails_with(read(&file, START, 32), Errno::ESRCH, "what was opened before")?;
    ensure!(read(&maps, 0, 32)?.is_empty(), "the mappings of a program that is gone");
    drop(file);
    let start = START + (1 << 30);
    ensure!(entries(&read(&stage.idle_pages()?, start, 32)?, start)? == [0x07]);
    ensure!(stage.text("maps")?.starts_with("700040000000-"));
    Ok(())
}

pub(crate) fn two_scans_at_once() -> Result<()> {
    let stage = Stage::private(vec![cold(100)])?;
    for _ in 0..3 {
        // One after the other is as it should be, and so is one that is open and unused.
        let (first, _unused) = (stage.idle_pages()?, stage.idle_pages()?);
        read(&first, START, 32)?;
    }
    ensure!(stage.fake.violations().is_empty(), "{:?}", stage.fake.violations());
    let (first, second) = (stage.idle_pages()?, stage.idle_pages()?);
    read(&first, START, 32)?;
    read(&second, START, 32)?;
    ensure!(stage.fake.violations() == [format!("{PID}/idle_pages: used through two descriptors at once")]);
    Ok(())
}

pub(crate) fn phases_by_time() -> Result<()> {
    let after = |seconds| When::Time(Duration::from_secs(seconds));
    let cools = Life::hot().then(after(10), &Life::cold());
    let warms = Life::cold().then(after(10), &Life::written());
    let grows = Life::hole().then(after(10), &Life::cold());
    let segments = [cools, warms, grows].map(|life| Segment::solid(1, life));
    let stage = Stage::private(segments.to_vec())?;
    let kib = |stage: &Stage| -> Result<String> {
        let status = stage.text("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().to_owned())
    };
    for (seconds, want, resident) in [
        (0, &[0x02][..], "8 kB"),
        (5, &[0x01, 0x51], "8 kB"),
        // Until the tenth second the first was touched; since then the second is, and the third is there.
        (11, &[0x01, 0x31, 0x01], "12 kB"),
        (12, &[0x51, 0x31, 0x51], "12 kB"),
    ] {
        stage.clock.pass(Duration::from_secs(seconds).saturating_sub(stage.clock.now()));
        let stream = read(&stage.idle_pages()?, START, 32)?;
        ensure!(entries(&stream, START)? == want, "second {seconds}: {stream:x?}");
        ensure!(kib(&stage)? == resident, "second {seconds}: {}", kib(&stage)?);
    }
    Ok(())
}

/// What is touched through a cached translation does not show until the file is closed.
pub(crate) fn translations_stay_cached_while_the_file_is_open() -> Result<()> {
    let mapping = ScriptedMapping::private(START, vec![Segment::solid(1, Life::hot())]);
    let process = ScriptedProcess::new(PID, "scripted", vec![mapping]);
    let stage = Stage::at_its_worst(Script::new(vec![process]))?;
    let pass = || stage.clock.pass(Duration::from_secs(1));
    let file = stage.idle_pages()?;
    for (look, want) in [("the first", 0x01), ("a second", 0x51), ("a third", 0x51)] {
        ensure!(entries(&read(&file, START, 32)?, START)? == [want], "{look} look");
        pass();
    }
    drop(file);
    pass();
    ensure!(entries(&read(&stage.idle_pages()?, START, 32)?, START)? == [0x01], "touched since then");
    Ok(())
}

/// A program without libraries that opens, sets flags, reads and prints; ioctl(2) has no safe form here.
const SCAN: &str = r#"
use Fcntl qw(:seek);
open(my $file, "<", $ARGV[0]) or die "open: $!";
for my $pair (split /,/, $ARGV[2]) {
    my ($command, $flags) = map { hex } split /:/, $pair;
    my $argument = pack("L", $flags);
    ioctl($file, $command, $argument) or die "ioctl: $!";
}
sysseek($file, $ARGV[1], SEEK_SET) or die "seek: $!";
defined(my $got = sysread($file, my $bytes, 4096)) or die "read: $!";
print unpack("H*", $bytes);
"#;

fn scanned(stage: &Stage, ioctls: &str) -> Result<String> {
    let output = Command::new("perl")
        .args(["-e", SCAN])
        .arg(stage.path("idle_pages"))
        .args([&START.to_string(), ioctls])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    let hexadecimal = String::from_utf8(output.stdout)?;
    Ok(hexadecimal.get(18..).unwrap_or(&hexadecimal).to_owned())
}

pub(crate) fn ioctls() -> Result<()> {
    let first = ScriptedMapping::private(START, vec![cold(512)]);
    let marked =
        ScriptedMapping { marked: true, ..ScriptedMapping::private(START + (2 << 20), vec![cold(3)]) };
    let stage = Stage::of(vec![first, marked])?;
    let add = |number: u32, flags: u32| format!("{:x}:{flags:x}", 0x4004_6600 | number);
    let only_marked = scanned(&stage, &add(2, 0x1000))?;
    ensure!(only_marked == "03", "{only_marked}");
    let taken_back = scanned(&stage, &format!("{},{}", add(2, 0x1000), add(3, 0x1000)))?;
    ensure!(taken_back.starts_with("0f0f") && taken_back.ends_with("53"), "{taken_back}");
    let as_huge = scanned(&stage, &add(0, 0o100_000_000))?;
    ensure!(as_huge == "72", "{as_huge}");
    let no_more = scanned(&stage, &format!("{},{}", add(0, 0o100_000_000), add(1, 0o100_000_000)))?;
    ensure!(no_more.starts_with("5f5f"), "{no_more}");
    ensure!(scanned(&stage, &add(0, 0o200_000_000))?.starts_with("5f5f"));
    ensure!(scanned(&stage, &add(2, 0x8000))?.starts_with("5f5f"), "unknown flags are ignored");
    let refused = scanned(&stage, &add(9, 0)).err().context("an unknown ioctl went well")?.to_string();
    ensure!(refused.contains("not supported"), "{refused}");
    Ok(())
}
