//! The command line of the workload.

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::size::{self, PAGE};

/// How hot pages lie among cold ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One block at the beginning of each half of the memory.
    Blocks,
    /// Every k-th page.
    Scattered,
}

/// What memory the workload has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes in all, at least two pages.
    pub memory: usize,
    /// Bytes touched at random; the rest is never touched again. 0: the program only waits for commands.
    pub hot: usize,
    /// How they lie.
    pub layout: Layout,
    /// What the content and the order of touches are computed from.
    pub seed: u64,
    /// Child processes, each with as much memory of its own, all of it cold.
    pub children: usize,
    /// Milliseconds to rest after some thousands of touches, where others need the processor; 0: never.
    pub rest: u64,
}

impl Options {
    /// Memory and hot part in bytes, in blocks, seed 1, no children, no rest.
    pub fn new(memory: usize, hot: usize) -> Self {
        Self { memory, hot, layout: Layout::Blocks, seed: 1, children: 0, rest: 0 }
    }

    /// The same with short rests, for tests that do not judge its pace: it touches each page of 32 MiB some eighty times a
    /// second, and takes a few percent of a processor.
    pub fn gentle(memory: usize, hot: usize) -> Self {
        Self { rest: 5, ..Self::new(memory, hot) }
    }

    /// The arguments that say the same.
    pub fn arguments(&self) -> Vec<String> {
        let layout = match self.layout {
            Layout::Blocks => "blocks",
            Layout::Scattered => "scattered",
        };
        vec![
            format!("--memory={}", self.memory),
            format!("--hot={}", self.hot),
            format!("--layout={layout}"),
            format!("--seed={}", self.seed),
            format!("--children={}", self.children),
            format!("--rest={}", self.rest),
        ]
    }

    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// What is missing, unknown or out of range; also the text of `--help`.
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let found = command().try_get_matches_from(arguments)?;
        let options = Self::from_matches(&found)?;
        ensure!(options.memory >= 2 * PAGE, "--memory must be at least {}", 2 * PAGE);
        ensure!(options.hot <= options.memory, "--hot must not be more than --memory");
        ensure!(options.memory / PAGE < 1 << 32, "--memory must be below 16 TiB");
        let even = options.layout == Layout::Blocks || options.hot == 0 || options.memory % options.hot == 0;
        ensure!(even, "--layout scattered needs --memory to be a multiple of --hot");
        Ok(options)
    }

    fn from_matches(found: &ArgMatches) -> Result<Self> {
        let scattered = found.get_one::<String>("layout").is_some_and(|layout| layout == "scattered");
        let number = |name: &str| {
            found.get_one::<usize>(name).copied().with_context(|| format!("--{name} is missing"))
        };
        Ok(Self {
            memory: number("memory")?,
            hot: number("hot")?,
            layout: if scattered { Layout::Scattered } else { Layout::Blocks },
            seed: found.get_one::<u64>("seed").copied().context("--seed is missing")?,
            children: number("children")?,
            rest: found.get_one::<u64>("rest").copied().context("--rest is missing")?,
        })
    }
}

fn command() -> Command {
    Command::new("hotcold")
        .about("Holds memory of which a part is touched at random without pause; takes commands on standard input")
        .arg(Arg::new("memory").long("memory").required(true).value_parser(size::parse).help("size in all"))
        .arg(Arg::new("hot").long("hot").required(true).value_parser(size::parse).help("size of the hot part"))
        .arg(
            Arg::new("layout")
                .long("layout")
                .default_value("blocks")
                .value_parser(PossibleValuesParser::new(["blocks", "scattered"])),
        )
        .arg(Arg::new("seed").long("seed").default_value("1").value_parser(value_parser!(u64)))
        .arg(Arg::new("rest").long("rest").default_value("0").value_parser(value_parser!(u64)))
        .arg(Arg::new("children").long("children").default_value("0").value_parser(value_parser!(usize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options> {
        Options::read(line.split(' ').map(String::from))
    }

    #[test]
    fn arguments_read_back_as_they_were() {
        let options = Options {
            layout: Layout::Scattered,
            seed: 9,
            children: 8,
            rest: 5,
            ..Options::new(1 << 30, 128 << 20)
        };
        let line = std::iter::once(String::from("hotcold")).chain(options.arguments());
        assert_eq!(Options::read(line).unwrap(), options);
    }

    #[test]
    fn refusals_name_the_option() {
        for (line, named) in [
            ("hotcold --hot 1M", "--memory"),
            ("hotcold --memory 1M --hot 2M", "--hot"),
            ("hotcold --memory 4K --hot 0", "--memory"),
            ("hotcold --memory 3M --hot 2M --layout scattered", "--layout"),
            ("hotcold --memory much --hot 2M", "--memory"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
