//! What the runs came to, as a table in Markdown, and what is to hold of it.

use std::fs;

use anyhow::Result;
use etmem_testkit::size::MIB;

use crate::Plan;
use crate::contestants::ALL;
use crate::run::Outcome;

/// What the workload touches, and so needs; beside it the program itself has a little.
const NEEDED: f64 = 60.0;

fn mib(bytes: f64) -> f64 {
    bytes / MIB as f64
}

/// The machine, the settings, and the head of the table.
pub(crate) fn head(swap: &str, plan: &Plan) -> Result<()> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let lists = fs::read_to_string("/sys/kernel/mm/lru_gen/enabled").unwrap_or_default();
    println!(
        "Linux {}, MGLRU {}, {swap}, page-cluster 0, etmem {}",
        kernel.trim(),
        lists.trim(),
        env!("CARGO_PKG_VERSION")
    );
    println!(
        "320 MiB: hot 16 MiB and 512 single pages, warm 32 MiB once in 14 s; {} s each, {} rounds\n",
        plan.seconds, plan.rounds
    );
    for contestant in &plan.contestants {
        println!("- {}: {}", contestant.name, contestant.settings);
    }
    println!(
        "\n| | mean saved, MiB | less zram's growth | resident at the end | refaulted | refaulted / saved | memory some | io some | \
         processor time | touches | touch p99 | p99.9 |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    Ok(())
}

/// Refaulted bytes for each byte saved.
fn price(outcome: &Outcome) -> f64 {
    if outcome.saved > 0.0 { outcome.refaulted / outcome.saved } else { 0.0 }
}

/// A run.
pub(crate) fn row(outcome: &Outcome) -> String {
    let Outcome { name, saved, saved_net, resident, refaulted, memory_some, io_some, processor, touches } =
        outcome;
    format!(
        "| {name} | {:.1} | {:.1} | {:.1} | {:.2} | {:.4} | {:.2} % | {:.2} % | {:.2} s | {} | {} µs | {} µs |",
        mib(*saved),
        mib(*saved_net),
        mib(*resident),
        mib(*refaulted),
        price(outcome),
        memory_some * 100.0,
        io_some * 100.0,
        processor.as_secs_f64(),
        touches.count,
        touches.p99,
        touches.p999,
    )
}

/// The mean of `figure` over the runs of the contestant `name`; none if it did not run.
fn mean(outcomes: &[Outcome], name: &str, figure: impl Fn(&Outcome) -> f64) -> Option<f64> {
    let figures: Vec<f64> = outcomes.iter().filter(|one| one.name == name).map(figure).collect();
    (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
}

/// The means of each contestant.
pub(crate) fn means(outcomes: &[Outcome]) {
    println!("\nMeans:");
    for contestant in ALL {
        let of = |figure: fn(&Outcome) -> f64| mean(outcomes, contestant.name, figure);
        if let (Some(saved), Some(resident), Some(price)) =
            (of(|one| one.saved), of(|one| one.resident), of(price))
        {
            println!(
                "- {}: saved {:.1} MiB, resident {:.1} MiB, refaulted / saved {price:.4}",
                contestant.name,
                mib(saved),
                mib(resident)
            );
        }
    }
    println!();
}

/// What is to hold, as far as those that it is about ran.
pub(crate) fn verdicts(outcomes: &[Outcome]) -> Vec<(bool, String)> {
    let saved = |name| mean(outcomes, name, |one| mib(one.saved));
    let prices = |name| mean(outcomes, name, price);
    let mut verdicts = Vec::new();
    let Some((senpai, its_price)) = saved("senpai").zip(prices("senpai")) else { return verdicts };
    if let Some((psi, price)) = saved("psi").zip(prices("psi")) {
        verdicts.push((
            psi >= 0.9 * senpai,
            format!("psi saves {psi:.1} MiB, at least 0.9 of senpai's {senpai:.1}"),
        ));
        let text =
            format!("psi refaults {price:.4} of what it saves, at most half of senpai's {its_price:.4}");
        verdicts.push((price <= its_price / 2.0, text));
    }
    if let Some((slide, price)) = saved("slide").zip(prices("slide")) {
        verdicts
            .push((slide >= senpai, format!("slide saves {slide:.1} MiB, at least senpai's {senpai:.1}")));
        let text =
            format!("slide refaults {price:.4} of what it saves, at most a third of senpai's {its_price:.4}");
        verdicts.push((price <= its_price / 3.0, text));
        let resident = mean(outcomes, "slide", |one| mib(one.resident)).unwrap_or_default();
        verdicts.push((
            resident <= NEEDED,
            format!("slide leaves {resident:.1} MiB in memory, at most {NEEDED}"),
        ));
    }
    verdicts
}
