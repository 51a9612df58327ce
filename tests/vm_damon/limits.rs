//! Quotas, reports, and the probe of the same name.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::{ProjectFile, TaskKind};
use etmem_testkit::workload::Footprint;
use etmem_testkit::workload::footprint::HotRule;

use crate::inside::{HOT, Inside, LIMIT, MEMORY, SAMPLE, context, figure, file, read, running};

/// The rows of `showregions`: start, end, accesses.
fn rows(text: &str) -> Result<Vec<(usize, usize, u64)>> {
    let address = |word: &str| usize::from_str_radix(word.trim_start_matches("0x"), 16);
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [start, end, _, accesses, _] = words[..] else { anyhow::bail!("{line:?}") };
        Ok((address(start)?, address(end)?, accesses.parse()?))
    };
    text.lines().skip(1).map(row).collect()
}

pub(crate) fn regions_and_quotas(inside: &Inside) -> Result<()> {
    let program = inside.program()?;
    let daemon = inside.daemon()?;
    let all = "min_size=0\nmax_size=1099511627776\nmin_acc=0\nmax_acc=1000\nmin_age=0\nmax_age=100000\n";
    daemon.add(&file(&format!("{all}action=stat"), &[program.pid()]))?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let Footprint { memory, hot: HotRule::Ranges(hottest), .. } = program.footprint() else {
        anyhow::bail!("the hot part is scattered")
    };
    let mut text = String::new();
    let seen = inside.clock.wait_until(LIMIT, "the hot part shows", || {
        text = daemon.must(&["engine", "showregions", "-n", "p", "-e", "damon"])?;
        if text.starts_with("no regions") {
            return Ok(false);
        }
        let (mut hot, mut cold) = (0, 0);
        for (start, end, accesses) in rows(&text)? {
            let inside = |ranges: &[Range<usize>]| -> usize {
                ranges.iter().map(|range| end.min(range.end).saturating_sub(start.max(range.start))).sum()
            };
            if accesses > 0 {
                hot += inside(hottest);
                cold += inside(memory) - inside(hottest);
            }
        }
        Ok(hot >= HOT * 9 / 10 && cold <= (MEMORY - HOT) / 10)
    });
    seen.with_context(|| format!("{text}\n{hottest:x?}\n{}", daemon.log()))?;
    inside.say(format!("{} regions are listed", text.lines().count() - 1));
    ensure!(figure(&daemon, "tried_bytes")? > 0 && figure(&daemon, "moved_bytes")? == 0);
    daemon.must(&["project", "del", "-n", "p"])?;
    inside.wait_for_nothing("after project del")?;

    daemon.add(&file(&format!("{SAMPLE}action=pageout\nmax_rate=1m\nmax_cpu=50"), &[program.pid()]))?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let exceeded = || Ok(figure(&daemon, "quota_exceeded")? > 0);
    inside.clock.wait_until(LIMIT, "the quota is used up", exceeded).with_context(|| daemon.log())?;
    let context = context()?;
    for (name, value) in [("bytes", "1048576"), ("ms", "500"), ("reset_interval_ms", "1000")] {
        let found = read(&format!("{context}/schemes/0/quotas/{name}"))?;
        ensure!(found == value, "{name}: {found}, not {value}");
    }
    inside.say("the quota is kept, and counted when it is used up");
    daemon.terminate()?;
    inside.wait_for_nothing("after the end")
}

/// A task of slide with tracker=damon beside the engine, and each goes on when the other has gone.
pub(crate) fn beside_the_probe(inside: &Inside) -> Result<()> {
    let (one, other) = (inside.program()?, inside.program()?);
    let daemon = inside.daemon()?;
    daemon.add(&file(&format!("{SAMPLE}action=stat"), &[one.pid()]))?;
    let slide = ProjectFile::new("q").task_with("t", TaskKind::Pid(other.pid()), &["T=1", "tracker=damon"]);
    daemon.add(&slide.to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    daemon.must(&["project", "start", "-n", "q"])?;
    daemon.wait_for_cycles(LIMIT, "p", 3)?;
    daemon.wait_for_cycles(LIMIT, "q", 2)?;
    daemon.must(&["project", "stop", "-n", "q"])?;
    inside.pass(Duration::from_secs(3))?;
    ensure!(running()?.is_some(), "the engine ended with the probe");
    daemon.must(&["project", "start", "-n", "q"])?;
    daemon.must(&["project", "stop", "-n", "p"])?;
    daemon.wait_for_cycles(LIMIT, "q", 2)?;
    ensure!(!daemon.log().contains("in use by another program"), "{}", daemon.log());
    daemon.terminate()?;
    inside.wait_for_nothing("after the end")
}
