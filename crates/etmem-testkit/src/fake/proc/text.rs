//! A scripted machine as a text: what the program `fakeproc` reads.
//!
//! ```text
//! # A machine, then its processes, each with its mappings, each with its segments in order of address.
//! memory 64G
//! swap 16G
//! modules loaded                          # or unloaded, or unknown to this kernel
//! process 4711 database parent 1 exits 60s
//! map 0x700000000000 rw-p                 # and: inode N, name NAME, marked, pinned
//! pages 1G hot                            # so much memory; a number alone counts pages
//! pages 512 cold then 10s hot then pass 6 hole
//! pages 4M huge written                   # huge, pool or gigantic pages
//! stripes 1G 1 hot, 3 every 5s            # over and over
//! scattered 1G seed 7 one 10 hot, beats 2 of 4 written
//! fault idle_pages read EINTR after 3 times 2
//! fault swap_pages write short 100
//! ```

use std::str::SplitWhitespace;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;

use super::faults::{Call, Fault, File, Planned};
use super::script::{
    Doing, Life, Modules, PAGE, PageSize, Phase, Script, ScriptedMapping, ScriptedProcess, Segment, Texture,
    Touch, When,
};
use crate::size;

/// What a text says: the machine, and the faults to come.
pub type Read = (Script, Vec<Planned>);

/// Reads a text.
///
/// # Errors
/// Names the line, the word and what could stand there.
pub fn parse(text: &str) -> Result<Read> {
    let mut read = (Script::new(Vec::new()), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let said = line.split('#').next().unwrap_or(line);
        let spaced = said.replace(',', " , ");
        let mut words = Words(spaced.split_whitespace());
        if let Some(first) = words.0.next() {
            statement(first, &mut words, &mut read)
                .and_then(|()| words.end())
                .with_context(|| format!("line {}: {:?}", number + 1, line.trim()))?;
        }
    }
    check(&read.0)?;
    Ok(read)
}

fn statement(first: &str, words: &mut Words<'_>, (script, faults): &mut Read) -> Result<()> {
    match first {
        "memory" => script.memory = words.bytes()?,
        "swap" => script.swap = words.bytes()?,
        "modules" => {
            script.modules = match words.next("loaded, unloaded or unknown")? {
                "loaded" => Modules::Loaded,
                "unloaded" => Modules::Unloaded,
                "unknown" => Modules::Unknown,
                other => bail!("{other:?} is not loaded, unloaded or unknown"),
            };
        }
        "process" => {
            let pid = words.number("a pid")?;
            let mut process = ScriptedProcess::new(u32::try_from(pid)?, words.next("a name")?, Vec::new());
            while let Some(word) = words.0.next() {
                match word {
                    "parent" => process.parent = u32::try_from(words.number("a pid")?)?,
                    "start" => process.start_time = words.number("clock ticks")?,
                    "exits" => process.exits = Some(words.when()?),
                    other => bail!("{other:?} is not parent, start or exits"),
                }
            }
            script.processes.push(process);
        }
        "map" => {
            let mapping = mapping(words)?;
            let process = script.processes.last_mut().context("a map needs a process above it")?;
            process.mappings.push(mapping);
        }
        "pages" | "stripes" | "scattered" => {
            let segment = segment(first, words)?;
            let mapping = script.processes.last_mut().and_then(|process| process.mappings.last_mut());
            mapping.with_context(|| format!("{first} needs a map above it"))?.segments.push(segment);
        }
        "fault" => {
            let pid = script.processes.last().context("a fault needs a process above it")?.pid;
            faults.push(fault(pid, words)?);
        }
        other => bail!(
            "{other:?} is none of memory, swap, modules, process, map, pages, stripes, scattered and fault"
        ),
    }
    Ok(())
}

fn mapping(words: &mut Words<'_>) -> Result<ScriptedMapping> {
    let mut mapping = ScriptedMapping::private(words.number("an address")?, Vec::new());
    mapping.permissions = words.next("permissions like rw-p")?.to_owned();
    if mapping.permissions.len() != 4 {
        bail!("{:?} are not permissions like rw-p", mapping.permissions);
    }
    while let Some(word) = words.0.next() {
        match word {
            "inode" => mapping.inode = words.number("an inode")?,
            "name" => mapping.name = words.next("a name")?.to_owned(),
            "marked" => mapping.marked = true,
            "pinned" => mapping.pinned = true,
            other => bail!("{other:?} is not inode, name, marked or pinned"),
        }
    }
    Ok(mapping)
}

fn segment(kind: &str, words: &mut Words<'_>) -> Result<Segment> {
    let amount = words.next("how much")?;
    let size = match words.peek() {
        Some("huge") => PageSize::Huge,
        Some("pool") => PageSize::Pool,
        Some("gigantic") => PageSize::Gigantic,
        _ => PageSize::Base,
    };
    if size != PageSize::Base {
        words.0.next();
    }
    let pages = match amount.parse::<u64>() {
        Ok(pages) => pages,
        Err(_) => size::parse(amount).map_err(|reason| anyhow!(reason))? as u64 / size.bytes(),
    };
    if pages == 0 {
        bail!("{amount} is no page");
    }
    let texture = match kind {
        "stripes" => {
            let mut stripes = vec![(words.number("pages")?, words.life()?)];
            while words.comma() {
                stripes.push((words.number("pages")?, words.life()?));
            }
            Texture::Stripes(stripes)
        }
        "scattered" => {
            words.keyword("seed")?;
            let seed = words.number("a seed")?;
            words.keyword("one")?;
            let one_in = words.number("in how many")?.max(1);
            let chosen = words.life()?;
            if !words.comma() {
                bail!("the life of the other pages is missing: write it behind a comma");
            }
            Texture::Scattered { seed, one_in, chosen, others: words.life()? }
        }
        _ => Texture::Solid(words.life()?),
    };
    Ok(Segment { pages, size, texture })
}

fn fault(pid: u32, words: &mut Words<'_>) -> Result<Planned> {
    let file = match words.next("idle_pages or swap_pages")? {
        "idle_pages" => File::IdlePages,
        "swap_pages" => File::SwapPages,
        other => bail!("{other:?} is not idle_pages or swap_pages"),
    };
    let call = match words.next("open, read, write or ioctl")? {
        "open" => Call::Open,
        "read" => Call::Read,
        "write" => Call::Write,
        "ioctl" => Call::Ioctl,
        other => bail!("{other:?} is not open, read, write or ioctl"),
    };
    let length = |words: &mut Words<'_>| -> Result<usize> { Ok(usize::try_from(words.number("bytes")?)?) };
    let fault = match words.next("what happens")? {
        "short" => Fault::Short(length(words)?),
        "torn" => Fault::Torn(length(words)?),
        "garbage" => Fault::Garbage(words.number("a seed")?),
        "nothing" => Fault::Nothing,
        name => Fault::Errno(errno(name)?),
    };
    let mut planned = Planned { pid, file, call, after: 0, times: 1, fault };
    while let Some(word) = words.0.next() {
        match word {
            "after" => planned.after = words.number("calls")?,
            "times" => planned.times = words.number("calls")?,
            other => bail!("{other:?} is not after or times"),
        }
    }
    Ok(planned)
}

fn errno(name: &str) -> Result<i32> {
    let known = (1..134).find(|number| format!("{:?}", Errno::from_raw(*number)) == name);
    known.with_context(|| format!("{name:?} is not short, torn, garbage, nothing or an error like EINTR"))
}

/// What the rest of the machine relies on.
fn check(script: &Script) -> Result<()> {
    for process in &script.processes {
        let mut end = 0;
        for mapping in &process.mappings {
            let at = || format!("process {}, map {:#x}", process.pid, mapping.start);
            if mapping.start < end {
                bail!("{}: begins below the end of the one before it, {end:#x}", at());
            }
            end = mapping.range().end;
            if end <= mapping.start || mapping.start % PAGE != 0 {
                bail!("{}: has no pages, or does not begin with one", at());
            }
            for (range, segment) in mapping.laid_out() {
                if range.start % segment.size.bytes() != 0 {
                    bail!("{}: its {:?} pages begin within one, at {:#x}", at(), segment.size, range.start);
                }
            }
        }
    }
    Ok(())
}

/// The words of a line.
struct Words<'a>(SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn next(&mut self, what: &str) -> Result<&'a str> {
        self.0.next().with_context(|| format!("{what} is missing"))
    }

    fn peek(&self) -> Option<&'a str> {
        self.0.clone().next()
    }

    fn end(&mut self) -> Result<()> {
        self.0.next().map_or(Ok(()), |word| bail!("{word:?} is one word too many"))
    }

    fn keyword(&mut self, keyword: &str) -> Result<()> {
        let word = self.next(keyword)?;
        if word == keyword { Ok(()) } else { bail!("{word:?} stands where {keyword:?} has to") }
    }

    fn comma(&mut self) -> bool {
        let comma = self.peek() == Some(",");
        if comma {
            self.0.next();
        }
        comma
    }

    fn number(&mut self, what: &str) -> Result<u64> {
        let word = self.next(what)?;
        let number = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        number.with_context(|| format!("{word:?} is not {what}"))
    }

    fn bytes(&mut self) -> Result<u64> {
        Ok(size::parse(self.next("a size")?).map_err(|reason| anyhow!(reason))? as u64)
    }

    fn duration(&mut self) -> Result<Duration> {
        let word = self.next("a time like 5s")?;
        let (digits, milliseconds) = match (word.strip_suffix("ms"), word.strip_suffix('s')) {
            (Some(digits), _) => (digits, 1),
            (None, Some(digits)) => (digits, 1000),
            (None, None) => bail!("{word:?} is not a time like 5s or 200ms"),
        };
        let number: u64 =
            digits.parse().with_context(|| format!("{word:?} is not a time like 5s or 200ms"))?;
        Ok(Duration::from_millis(number.saturating_mul(milliseconds)))
    }

    fn when(&mut self) -> Result<When> {
        if self.peek() == Some("pass") {
            self.0.next();
            return Ok(When::Pass(self.number("a pass")?));
        }
        Ok(When::Time(self.duration()?))
    }

    fn life(&mut self) -> Result<Life> {
        let mut life = Life(vec![Phase { from: When::Start, doing: self.doing()? }]);
        while self.peek() == Some("then") {
            self.0.next();
            let from = self.when()?;
            life.0.push(Phase { from, doing: self.doing()? });
        }
        Ok(life)
    }

    fn doing(&mut self) -> Result<Doing> {
        let touch = match self.next("what the pages do")? {
            "hole" => return Ok(Doing::Absent),
            "cold" => Touch::Never,
            "hot" => Touch::Always,
            "written" => return Ok(Doing::Present { touch: Touch::Always, writes: true }),
            "every" => Touch::Every(self.duration()?),
            "beats" => {
                let on = self.number("passes")?;
                self.keyword("of")?;
                Touch::Beats { on, of: self.number("passes")?.max(1) }
            }
            other => bail!("{other:?} is not hole, cold, hot, written, every or beats"),
        };
        let writes = self.peek() == Some("written");
        if writes {
            self.0.next();
        }
        Ok(Doing::Present { touch, writes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the head of this file.
    fn example() -> String {
        let head = include_str!("text.rs").split("//! ```").nth(1).unwrap();
        head.lines().skip(1).map(|line| line.trim_start_matches("//!").to_owned() + "\n").collect()
    }

    #[test]
    fn the_example_means_what_it_says() {
        let (script, faults) = parse(&example()).unwrap();
        let gib = 1 << 30;
        assert_eq!((script.memory, script.swap, script.modules), (64 * gib, 16 * gib, Modules::Loaded));
        let process = &script.processes[0];
        assert_eq!((process.pid, &*process.comm, process.parent), (4711, "database", 1));
        assert_eq!(process.exits, Some(When::Time(Duration::from_secs(60))));
        let segments = &process.mappings[0].segments;
        assert_eq!(
            segments.iter().map(|segment| segment.pages).collect::<Vec<_>>(),
            [1 << 18, 512, 2, 1 << 18, 1 << 18]
        );
        let life = Life::cold().then(When::Time(Duration::from_secs(10)), &Life::hot());
        assert_eq!(segments[1].texture, Texture::Solid(life.then(When::Pass(6), &Life::hole())));
        assert_eq!(
            (segments[2].size, &segments[2].texture),
            (PageSize::Huge, &Texture::Solid(Life::written()))
        );
        let every = Doing::Present { touch: Touch::Every(Duration::from_secs(5)), writes: false };
        assert_eq!(segments[3].texture, Texture::Stripes(vec![(1, Life::hot()), (3, Life::of(every))]));
        let beats = Doing::Present { touch: Touch::Beats { on: 2, of: 4 }, writes: true };
        assert_eq!(
            segments[4].texture,
            Texture::Scattered { seed: 7, one_in: 10, chosen: Life::hot(), others: Life::of(beats) }
        );
        let interrupted = Fault::Errno(4);
        assert_eq!((faults[0].fault, faults[0].after, faults[0].times), (interrupted, 3, 2));
        assert_eq!((faults[1].file, faults[1].fault), (File::SwapPages, Fault::Short(100)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, want) in [
            ("memory", "a size is missing"),
            ("memory much", "not a size"),
            ("modules gone", "loaded, unloaded or unknown"),
            ("processes 1", "none of memory"),
            ("process x y", "\"x\" is not a pid"),
            ("process 1 y child", "parent, start or exits"),
            ("map 0x1000 rw-p", "needs a process"),
            ("pages 1 hot", "needs a map"),
            ("process 1 x\nmap 0x1000 rw", "permissions"),
            ("process 1 x\nmap 0x1000 rw-p\npages 1 warm", "line 3: \"pages 1 warm\": \"warm\""),
            ("process 1 x\nmap 0x1000 rw-p\npages 1 hot hot", "one word too many"),
            ("process 1 x\nmap 0x1000 rw-p\npages 0 hot", "no page"),
            ("process 1 x\nmap 0x1000 rw-p", "has no pages"),
            ("process 1 x\nmap 0x1234 rw-p\npages 1 hot", "does not begin with one"),
            ("process 1 x\nmap 0x1000 rw-p\npages 1 huge hot", "Huge pages begin within one"),
            ("process 1 x\nmap 0x1000 rw-p\npages 2 hot\nmap 0x2000 rw-p\npages 1 hot", "begins below"),
            ("process 1 x\nmap 0x1000 rw-p\nscattered 9 seed 1 one 3 hot", "behind a comma"),
            ("process 1 x\nmap 0x1000 rw-p\npages 1 every 5", "not a time"),
            ("process 1 x\nfault idle_pages read EWHAT", "an error like EINTR"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(want), "{text:?}: {error}");
        }
    }
}
