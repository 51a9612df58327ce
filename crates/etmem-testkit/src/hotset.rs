//! A program with one mapping, of huge pages or of base pages, a stretch of which is touched; and the handle by which
//! tests drive it.
//!
//! Out, a line each: `ready START-END` once the memory is filled, and one line in answer to each command. In, a line
//! each:
//!
//! | command | answer |
//! | --- | --- |
//! | `hot OFFSET BYTES` | `hot`: from now on these bytes of the mapping are touched |
//! | `warm OFFSET BYTES MILLISECONDS` | `warm`: from now on these bytes of the mapping are read once in so long |
//! | `pin OFFSET` | `pinned`: the page there is held by the kernel until the program ends |
//! | `verify` | `verified BYTES` or `damaged ADDRESS` |
//! | `quit`, end of input | it leaves |
//!
//! Now and then it makes the processor forget its translations, as a program does that shares its processor with others:
//! what lies in the processor's cache of them is touched without a trace in the page tables.

use std::env;
use std::io::{self, BufRead, BufReader, IoSlice, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Arg, ArgAction};
use etmem_core::kernel::pacer::Pacer;
use memmap2::{Advice, MmapMut, MmapOptions};
use nix::fcntl::{SpliceFFlags, vmsplice};

use crate::clock::WallClock;
use crate::process::Running;
use crate::size::{self, PAGE};
use crate::workload::content::Random;

const BLOCK: usize = 2 << 20;
/// Touches between two looks at the commands.
const BATCH: usize = 2048;
/// Between two batches: a processor that is emulated is needed by others, too.
const NAP: Duration = Duration::from_millis(2);
/// More pages than the kernel drops from the translation buffer one by one: it drops all (`arch/x86/mm/tlb.c`).
const SCRATCH_PAGES: usize = 64;
/// How often it does: a look of the kernel passes over a process whose mappings are being changed (`walk_mm`, mm/vmscan.c).
const FORGETS: Duration = Duration::from_millis(50);
/// A page begins with its number and `MARK`, and has a byte behind that is touched.
const MARK: u64 = 0x686f_7473_6574_0000;
const TOUCHED: usize = 64;
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// What memory it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes, a multiple of 2 MiB.
    pub memory: usize,
    /// Bytes that are touched to begin with, from the first on.
    pub hot: usize,
    /// Of the huge page pool, not base pages.
    pub huge: bool,
}

/// Runs the program with the arguments of this process until its input ends.
///
/// # Errors
/// Bad arguments, no such memory, standard output gone.
pub fn main() -> Result<()> {
    let size = |name: &'static str| Arg::new(name).long(name).required(true).value_parser(size::parse);
    let arguments = clap::Command::new("hotset")
        .about("Holds memory of which a stretch is touched without pause; takes commands on standard input")
        .arg(size("memory").help("size, a multiple of 2 MiB"))
        .arg(size("hot").help("how much of it is touched to begin with"))
        .arg(Arg::new("huge").long("huge").action(ArgAction::SetTrue).help("of the pool of huge pages"))
        .try_get_matches_from(env::args());
    let found = match arguments {
        Ok(found) => found,
        Err(usage) => usage.exit(),
    };
    let number = |name| found.get_one::<usize>(name).copied().context("a size is missing");
    let options = Options { memory: number("memory")?, hot: number("hot")?, huge: found.get_flag("huge") };
    ensure!(
        options.memory > 0 && options.memory.is_multiple_of(BLOCK),
        "--memory must be a multiple of 2 MiB"
    );
    ensure!(options.hot <= options.memory, "--hot must not be more than --memory");
    Program::new(options)?.run(&commands())
}

fn commands() -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut lines = io::stdin().lines().map_while(io::Result::ok);
        // The program may have ended between two lines; then no process reads this.
        let _ = lines.try_for_each(|line| sender.send(line));
    });
    receiver
}

struct Program {
    memory: MmapMut,
    first: usize,
    pages: usize,
    hot: Range<usize>,
    warm: Option<Warm>,
    /// When the processor next forgets its translations.
    forgets: Duration,
    pinned: Vec<[OwnedFd; 2]>,
}

/// Pages that are read now and then.
struct Warm {
    pages: Range<usize>,
    every: Duration,
    next: Duration,
}

impl Program {
    fn new(options: Options) -> Result<Self> {
        let mut mapping = MmapOptions::new();
        let memory = if options.huge {
            mapping
                .len(options.memory)
                .huge(Some(21))
                .map_anon()
                .context("no huge pages; is the pool large enough?")?
        } else {
            let memory = mapping.len(options.memory + BLOCK).map_anon()?;
            memory.advise(Advice::NoHugePage)?;
            // Unlike any other mapping, so that the kernel does not make one of the two.
            memory.advise(Advice::DontDump)?;
            memory
        };
        let first = memory.as_ptr().align_offset(BLOCK);
        let pages = options.memory / PAGE;
        let mut program = Self {
            memory,
            first,
            pages,
            hot: 0..options.hot / PAGE,
            warm: None,
            forgets: Duration::ZERO,
            pinned: Vec::new(),
        };
        for page in 0..pages {
            program.page(page)[..8].copy_from_slice(&mark(page).to_ne_bytes());
        }
        let start = program.memory.as_ptr().addr() + first;
        say(&format!("ready {start:x}-{:x}", start + options.memory))?;
        Ok(program)
    }

    fn page(&mut self, number: usize) -> &mut [u8] {
        let start = self.first + number * PAGE;
        &mut self.memory[start..start + PAGE]
    }

    fn run(mut self, commands: &Receiver<String>) -> Result<()> {
        let clock = WallClock::new();
        let mut random = Random::new(1);
        loop {
            match commands.try_recv() {
                Ok(line) if line == "quit" => return Ok(()),
                Ok(line) => {
                    let answer = self.obey(&line).unwrap_or_else(|error| format!("refused: {error:#}"));
                    say(&answer)?;
                }
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {
                    self.touch(&mut random);
                    if self.forgets <= clock.now() {
                        self.forgets = clock.now() + FORGETS;
                        forget_translations()?;
                    }
                    self.keep_warm(clock.now())?;
                    let _ = clock.pause(NAP);
                }
            }
        }
    }

    fn touch(&mut self, random: &mut Random) {
        let hot = self.hot.clone();
        for _ in 0..if hot.is_empty() { 0 } else { BATCH } {
            let byte = &mut self.page(hot.start + random.below(hot.len()))[TOUCHED];
            *byte = byte.wrapping_add(1);
        }
    }

    /// Reads the warm pages, if it is time `now`.
    fn keep_warm(&mut self, now: Duration) -> Result<()> {
        let Some(warm) = self.warm.as_mut().filter(|warm| warm.next <= now) else { return Ok(()) };
        warm.next = now + warm.every;
        let pages = warm.pages.clone();
        forget_translations()?;
        for page in pages {
            let _ = std::hint::black_box(self.page(page)[TOUCHED]);
        }
        Ok(())
    }

    fn obey(&mut self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let number =
            |at: usize| -> Result<usize> { Ok(words.get(at).context("a word is missing")?.parse()?) };
        let stretch = || -> Result<Range<usize>> {
            let (start, count) = (number(1)? / PAGE, number(2)? / PAGE);
            ensure!(start + count <= self.pages, "that is not within the memory");
            Ok(start..start + count)
        };
        match words[0] {
            "hot" => {
                self.hot = stretch()?;
                Ok("hot".to_owned())
            }
            "warm" => {
                let every = Duration::from_millis(number(3)?.try_into()?);
                self.warm = Some(Warm { pages: stretch()?, every, next: Duration::ZERO });
                Ok("warm".to_owned())
            }
            "pin" => {
                let page = number(1)? / PAGE;
                ensure!(page < self.pages, "that is not within the memory");
                let (from, to) = nix::unistd::pipe()?;
                // What is in the pipe is the page itself, so the kernel holds on to it.
                vmsplice(&to, &[IoSlice::new(self.page(page))], SpliceFFlags::empty())?;
                self.pinned.push([from, to]);
                Ok("pinned".to_owned())
            }
            "verify" => {
                let damaged = (0..self.pages).find(|&page| self.page(page)[..8] != mark(page).to_ne_bytes());
                Ok(match damaged {
                    None => format!("verified {}", self.pages * PAGE),
                    Some(page) => format!("damaged {:x}", self.page(page).as_ptr().addr()),
                })
            }
            _ => anyhow::bail!("unknown command {line:?}"),
        }
    }
}

/// Has the processor forget the translations that it keeps.
fn forget_translations() -> Result<()> {
    let mut scratch = MmapOptions::new().len(SCRATCH_PAGES * PAGE).map_anon()?;
    scratch.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    Ok(())
}

fn mark(page: usize) -> u64 {
    MARK | page as u64
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("no process reads any more")
}

/// The other side: a running program; it ends when this is dropped.
#[derive(Debug)]
pub struct HotSet {
    running: Running,
    input: ChildStdin,
    answers: Receiver<String>,
    range: Range<usize>,
}

impl HotSet {
    /// Starts `program` and waits until its memory is filled.
    ///
    /// # Errors
    /// It does not start, or cannot have its memory.
    pub fn start(program: &Path, options: Options) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg(format!("--memory={}", options.memory)).arg(format!("--hot={}", options.hot));
        if options.huge {
            command.arg("--huge");
        }
        let (running, pipes) = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let input = pipes.input.context("the program has no input")?;
        let output = BufReader::new(pipes.output.context("the program has no output")?);
        let (sender, answers) = channel();
        thread::spawn(move || {
            let mut lines = output.lines().map_while(Result::ok);
            // The receiver may have ended.
            let _ = lines.try_for_each(|line| sender.send(line));
        });
        let mut started = Self { running, input, answers, range: 0..0 };
        let ready = started.answer("ready ")?;
        let (start, end) = ready.trim_start_matches("ready ").split_once('-').context("not a range")?;
        started.range = usize::from_str_radix(start, 16)?..usize::from_str_radix(end, 16)?;
        Ok(started)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Where its memory is.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Has it touch `bytes` from `offset` on, and no others.
    ///
    /// # Errors
    /// It does not answer.
    pub fn heat(&mut self, offset: usize, bytes: usize) -> Result<()> {
        self.ask(&format!("hot {offset} {bytes}"), "hot").map(drop)
    }

    /// Has it read `bytes` from `offset` on, once in so long, and no others.
    ///
    /// # Errors
    /// It does not answer.
    pub fn keep_warm(&mut self, offset: usize, bytes: usize, every: Duration) -> Result<()> {
        self.ask(&format!("warm {offset} {bytes} {}", every.as_millis()), "warm").map(drop)
    }

    /// Has the kernel hold the page at `offset` where it is.
    ///
    /// # Errors
    /// It does not answer.
    pub fn pin(&mut self, offset: usize) -> Result<()> {
        self.ask(&format!("pin {offset}"), "pinned").map(drop)
    }

    /// Has every page looked at: how many bytes are as they were written.
    ///
    /// # Errors
    /// A page is not.
    pub fn verify(&mut self) -> Result<usize> {
        let answer = self.ask("verify", "verified ")?;
        Ok(answer.trim_start_matches("verified ").parse()?)
    }

    /// Kills it and waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub fn kill(self) -> Result<()> {
        self.running.signal(nix::sys::signal::Signal::SIGKILL)?;
        self.running.wait(ANSWER_LIMIT).map(drop)
    }

    fn ask(&mut self, command: &str, begin: &str) -> Result<String> {
        writeln!(self.input, "{command}")
            .with_context(|| format!("the program does not take {command:?}"))?;
        self.answer(begin)
    }

    fn answer(&self, begin: &str) -> Result<String> {
        let line = self.answers.recv_timeout(ANSWER_LIMIT).context("the program does not answer")?;
        ensure!(line.starts_with(begin), "the program answers {line:?} where {begin:?} was expected");
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_obeys() {
        let mut program = Program::new(Options { memory: 2 * BLOCK, hot: BLOCK, huge: false }).unwrap();
        assert_eq!(program.obey("verify").unwrap(), format!("verified {}", 2 * BLOCK));
        assert_eq!(program.obey(&format!("hot {BLOCK} {BLOCK}")).unwrap(), "hot");
        program.touch(&mut Random::new(1));
        let touched = |program: &mut Program, page: usize| program.page(page)[TOUCHED] > 0;
        assert!(!(0..512).any(|page| touched(&mut program, page)));
        assert!((512..1024).any(|page| touched(&mut program, page)));
        assert_eq!(program.obey("pin 4096").unwrap(), "pinned");
        assert_eq!(program.obey("warm 0 8192 1000").unwrap(), "warm");
        program.keep_warm(Duration::ZERO).unwrap();
        assert_eq!(program.warm.as_ref().unwrap().next, Duration::from_secs(1));
        for wrong in
            ["hot 0 99999999", "warm 0 99999999 1", "warm 0 4096", "hot 0", "pin x", "pin 99999999", "dance"]
        {
            assert!(program.obey(wrong).is_err(), "{wrong}");
        }
        program.page(7)[0] ^= 1;
        assert!(program.obey("verify").unwrap().starts_with("damaged "));
    }
}
