//! The program of `target.c`, in the hands of a test.

use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use etmem_testkit::built;
use etmem_testkit::pagemap::{Place, Residency, look, residency};
use etmem_testkit::size::PAGE;

/// Pages of a target.
pub(crate) const PAGES: usize = 64 << 8;
pub(crate) const HALF: usize = PAGES / 2;

/// A target that lives as long as this.
pub(crate) struct Target {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) memory: Range<usize>,
}

/// Where the program is, here and in a virtual machine.
fn program() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("moved_target")
}

/// The program, compiled.
pub(crate) fn built() -> Result<PathBuf> {
    built::c_program(&Path::new(env!("CARGO_MANIFEST_DIR")).join("moved/target.c"), &program())?;
    Ok(program())
}

impl Target {
    /// Starts it in this role.
    pub(crate) fn start(role: &str) -> Result<Self> {
        let mut command = Command::new(program());
        command.args([role, &PAGES.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take().context("no input")?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let (start, end) = line.trim().split_once('-').with_context(|| format!("{role}: {line:?}"))?;
        let address = |text| usize::from_str_radix(text, 16);
        let memory = address(start)?..address(end)?;
        Ok(Self { child, input, output, memory })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Touches its first or second half.
    pub(crate) fn touch(&mut self, half: usize) -> Result<()> {
        self.ask(&half.to_string())
    }

    fn ask(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line == "done\n", "{line:?}");
        Ok(())
    }

    /// Writes to its first or second half.
    pub(crate) fn touch_writing(&mut self, half: usize) -> Result<()> {
        self.ask(&format!("{half}w"))
    }

    /// Forks a child that reads all of it and ends.
    pub(crate) fn read_in_child(&mut self) -> Result<()> {
        self.ask("f")
    }

    /// Where its pages are.
    pub(crate) fn residency(&self) -> Result<Residency> {
        residency(self.pid(), &self.memory)
    }

    /// Where the pages of one half are.
    pub(crate) fn residency_of(&self, half: usize) -> Result<Residency> {
        let start = self.memory.start + half * HALF * PAGE;
        let mut sum = Residency::default();
        look(self.pid(), &(start..start + HALF * PAGE), |_, place: Place| sum.count(place))?;
        Ok(sum)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
