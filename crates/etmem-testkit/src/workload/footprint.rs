//! Where the workload's memory is and which of it is hot, as one line of text between the two sides:
//! `pid=4711 memory=7f00-8000,9000-a000 hot=7f00-7f80,9000-9080` (hexadecimal addresses) or `… hot-every=8`.

use std::fmt;
use std::ops::Range;

use anyhow::{Context, Result, bail};

use crate::pagemap::{self, Place, Residency};
use crate::size::PAGE;

/// Which pages are hot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HotRule {
    /// Those in these ranges of addresses.
    Ranges(Vec<Range<usize>>),
    /// In each range of the memory the first page and every k-th from there.
    Every(usize),
}

/// Where a workload's memory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    /// The process.
    pub pid: u32,
    /// Its ranges of addresses, whole pages.
    pub memory: Vec<Range<usize>>,
    /// Which of them are hot.
    pub hot: HotRule,
}

/// Where the hot and the cold pages are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Places {
    /// The touched part.
    pub hot: Residency,
    /// The rest.
    pub cold: Residency,
}

impl Footprint {
    /// Looks where every page is now.
    ///
    /// # Errors
    /// The process is gone, or its pagemap may not be read.
    pub fn places(&self) -> Result<Places> {
        let mut places = Places::default();
        for range in &self.memory {
            pagemap::look(self.pid, range, |address, place: Place| {
                let side = if self.is_hot(range, address) { &mut places.hot } else { &mut places.cold };
                side.count(place);
            })?;
        }
        Ok(places)
    }

    fn is_hot(&self, range: &Range<usize>, address: usize) -> bool {
        match &self.hot {
            HotRule::Ranges(ranges) => ranges.iter().any(|hot| hot.contains(&address)),
            HotRule::Every(step) => ((address - range.start) / PAGE).is_multiple_of(*step),
        }
    }

    /// Reads what [`Footprint`]'s `Display` wrote.
    ///
    /// # Errors
    /// A field that is missing or not of that form.
    pub fn parse(text: &str) -> Result<Self> {
        let field = |name: &str| {
            let mut words = text.split_whitespace();
            words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let need = |name: &str| field(name).with_context(|| format!("no {name}= in {text:?}"));
        let hot = match (field("hot"), field("hot-every")) {
            (Some(ranges), None) => HotRule::Ranges(parse_ranges(ranges)?),
            (None, Some(step)) => HotRule::Every(step.parse()?),
            (Some(_), Some(_)) | (None, None) => bail!("one of hot= and hot-every= must be in {text:?}"),
        };
        Ok(Self { pid: need("pid")?.parse()?, memory: parse_ranges(need("memory")?)?, hot })
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "pid={} memory={}", self.pid, show_ranges(&self.memory))?;
        match &self.hot {
            HotRule::Ranges(ranges) => write!(out, " hot={}", show_ranges(ranges)),
            HotRule::Every(step) => write!(out, " hot-every={step}"),
        }
    }
}

fn show_ranges(ranges: &[Range<usize>]) -> String {
    if ranges.is_empty() {
        return String::from("-");
    }
    let shown: Vec<String> =
        ranges.iter().map(|range| format!("{:x}-{:x}", range.start, range.end)).collect();
    shown.join(",")
}

fn parse_ranges(text: &str) -> Result<Vec<Range<usize>>> {
    if text == "-" {
        return Ok(Vec::new());
    }
    let range = |part: &str| {
        let (start, end) = part.split_once('-').with_context(|| format!("{part:?} is no range"))?;
        Ok(usize::from_str_radix(start, 16)?..usize::from_str_radix(end, 16)?)
    };
    text.split(',').map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_as_they_were() {
        let memory = vec![0x7000..0x9000, 0xa000..0xc000];
        let two = vec![0x7000..0x8000, 0xa000..0xb000];
        for hot in [HotRule::Ranges(two), HotRule::Ranges(vec![]), HotRule::Every(8)] {
            let footprint = Footprint { pid: 7, memory: memory.clone(), hot };
            assert_eq!(Footprint::parse(&format!("ready {footprint}")).unwrap(), footprint);
        }
    }

    #[test]
    fn a_broken_line_is_refused() {
        for line in
            ["", "pid=1 memory=1-2", "pid=x memory=1-2 hot=-", "pid=1 memory=12 hot=-", "memory=1-2 hot=-"]
        {
            assert!(Footprint::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_rule_counts_pages_from_the_start_of_their_range() {
        let range = 0x5000..0x15000;
        let footprint = Footprint { pid: 1, memory: vec![range.clone()], hot: HotRule::Every(8) };
        let hot: Vec<usize> =
            range.clone().step_by(PAGE).filter(|address| footprint.is_hot(&range, *address)).collect();
        assert_eq!(hot, [0x5000, 0xd000]);
    }
}
