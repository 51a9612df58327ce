//! The workload: 320 MiB, of which 16 MiB in one piece and 512 single pages, one in 64, are touched all the time, 32 MiB once in
//! about 14 s, and the rest never. It takes the time of each touch.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::process::Running;
use etmem_testkit::size::{MIB, PAGE};
use etmem_testkit::times::Times;
use memmap2::{Advice, MmapMut, MmapOptions};

pub(crate) const WORD: &str = "--paced-workload";
pub(crate) const MEMORY: usize = 320 * MIB;
/// Where the pages that are touched all the time are: in one piece, and one in `EACH` after it.
const HOT: usize = 16 * MIB / PAGE;
const SINGLE: usize = 512;
const EACH: usize = 64;
/// What is touched now and then comes last.
const WARM: usize = 32 * MIB / PAGE;
const WARM_ROUND: Duration = Duration::from_secs(14);
/// Each of the first is touched once in this time.
const HOT_ROUND: Duration = Duration::from_millis(800);
/// A processor that is emulated is needed by others, too.
const NAP: Duration = Duration::from_millis(20);
/// Enough pages are unmapped at each nap that the processor forgets all its translations, as it does when it runs other programs.
const SCRATCH_PAGES: usize = 64;
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Times of touches, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Touches {
    pub(crate) count: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
}

struct Program {
    memory: MmapMut,
    hot: Vec<usize>,
    warm: Vec<usize>,
    times: Times,
    clock: WallClock,
}

/// Runs it until its input ends.
pub(crate) fn play() -> Result<()> {
    let memory = MmapOptions::new().len(MEMORY).map_anon()?;
    memory.advise(Advice::NoHugePage)?;
    let hot = (0..HOT).chain((0..SINGLE).map(|number| HOT + number * EACH)).collect();
    let pages = MEMORY / PAGE;
    let warm = (pages - WARM..pages).collect();
    let mut program = Program { memory, hot, warm, times: Times::default(), clock: WallClock::new() };
    for page in 0..pages {
        // Half of it compresses, the other half does not: as of a usual program.
        let mut state = (page as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for word in program.memory[page * PAGE..page * PAGE + PAGE / 2].chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_ne_bytes());
        }
    }
    let (sender, commands) = channel();
    thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    say("ready")?;
    program.run(&commands)
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("no process reads any more")
}

impl Program {
    fn run(&mut self, commands: &Receiver<String>) -> Result<()> {
        let (mut hot, mut warm) = (0, 0);
        let mut last = self.clock.now();
        loop {
            match commands.try_recv() {
                Ok(_) => {
                    let times = &self.times;
                    say(&format!("touches {} {} {}", times.count(), times.at(990), times.at(999)))?;
                }
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {}
            }
            let now = self.clock.now();
            let passed = now.saturating_sub(last).min(HOT_ROUND);
            last = now;
            let share = |pages: usize, round: Duration| {
                (pages as u128 * passed.as_micros()).div_ceil(round.as_micros())
            };
            for _ in 0..share(self.hot.len(), HOT_ROUND) {
                hot = (hot + 1) % self.hot.len();
                self.touch(self.hot[hot]);
            }
            for _ in 0..share(self.warm.len(), WARM_ROUND) {
                warm = (warm + 1) % self.warm.len();
                self.touch(self.warm[warm]);
            }
            let mut scratch = MmapOptions::new().len(SCRATCH_PAGES * PAGE).map_anon()?;
            scratch.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
            drop(scratch);
            let _ = self.clock.pause(NAP);
        }
    }

    fn touch(&mut self, page: usize) {
        let begin = self.clock.now();
        let byte = &mut self.memory[page * PAGE];
        *byte = byte.wrapping_add(1);
        self.times.add(self.clock.now() - begin);
    }
}

/// The other side: a running workload; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Workload {
    running: Running,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Workload {
    /// Starts it by `program`, which is this one in a control group.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        let (running, pipes) =
            Running::start(command.arg(WORD).stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let input = pipes.input.context("no input")?;
        let output = BufReader::new(pipes.output.context("no output")?);
        let (sender, answers) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let workload = Self { running, input, answers };
        ensure!(workload.answer()? == "ready", "it is not ready");
        Ok(workload)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    fn answer(&self) -> Result<String> {
        self.answers.recv_timeout(ANSWER_LIMIT).context("the workload does not answer")
    }

    /// The times of all touches so far.
    pub(crate) fn touches(&mut self) -> Result<Touches> {
        writeln!(self.input, "report")?;
        let answer = self.answer()?;
        let numbers: Vec<u64> = answer.split(' ').skip(1).map(str::parse).collect::<Result<_, _>>()?;
        let [count, p99, p999] = numbers[..] else { anyhow::bail!("{answer:?}") };
        Ok(Touches { count, p99, p999 })
    }

    /// Ends it.
    pub(crate) fn end(self) -> Result<()> {
        drop(self.input);
        self.running.wait(ANSWER_LIMIT).map(drop)
    }
}
