//! What the kills met, as a table.

use std::time::Duration;

use etmem_testkit::size::MIB;

use crate::damon::Left;
use crate::plan::Phase;
use crate::round::Kill;
use crate::series::{Kind, Series};
use crate::target::Target;

/// Prints how many kills met which phase, for all series and for each.
pub(crate) fn print(outcomes: &[(&Series, &[Kill])], took: Duration) {
    let all: Vec<Kill> = outcomes.iter().flat_map(|(_, kills)| kills.iter().copied()).collect();
    println!("killed in       kills  daemon alive  within  from      to        by series");
    for phase in Phase::ALL {
        let of = |kills: &[Kill]| -> Vec<Kill> {
            kills.iter().filter(|kill| kill.phase == phase).copied().collect()
        };
        let kills = of(&all);
        let delays = || kills.iter().map(|kill| kill.delay.as_millis());
        let all_series: Vec<String> =
            outcomes.iter().map(|(series, kills)| format!("{} {}", series.id, of(kills).len())).collect();
        println!(
            "{:<15} {:>5}  {:>12}  {:>6}  {:>5} ms  {:>5} ms  {}",
            phase.name(),
            kills.len(),
            count(&kills, |kill| kill.alive),
            count(&kills, |kill| kill.within),
            delays().min().unwrap_or(0),
            delays().max().unwrap_or(0),
            all_series.join(", ")
        );
    }
    let busy =
        count(&all, |kill| kill.within && matches!(kill.phase, Phase::Scan | Phase::Look | Phase::Move));
    println!(
        "{} kills, {} of them of a living daemon, {} within their phase, {busy} of one that scanned or moved",
        all.len(),
        count(&all, |kill| kill.alive),
        count(&all, |kill| kill.within),
    );
    for (series, kills) in outcomes.iter().filter(|(series, _)| matches!(series.target, Target::Real(_))) {
        let mut out: Vec<usize> =
            kills.iter().filter_map(|kill| kill.done).map(|bytes| bytes / MIB).collect();
        out.sort_unstable();
        println!("{}: MiB out when it was killed while it moved: {out:?}", series.id);
    }
    println!("{} kills left a file for the next daemon", count(&all, |kill| kill.files > 0));
    if outcomes.iter().any(|(series, _)| series.kind == Kind::Damon) {
        let of = |left| format!("{} {left}", count(&all, |kill| kill.damon == Some(left)));
        println!("DAMON was left set: {}", Left::ALL.map(of).join(", "));
    }
    let verified = count(&all, |kill| kill.verified > 0);
    let bytes: usize = all.iter().map(|kill| kill.verified).sum();
    println!("every byte read back in {verified} rounds, {} MiB in all; {took:?}", bytes / MIB);
}

fn count(kills: &[Kill], wanted: impl Fn(&Kill) -> bool) -> usize {
    kills.iter().filter(|kill| wanted(kill)).count()
}
