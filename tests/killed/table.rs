//! What the kills hit, as a table.

use std::time::Duration;

use etmem_testkit::size::MIB;

use crate::damon::Left;
use crate::lane::{Kind, Lane};
use crate::plan::Phase;
use crate::round::Hit;
use crate::target::Target;

/// Prints how many kills hit what, phase by phase, for all lanes and each.
pub(crate) fn print(played: &[(&Lane, &[Hit])], took: Duration) {
    let all: Vec<Hit> = played.iter().flat_map(|(_, hits)| hits.iter().copied()).collect();
    println!("killed in       kills  daemon alive  within  from      to        by lane");
    for phase in Phase::ALL {
        let of =
            |hits: &[Hit]| -> Vec<Hit> { hits.iter().filter(|hit| hit.phase == phase).copied().collect() };
        let hits = of(&all);
        let delays = || hits.iter().map(|hit| hit.delay.as_millis());
        let lanes: Vec<String> =
            played.iter().map(|(lane, hits)| format!("{} {}", lane.which, of(hits).len())).collect();
        println!(
            "{:<15} {:>5}  {:>12}  {:>6}  {:>5} ms  {:>5} ms  {}",
            phase.name(),
            hits.len(),
            count(&hits, |hit| hit.alive),
            count(&hits, |hit| hit.within),
            delays().min().unwrap_or(0),
            delays().max().unwrap_or(0),
            lanes.join(", ")
        );
    }
    let busy = count(&all, |hit| hit.within && matches!(hit.phase, Phase::Scan | Phase::Look | Phase::Move));
    println!(
        "{} kills, {} of them of a living daemon, {} within their phase, {busy} of one that scanned or moved",
        all.len(),
        count(&all, |hit| hit.alive),
        count(&all, |hit| hit.within),
    );
    for (lane, hits) in played.iter().filter(|(lane, _)| matches!(lane.target, Target::Real(_))) {
        let mut out: Vec<usize> = hits.iter().filter_map(|hit| hit.done).map(|bytes| bytes / MIB).collect();
        out.sort_unstable();
        println!("{}: MiB out when it was killed while it moved: {out:?}", lane.which);
    }
    println!("{} kills left a file for the next daemon", count(&all, |hit| hit.files > 0));
    if played.iter().any(|(lane, _)| lane.kind == Kind::Damon) {
        let of = |left| format!("{} {left}", count(&all, |hit| hit.damon == Some(left)));
        println!("DAMON was left set: {}", Left::ALL.map(of).join(", "));
    }
    let verified = count(&all, |hit| hit.verified > 0);
    let bytes: usize = all.iter().map(|hit| hit.verified).sum();
    println!("every byte read back in {verified} rounds, {} MiB in all; {took:?}", bytes / MIB);
}

fn count(hits: &[Hit], wanted: impl Fn(&Hit) -> bool) -> usize {
    hits.iter().filter(|hit| wanted(hit)).count()
}
