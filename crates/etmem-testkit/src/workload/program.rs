//! The program itself: make the memory, say where it is, touch, obey.
//!
//! Out, a line each: `child FOOTPRINT` for each child, `ready FOOTPRINT`, then `ops N at MILLISECONDS` about four times
//! a second while touching (both counted since the start), and one line in answer to each command. In, a line each:
//!
//! | command | answer |
//! | --- | --- |
//! | `verify` | `verified BYTES` or `damaged ADDRESS`, then one line `child …` for each child |
//! | `unmap-half` | `ready FOOTPRINT` of what is left |
//! | `grow SIZE` | `ready FOOTPRINT`, now larger |
//! | `exec` | the program execs itself with half the memory and says `ready` again |
//! | `jump` | `ready FOOTPRINT`, with other pages hot: in a layout of blocks the next ones |
//! | `idle`, `touch` | `idle`, `touching`: stop touching, go on |
//! | `quit`, end of input | it leaves |
//!
//! The end of input matters: when a test dies, its pipe closes, and nothing is left running.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;
use std::{env, thread};

use anyhow::{Context, Result};
use etmem_core::kernel::pacer::Pacer;

use super::content::Random;
use super::footprint::Footprint;
use super::memory::Memory;
use super::options::Options;
use crate::clock::WallClock;
use crate::size;

/// Touches between two looks at the clock and at the commands: well under a millisecond.
const BATCH: u64 = 4096;
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Runs the workload with the arguments of this process until it receives `quit` or its input ends.
///
/// # Errors
/// Bad arguments, a child that does not start, standard output gone.
pub fn main() -> Result<()> {
    let options = match Options::read(env::args()) {
        Ok(options) => options,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(usage) => usage.exit(),
            Err(error) => return Err(error),
        },
    };
    // A huge page is hot as a whole: this program is about single pages, whatever the machine's setting.
    nix::sys::prctl::set_thp_disable(true).context("cannot turn huge pages off for this program")?;
    Program::new(options)?.run(&commands())
}

fn commands() -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let lines = io::stdin().lines().map_while(io::Result::ok);
        // The program may have ended between two lines; then no process reads this.
        let _ = lines.into_iter().try_for_each(|line| sender.send(line));
    });
    receiver
}

struct Program {
    options: Options,
    memory: Memory,
    children: Vec<Sibling>,
    touching: bool,
}

enum Next {
    GoOn,
    Leave,
}

impl Program {
    fn new(options: Options) -> Result<Self> {
        let children = (0..options.children).map(|number| Sibling::start(&options, number));
        let children: Vec<Sibling> = children.collect::<Result<_>>()?;
        let memory = Memory::new(&options);
        let touching = memory.has_hot();
        let program = Self { options, memory, children, touching };
        program.children.iter().try_for_each(|child| say(&format!("child {}", child.footprint)))?;
        program.say_ready()?;
        Ok(program)
    }

    fn run(mut self, commands: &Receiver<String>) -> Result<()> {
        let clock = WallClock::new();
        let mut random = Random::new(self.options.seed);
        let mut ops = 0_u64;
        let mut said = clock.now();
        loop {
            let command = if self.touching {
                commands.try_recv()
            } else {
                commands.recv().map_err(|_| TryRecvError::Disconnected)
            };
            match command {
                Ok(command) => match self.obey(&command)? {
                    Next::GoOn => {}
                    Next::Leave => return Ok(()),
                },
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {
                    self.memory.touch(&mut random, BATCH);
                    ops += BATCH;
                    if self.options.rest > 0 {
                        let _ = clock.pause(Duration::from_millis(self.options.rest));
                    }
                    let now = clock.now();
                    if now - said >= REPORT_EVERY {
                        said = now;
                        say(&format!("ops {ops} at {}", now.as_millis()))?;
                    }
                }
            }
        }
    }

    fn obey(&mut self, command: &str) -> Result<Next> {
        let (verb, operand) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "verify" => {
                say(&self.verified())?;
                self.children.iter_mut().try_for_each(|child| say(&child.verify()?))?;
            }
            "unmap-half" => {
                self.memory.drop_half();
                self.say_ready()?;
            }
            "jump" => {
                self.memory.jump();
                self.say_ready()?;
            }
            "grow" => match size::parse(operand) {
                Ok(bytes) => {
                    self.memory.grow(bytes);
                    self.say_ready()?;
                }
                Err(why) => say(&format!("refused: {why}"))?,
            },
            "exec" => return Err(self.replace()),
            "idle" => {
                self.touching = false;
                say("idle")?;
            }
            "touch" => {
                self.touching = self.memory.has_hot();
                say("touching")?;
            }
            "quit" => return Ok(Next::Leave),
            _ => say(&format!("refused: unknown command {command:?}"))?,
        }
        Ok(Next::GoOn)
    }

    fn verified(&self) -> String {
        match self.memory.verify() {
            Ok(bytes) => format!("verified {bytes}"),
            Err(address) => format!("damaged {address:x}"),
        }
    }

    fn say_ready(&self) -> Result<()> {
        let footprint =
            Footprint { pid: std::process::id(), memory: self.memory.ranges(), hot: self.memory.hot_rule() };
        say(&format!("ready {footprint}"))
    }

    /// Returns only when the program could not be replaced.
    fn replace(&self) -> anyhow::Error {
        let smaller = Options {
            memory: self.options.memory / 2,
            hot: self.options.hot / 2,
            children: 0,
            ..self.options.clone()
        };
        match env::current_exe() {
            Ok(program) => Command::new(program).args(smaller.arguments()).exec().into(),
            Err(error) => error.into(),
        }
    }
}

/// A child process with memory of its own, all of it cold.
struct Sibling {
    child: Child,
    footprint: Footprint,
    output: BufReader<std::process::ChildStdout>,
}

impl Sibling {
    fn start(options: &Options, number: usize) -> Result<Self> {
        let seed = options.seed + 1 + number as u64;
        let own = Options { hot: 0, children: 0, seed, ..options.clone() };
        let mut child = Command::new(env::current_exe()?)
            .args(own.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a child")?;
        let mut output = BufReader::new(child.stdout.take().context("the child has no output")?);
        let footprint = Footprint::parse(&read_line(&mut output)?)?;
        Ok(Self { child, footprint, output })
    }

    fn verify(&mut self) -> Result<String> {
        writeln!(self.child.stdin.as_ref().context("the child has no input")?, "verify")?;
        Ok(format!("child {} {}", self.footprint.pid, read_line(&mut self.output)?))
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        // It leaves at the end of its input; waiting lets no zombie stay.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn read_line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("no process reads any more")
}
