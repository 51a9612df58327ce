//! What the stories share: disks, compressed swap before them, programs whose memory goes there, and what the kernel says of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::address::AddressRange;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::mover::PageMover;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{Pid, ProcessId};
use etmem_core::kernel::reader::MemoryReaders;
use etmem_core::kernel::wishes::Wishes;
use etmem_engine::{DeviceReport, ReasonName, ScanLocks, TaskRunner, engine, keys};
use etmem_linux::choice::Interfaces;
use etmem_linux::lasting::{Kept, Setting, SettingJournal};
use etmem_linux::mover::madvise::Madvise;
use etmem_linux::pacer::SystemPacer;
use etmem_linux::process::table::Processes;
use etmem_linux::reader::MachineReaders;
use etmem_linux::root::{ProcRoot, Roots};
use etmem_linux::sinking::machine::MachineSinking;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::hotset::{HotSet, Options};

pub(crate) const PAGE: usize = 4096;
/// Slots that the kernel frees late: 64 for each of two processors (`SWAP_SLOTS_CACHE_SIZE`, mm/swap_slots.c), and a batch.
pub(crate) const LATE: u64 = 200;
/// That of util-linux.
const SWAPON: &str = "/usr/sbin/swapon";
const DEBUG: &str = "/sys/kernel/debug";
const CONFIG: &str = "/sys/kernel/config";

/// The machine that a story happens in.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) binaries: Binaries,
    pub(crate) clock: WallClock,
}

fn run(program: &str, words: &[&str]) -> Result<()> {
    ensure!(Command::new(program).args(words).status()?.success(), "{program} {words:?}");
    Ok(())
}

impl Inside {
    pub(crate) fn new(binaries: Binaries) -> Result<Self> {
        if !Path::new(DEBUG).join("zram").exists() {
            run("mount", &["-t", "debugfs", "none", DEBUG])?;
        }
        if !Path::new(CONFIG).join("nullb").exists() {
            run("mount", &["-t", "configfs", "none", CONFIG])?;
        }
        Ok(Self { binaries, clock: WallClock::new() })
    }

    /// Tells the reader of a failed test how far it came.
    pub(crate) fn say(&self, what: impl AsRef<str>) {
        println!("{:?}: {}", self.clock.now(), what.as_ref());
    }

    pub(crate) fn wait(&self, duration: Duration) {
        let _ = self.clock.pause(duration);
    }

    pub(crate) fn program(&self, memory: usize) -> Result<HotSet> {
        self.program_by(memory, |hotset| Ok(hotset.to_owned()))
    }

    /// The same, started by what `starting` makes of the program.
    pub(crate) fn program_by(
        &self,
        memory: usize,
        starting: impl FnOnce(&Path) -> Result<PathBuf>,
    ) -> Result<HotSet> {
        let hotset = starting(&self.binaries.hotcold.with_file_name("hotset"))?;
        HotSet::start(&hotset, Options { memory, hot: 0, huge: false })
    }
}

/// A disk: of the machine, or in its memory.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Of one in memory.
    folder: Option<PathBuf>,
    pub(crate) device: PathBuf,
}

impl Disk {
    /// That of the machine, a virtio disk.
    pub(crate) fn of_machine() -> Result<Self> {
        let device = PathBuf::from("/dev/vda");
        ensure!(device.exists(), "no virtio disk");
        Ok(Self { folder: None, device })
    }

    /// One in memory.
    pub(crate) fn new(name: &str, mebibytes: usize) -> Result<Self> {
        let folder = Path::new(CONFIG).join("nullb").join(name);
        fs::create_dir(&folder).context("null_blk")?;
        for (file, value) in [("memory_backed", "1"), ("size", &mebibytes.to_string()), ("power", "1")] {
            fs::write(folder.join(file), value).context(file.to_owned())?;
        }
        let index = fs::read_to_string(folder.join("index"))?;
        let by_name = Path::new("/dev").join(name);
        let device =
            if by_name.exists() { by_name } else { PathBuf::from(format!("/dev/nullb{}", index.trim())) };
        ensure!(device.exists(), "{} is not there", device.display());
        Ok(Self { folder: Some(folder), device })
    }

    /// From now on no write to it succeeds.
    pub(crate) fn fails(&self) -> Result<()> {
        let folder = self.folder.as_ref().context("only one in memory can be made to")?;
        let sectors = fs::read_to_string(folder.join("size"))?.trim().parse::<u64>()? << 11;
        fs::write(folder.join("badblocks"), format!("+0-{}", sectors - 1)).context("badblocks")
    }

    /// As swap, of this priority, until `swap_off`.
    pub(crate) fn swap_on(&self, priority: u32) -> Result<()> {
        let device = self.device.to_string_lossy();
        run("mkswap", &[&device])?;
        run(SWAPON, &["-p", &priority.to_string(), &device])
    }

    pub(crate) fn swap_off(&self) -> Result<()> {
        run("swapoff", &[&self.device.to_string_lossy()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = fs::write(folder.join("power"), "0");
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The compressed swap of the machine, of the highest priority.
#[derive(Debug)]
pub(crate) struct Zram;

impl Zram {
    pub(crate) fn file(name: &str) -> PathBuf {
        Path::new("/sys/block/zram0").join(name)
    }

    pub(crate) fn new(bytes: usize, disk: Option<&Disk>) -> Result<Self> {
        fs::write(Self::file("reset"), "1").context("reset")?;
        // A reset leaves the limit of a story before.
        fs::write(Self::file("writeback_limit"), "0").context("writeback_limit")?;
        fs::write(Self::file("writeback_limit_enable"), "0").context("writeback_limit_enable")?;
        let _ = fs::write(Self::file("comp_algorithm"), "lz4");
        if let Some(disk) = disk {
            let device = disk.device.to_string_lossy();
            fs::write(Self::file("backing_dev"), &*device).context("backing_dev")?;
        }
        fs::write(Self::file("disksize"), bytes.to_string()).context("disksize")?;
        run("mkswap", &["/dev/zram0"])?;
        run(SWAPON, &["-p", "100", "/dev/zram0"])?;
        Ok(Self)
    }

    pub(crate) fn swap_off() -> Result<()> {
        run("swapoff", &["/dev/zram0"])
    }

    /// A number of one of its files.
    pub(crate) fn number(file: &str, column: usize) -> Result<u64> {
        let text = fs::read_to_string(Self::file(file))?;
        Ok(text.split_whitespace().nth(column).context(file.to_owned())?.parse()?)
    }

    /// Each slot that is in use: when it was touched last, in microseconds, and whether it is on the disk.
    pub(crate) fn slots() -> Result<BTreeMap<u64, (u64, bool)>> {
        // The kernel takes a buffer that is too small for a line for the end of the list.
        let mut file = File::open(Path::new(DEBUG).join("zram/zram0/block_state"))?;
        let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => text.extend_from_slice(&buffer[..length]),
            }
        }
        let text = String::from_utf8(text)?;
        let slot = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [slot, time, flags] = words[..] else { return None };
            let (seconds, micros) = time.split_once('.')?;
            let time = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
            Some((slot.parse().ok()?, (time, flags.contains('w'))))
        };
        Ok(text.lines().filter_map(slot).collect())
    }
}

impl Drop for Zram {
    fn drop(&mut self) {
        let _ = Self::swap_off();
        let _ = fs::write(Self::file("reset"), "1");
    }
}

/// A part of a program's memory.
pub(crate) fn part(program: &HotSet, offset: usize, bytes: usize) -> AddressRange {
    let start = program.range().start + offset;
    AddressRange::new(start as u64, (start + bytes) as u64)
}

pub(crate) fn identity(program: &HotSet) -> Result<ProcessId> {
    let pid = Pid::new(program.pid()).context("pid 0")?;
    Ok(Processes::new(ProcRoot::default()).identify(pid)?)
}

/// Moves a part of a program's memory to swap.
pub(crate) fn page_out(program: &HotSet, range: AddressRange) -> Result<()> {
    let mover = Madvise::detect(&ProcRoot::default())?;
    let moved = mover.attach(identity(program)?)?.swap_out(&[range])?;
    let out = places(program, range)?.iter().filter(|place| place.is_some()).count();
    ensure!(out as u64 * 4096 >= range.bytes() / 100 * 99, "{out} pages are out of {range:?}: {moved:?}");
    Ok(())
}

/// Touches a part of a program's memory, as the program would.
pub(crate) fn touch(program: &HotSet, range: AddressRange) -> Result<()> {
    Ok(MachineReaders(ProcRoot::default()).attach(identity(program)?)?.touch(&[range])?)
}

/// For each page of a part of a program's memory: its type and offset in swap, if it is there.
pub(crate) fn places(program: &HotSet, range: AddressRange) -> Result<Vec<Option<(u64, u64)>>> {
    let file = File::open(format!("/proc/{}/pagemap", program.pid()))?;
    let mut bytes = vec![0; usize::try_from(range.bytes())? / PAGE * 8];
    file.read_exact_at(&mut bytes, range.start / 4096 * 8)?;
    let place = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        (word >> 62 & 3 == 1).then_some((word & 31, word >> 5 & ((1 << 50) - 1)))
    };
    Ok(bytes.as_chunks().0.iter().map(place).collect())
}

/// Pages of a part of a program's memory that are on the disk, and in zram.
pub(crate) fn on_disk(program: &HotSet, range: AddressRange) -> Result<(usize, usize)> {
    let slots = Zram::slots()?;
    let mut count = (0, 0);
    for (_, offset) in places(program, range)?.into_iter().flatten() {
        match slots.get(&offset) {
            Some((_, true)) => count.0 += 1,
            Some((_, false)) => count.1 += 1,
            None => {}
        }
    }
    Ok(count)
}

/// Keeps no records: these stories are not killed.
#[derive(Debug)]
pub(crate) struct NoJournal;

impl SettingJournal for NoJournal {
    fn record(&self, _: &Setting) -> io::Result<Box<dyn Kept>> {
        Ok(Box::new(()))
    }
}

/// The compressed swap of this machine.
pub(crate) fn machine() -> MachineSinking {
    MachineSinking::new(Roots::default(), Arc::new(NoJournal))
}

/// A task of tiers, stepped by hand.
#[derive(Debug)]
pub(crate) struct Task {
    kernel: Kernel,
    runner: Box<dyn TaskRunner>,
    pacer: SystemPacer,
}

impl Task {
    pub(crate) fn new(lines: &[&str]) -> Result<Self> {
        let text = format!(
            "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=tiers\n\
             [task]\nproject=p\nengine=tiers\nname=t\ntype=machine\n{}\n",
            lines.join("\n")
        );
        let file = etmem_config::parse(Path::new("tiers.yaml"), &text, &keys())?;
        let tiers = engine(&file.engines[0], &ScanLocks::default())?;
        let runner = tiers.work(&file.projects[0], &file.tasks[0])?;
        let chosen = Interfaces::default().kernel(&Wishes { sinking: true, ..Wishes::default() })?;
        let kernel = Kernel { sinking: Some(Arc::new(machine())), ..chosen.kernel };
        Ok(Self { kernel, runner, pacer: SystemPacer::new() })
    }

    /// A cycle: what became of the device.
    pub(crate) fn cycle(&mut self) -> Result<DeviceReport> {
        let report = self.runner.step(&self.kernel, &self.pacer);
        let device = report.devices.iter().flatten().next().cloned();
        let device = device.with_context(|| format!("no device: {report:?}"))?;
        println!("  {}: {}; {:?}", device.device, device.text, device.reason);
        Ok(device)
    }
}

/// The word of the reason that a cycle gave.
pub(crate) fn reason(report: &DeviceReport) -> Option<ReasonName> {
    report.reason.as_ref().map(|reason| reason.name)
}

/// A figure of a cycle, by its name.
pub(crate) fn figure(report: &DeviceReport, name: &str) -> u64 {
    let found = report.figures.amounts().find(|(row, _)| row.name == name);
    found.and_then(|(_, amount)| amount).unwrap_or(0)
}
