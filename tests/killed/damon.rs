//! DAMON's settings as a kill leaves them, on a kernel that has them.

use std::fmt;
use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;

use crate::process::LIMIT;
use crate::series::Series;

const KDAMONDS: &str = "/sys/kernel/mm/damon/admin/kdamonds";
/// What etmem's contexts bear as their update interval, and how many kdamonds it sets up.
const MARK: u64 = u64::from_be_bytes(*b"\0\0\0etmem");
const ALL: usize = 33;

/// What is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Left {
    /// Kdamonds, and no sign whose.
    Unsigned,
    /// Some context has no mark yet.
    HalfMarked,
    /// All have.
    Marked,
}

impl Left {
    pub(crate) const ALL: [Self; 3] = [Self::Unsigned, Self::HalfMarked, Self::Marked];
}

impl fmt::Display for Left {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unsigned => "without a sign",
            Self::HalfMarked => "with a context that was not marked yet",
            Self::Marked => "marked",
        })
    }
}

/// What a file holds, where there is one. DAMON is busy for as long as it starts or ends a kdamond.
fn read(file: &str) -> Result<Option<String>> {
    let mut text = None;
    WallClock::new().wait_until(LIMIT, "DAMON is not busy", || {
        match fs::read_to_string(format!("{KDAMONDS}/{file}")) {
            Ok(read) => text = Some(read.trim().to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::ResourceBusy => return Ok(false),
            Err(error) => return Err(error).with_context(|| file.to_owned()),
        }
        Ok(true)
    })?;
    Ok(text)
}

fn write(file: &str, value: impl fmt::Display) -> Result<()> {
    fs::write(format!("{KDAMONDS}/{file}"), value.to_string()).with_context(|| format!("{file}: {value}"))
}

/// How many kdamonds are set up.
pub(crate) fn count() -> Result<usize> {
    Ok(read("nr_kdamonds")?.context("no DAMON")?.parse()?)
}

/// Whether one of etmem's watches.
pub(crate) fn watches() -> Result<bool> {
    Ok(read("1/state")?.is_some_and(|state| state == "on"))
}

/// What is set now; nothing where nothing is.
pub(crate) fn left() -> Result<Option<Left>> {
    let interval =
        |kdamond: usize| read(&format!("{kdamond}/contexts/0/monitoring_attrs/intervals/update_us"));
    let intervals: Vec<Option<String>> = (0..count()?).map(interval).collect::<Result<_>>()?;
    let mark = MARK.to_string();
    let is_marked = |interval: &String| *interval == mark;
    Ok(match intervals.first() {
        None => None,
        Some(sign) if !sign.as_ref().is_some_and(is_marked) => Some(Left::Unsigned),
        Some(_) if intervals.iter().flatten().all(is_marked) => Some(Left::Marked),
        Some(_) => Some(Left::HalfMarked),
    })
}

/// The moments between two writes are short: here they are made to last.
pub(crate) fn between_two_writes(series: &mut Series) -> Result<()> {
    let folder = series.state_folder();
    let file = folder.join("1-0");
    let written_down = || -> Result<()> {
        fs::create_dir_all(&folder)?;
        Ok(fs::write(&file, "damon /sys\n")?)
    };
    // Nothing tells whose these are.
    write("nr_kdamonds", ALL)?;
    ensure!(left()? == Some(Left::Unsigned));
    series.spawn()?;
    series.until("it listens", || series.listens())?;
    series.must(&["project", "show"])?;
    ensure!(count()? == ALL, "what may be anybody's was taken away");
    series.quit()?;
    for context in [None, Some("0/contexts/nr_contexts")] {
        if let Some(file) = context {
            write(file, 1)?;
        }
        ensure!(left()? == Some(Left::Unsigned));
        written_down()?;
        series.start().context("DAMON is set, and a file in the state folder names it")?;
        series.end()?;
        write("nr_kdamonds", ALL)?;
    }
    // By its sign, without a file.
    write("0/contexts/nr_contexts", 1)?;
    write("0/contexts/0/monitoring_attrs/intervals/update_us", MARK)?;
    write("5/contexts/nr_contexts", 1)?;
    ensure!(left()? == Some(Left::HalfMarked));
    series.start().context("DAMON is set, and its first context has the mark")?;
    series.end()?;
    // Another program's, though a file tells that etmemd was about to set it.
    write("nr_kdamonds", 1)?;
    written_down()?;
    series.spawn()?;
    series.until("it listens", || series.listens())?;
    series.must(&["project", "show"])?;
    ensure!(count()? == 1 && !file.exists(), "{} kdamonds, {}", count()?, file.exists());
    series.quit()?;
    write("nr_kdamonds", 0)?;
    println!("{:?}: its DAMON settings were told apart from others' between two writes", series.clock.now());
    Ok(())
}
