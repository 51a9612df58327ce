//! A process to watch: this test's own program, started again, which does to its memory what its commands say.

use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use etmem_core::kernel::process::{Pid, ProcessId, ProcessTable, Target as Named};
use etmem_linux::process::table::Processes;
use etmem_linux::root::ProcRoot;
use memmap2::{Advice, MmapMut, MmapOptions};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

const PLAY: &str = "ETMEM_TEST_PLAY_TARGET";
const PAGE: usize = 4096;
const BLOCK: usize = 2 * 1024 * 1024;

/// Pages that, read one after the other, leave no translation of others in the processor's cache.
const EVICTING_PAGES: usize = 16 * 1024;

/// A part of the program's file, in memory as long as it is read.
static CONSTANT: [u8; CONSTANT_PAGES * PAGE] = [7; CONSTANT_PAGES * PAGE];

/// How large that part is.
pub(crate) const CONSTANT_PAGES: usize = 64;

/// Whether this process is the target, not the test.
pub(crate) fn is_target() -> bool {
    std::env::var_os(PLAY).is_some()
}

/// Memory of the target.
struct Region {
    memory: MmapMut,
    /// Where the first whole block starts.
    offset: usize,
}

impl Region {
    fn new(bytes: usize, kind: &str) -> Self {
        let mut options = MmapOptions::new();
        options.len(bytes + BLOCK);
        if kind == "sparse" {
            options.no_reserve_swap();
        }
        let mut memory = options.map_anon().expect("memory for the target");
        memory.advise(if kind == "huge" { Advice::HugePage } else { Advice::NoHugePage }).expect("advice");
        if kind == "locked" {
            memory.lock().expect("locking memory");
        }
        let offset = memory.as_mut_ptr().align_offset(BLOCK);
        Self { memory, offset }
    }

    fn page(&mut self, number: usize) -> &mut u8 {
        &mut self.memory[self.offset + number * PAGE]
    }
}

/// What a written page holds.
fn mark(number: usize) -> u8 {
    u8::try_from(number % 251).unwrap_or(0) + 1
}

/// Plays the target: obeys lines on standard input until it ends, and answers each.
pub(crate) fn play() -> ExitCode {
    let mut regions: Vec<Option<Region>> = Vec::new();
    println!("ready");
    for line in std::io::stdin().lines() {
        let line = line.expect("a command");
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| words[index].parse::<usize>().expect("a number");
        let answer = match words[0] {
            "map" => {
                let mut region = Region::new(number(1), words[2]);
                let start = std::ptr::from_mut(region.page(0)).addr();
                regions.push(Some(region));
                start
            }
            "write" | "read" => {
                let region = regions[number(1)].as_mut().expect("a region");
                for page in (number(2)..).step_by(number(3)).take(number(4)) {
                    if words[0] == "write" {
                        *region.page(page) = mark(page);
                    } else {
                        black_box(*region.page(page));
                    }
                }
                0
            }
            "intact" => {
                let region = regions[number(1)].as_mut().expect("a region");
                (0..number(2)).filter(|page| *region.page(*page) == mark(*page)).count()
            }
            "unmap" => {
                regions[number(1)] = None;
                0
            }
            "constant" => {
                CONSTANT.iter().step_by(PAGE).for_each(|byte| {
                    black_box(*byte);
                });
                CONSTANT.as_ptr().addr()
            }
            "churn" => {
                std::thread::spawn(move || {
                    loop {
                        let mut region = Region::new(4 * BLOCK, "base");
                        (0..4 * BLOCK / PAGE).for_each(|page| *region.page(page) = 1);
                    }
                });
                0
            }
            "exec" => {
                let error = Command::new("/proc/self/exe").exec();
                panic!("exec: {error}");
            }
            other => panic!("unknown command {other}"),
        };
        println!("{answer}");
    }
    ExitCode::SUCCESS
}

/// The test's end of a target; ends it when dropped.
#[derive(Debug)]
pub(crate) struct Target {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    regions: usize,
}

/// A region of the target: its number there, and where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapped {
    number: usize,
    pub(crate) range: AddressRange,
}

impl Mapped {
    /// Where page `number` of it lies.
    pub(crate) fn address(&self, number: usize) -> u64 {
        self.range.start + number as u64 * PAGE_SIZE
    }

    /// How many pages it has.
    pub(crate) fn pages(&self) -> usize {
        usize::try_from(self.range.bytes() / PAGE_SIZE).unwrap()
    }
}

impl Target {
    /// Starts a target.
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program)
            .env(PLAY, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut target = Self { child, commands, answers, regions: 0 };
        assert_eq!(target.answer(), "ready");
        target
    }

    /// Who it is.
    pub(crate) fn id(&self) -> ProcessId {
        let pid = Pid::new(self.child.id()).unwrap();
        let found = Processes::new(ProcRoot::default()).find(&Named::Pid(pid)).unwrap();
        assert_eq!(found.len(), 1);
        found[0]
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn command(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        self.answer()
    }

    /// Maps `bytes` from the start of a block. Kinds: `base` (never huge pages), `huge`, `sparse` (more than there is
    /// memory), `locked`.
    pub(crate) fn map(&mut self, bytes: u64, kind: &str) -> Mapped {
        let start = self.command(&format!("map {bytes} {kind}")).parse().unwrap();
        assert_eq!(start % BLOCK_SIZE, 0);
        self.regions += 1;
        Mapped { number: self.regions - 1, range: AddressRange::new(start, start + bytes) }
    }

    /// Writes to `count` pages, from the page `first` in steps of `step`.
    pub(crate) fn write(&mut self, region: Mapped, first: usize, step: usize, count: usize) {
        self.command(&format!("write {} {first} {step} {count}", region.number));
    }

    /// Reads of `count` pages, from the page `first` in steps of `step`.
    pub(crate) fn read(&mut self, region: Mapped, first: usize, step: usize, count: usize) {
        self.command(&format!("read {} {first} {step} {count}", region.number));
    }

    /// Reads enough other pages that the processor caches no translation of those touched before.
    pub(crate) fn forget_translations(&mut self) {
        let region = self.map(EVICTING_PAGES as u64 * PAGE_SIZE, "base");
        self.read(region, 0, 1, EVICTING_PAGES);
        self.unmap(region);
    }

    /// How many of the first `count` pages hold what was written there.
    pub(crate) fn intact(&mut self, region: Mapped, count: usize) -> usize {
        self.command(&format!("intact {} {count}", region.number)).parse().unwrap()
    }

    /// Unmaps the region.
    pub(crate) fn unmap(&mut self, region: Mapped) {
        self.command(&format!("unmap {}", region.number));
    }

    /// Reads a part of the program's file, of [`CONSTANT_PAGES`] pages; returns where it lies.
    pub(crate) fn read_constant(&mut self) -> u64 {
        self.command("constant").parse().unwrap()
    }

    /// Maps, touches and unmaps memory from now on without end.
    pub(crate) fn churn(&mut self) {
        self.command("churn");
    }

    /// Replaces its program, by the same once more.
    pub(crate) fn exec(&mut self) {
        assert_eq!(self.command("exec"), "ready");
    }

    /// Ends it.
    pub(crate) fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
