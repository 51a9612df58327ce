//! The other side of the workload: start it, read how fast it goes, tell it what to do.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::footprint::Footprint;
use super::options::Options;
use crate::process::Running;

/// For whatever it is asked, and besides for each GiB it has: making as much takes a second, where every instruction is emulated
/// half a minute, and reading it back from slow swap takes longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const ANSWER_LIMIT_OF_A_GIB: Duration = Duration::from_secs(40);

/// How far the workload was at a moment, both counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Touches done.
    pub ops: u64,
    /// When, in milliseconds of the workload's own clock.
    pub milliseconds: u64,
}

impl Sample {
    /// Touches a second between `earlier` and this; 0 where no time lies between.
    pub fn rate_since(self, earlier: Self) -> f64 {
        let milliseconds = self.milliseconds.saturating_sub(earlier.milliseconds);
        if milliseconds == 0 {
            return 0.0;
        }
        self.ops.saturating_sub(earlier.ops) as f64 * 1000.0 / milliseconds as f64
    }
}

/// A running workload; it ends when this is dropped.
#[derive(Debug)]
pub struct Workload {
    running: Running,
    input: ChildStdin,
    answers: Receiver<String>,
    sample: Arc<Mutex<Sample>>,
    footprint: Footprint,
    children: Vec<Footprint>,
    limit: Duration,
}

impl Workload {
    /// Starts `program` and waits until its memory is filled.
    ///
    /// # Errors
    /// It does not start, or says something unexpected.
    pub fn start(program: &Path, options: &Options) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(options.arguments()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let (running, pipes) = Running::start(&mut command)?;
        let input = pipes.input.context("the workload has no input")?;
        let output = BufReader::new(pipes.output.context("the workload has no output")?);
        let sample = Arc::new(Mutex::new(Sample::default()));
        let (sender, answers) = channel();
        let shared = Arc::clone(&sample);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                match parse_sample(&line) {
                    Some(sample) => *shared.lock().unwrap_or_else(PoisonError::into_inner) = sample,
                    None if sender.send(line).is_err() => return,
                    None => {}
                }
            }
        });
        let footprint = Footprint { pid: running.pid(), memory: Vec::new(), hot: super::HotRule::Every(1) };
        let gibs = u32::try_from(options.memory >> 30).unwrap_or(u32::MAX);
        let limit = ANSWER_LIMIT + ANSWER_LIMIT_OF_A_GIB * gibs;
        let children = Vec::new();
        let mut workload = Self { running, input, answers, sample, footprint, children, limit };
        for _ in 0..options.children {
            let child = workload.answer("child ")?;
            workload.children.push(Footprint::parse(&child)?);
        }
        workload.read_ready()?;
        Ok(workload)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Where its memory is.
    pub fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// Where the memory of each child is.
    pub fn children(&self) -> &[Footprint] {
        &self.children
    }

    /// How far it is; at most a quarter of a second old while it touches.
    pub fn sample(&self) -> Sample {
        *self.sample.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has every byte read back, also in the children: how many bytes are as they were written.
    ///
    /// # Errors
    /// A damaged word, with its address and process.
    pub fn verify(&mut self) -> Result<usize> {
        self.send("verify")?;
        let mut bytes = verified(&self.answer("")?)?;
        for _ in 0..self.children.len() {
            bytes += verified(&self.answer("child ")?)?;
        }
        Ok(bytes)
    }

    /// Has the second half of the memory unmapped.
    ///
    /// # Errors
    /// It does not answer.
    pub fn unmap_half(&mut self) -> Result<()> {
        self.send("unmap-half")?;
        self.read_ready()
    }

    /// Has it touch other pages from now on.
    ///
    /// # Errors
    /// It does not answer.
    pub fn jump(&mut self) -> Result<()> {
        self.send("jump")?;
        self.read_ready()
    }

    /// Has it map and fill `bytes` more.
    ///
    /// # Errors
    /// It does not answer.
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        self.send(&format!("grow {bytes}"))?;
        self.read_ready()
    }

    /// Has it exec itself with half the memory, and waits until that is filled.
    ///
    /// # Errors
    /// It does not answer.
    pub fn exec(&mut self) -> Result<()> {
        self.send("exec")?;
        self.read_ready()
    }

    /// Has it stop touching.
    ///
    /// # Errors
    /// It does not answer.
    pub fn idle(&mut self) -> Result<()> {
        self.send("idle")?;
        self.answer("idle").map(drop)
    }

    /// Has it touch again.
    ///
    /// # Errors
    /// It does not answer.
    pub fn touch(&mut self) -> Result<()> {
        self.send("touch")?;
        self.answer("touching").map(drop)
    }

    /// Kills it and waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub fn kill(self) -> Result<()> {
        self.running.signal(Signal::SIGKILL)?;
        self.running.wait(Duration::from_secs(20)).map(drop)
    }

    fn read_ready(&mut self) -> Result<()> {
        self.footprint = Footprint::parse(&self.answer("ready ")?)?;
        Ok(())
    }

    fn send(&mut self, command: &str) -> Result<()> {
        writeln!(self.input, "{command}").with_context(|| format!("the workload does not take {command:?}"))
    }

    fn answer(&self, begin: &str) -> Result<String> {
        let line = self.answers.recv_timeout(self.limit).context("the workload does not answer")?;
        ensure!(line.starts_with(begin), "the workload answers {line:?} where {begin:?} was expected");
        Ok(line)
    }
}

fn parse_sample(line: &str) -> Option<Sample> {
    let (ops, milliseconds) = line.strip_prefix("ops ")?.split_once(" at ")?;
    Some(Sample { ops: ops.parse().ok()?, milliseconds: milliseconds.parse().ok()? })
}

fn verified(line: &str) -> Result<usize> {
    match line.rsplit_once("verified ") {
        Some((_, bytes)) => Ok(bytes.parse()?),
        None => bail!("the workload's memory is not what it wrote: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_give_rates() {
        let early = parse_sample("ops 1000 at 250").unwrap();
        let late = parse_sample("ops 5000 at 750").unwrap();
        assert!((late.rate_since(early) - 8000.0).abs() < 1e-6);
        assert!(early.rate_since(early).abs() < f64::EPSILON);
        assert_eq!(parse_sample("ready pid=1"), None);
    }

    #[test]
    fn damage_is_an_error() {
        assert_eq!(verified("child 17 verified 4096").unwrap(), 4096);
        assert!(verified("damaged 7f00").unwrap_err().to_string().contains("7f00"));
    }
}
