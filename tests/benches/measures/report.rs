//! Measures, their bounds, and whether they hold.

use anyhow::Result;
use std::fmt::Display;
use std::process::ExitCode;

/// One figure.
#[derive(Debug)]
pub(crate) struct Measure {
    what: &'static str,
    figure: String,
    bound: Option<(String, bool)>,
}

impl Measure {
    /// A figure that may be at most `bound`.
    pub(crate) fn at_most(what: &'static str, figure: f64, bound: f64, unit: impl Display) -> Self {
        let bound_text = format!("at most {bound:.2} {unit}");
        Self { what, figure: format!("{figure:.2} {unit}"), bound: Some((bound_text, figure <= bound)) }
    }

    /// A figure that must be at least `bound`.
    pub(crate) fn at_least(what: &'static str, figure: f64, bound: f64, unit: impl Display) -> Self {
        let bound_text = format!("at least {bound:.2} {unit}");
        Self { what, figure: format!("{figure:.2} {unit}"), bound: Some((bound_text, figure >= bound)) }
    }

    /// A figure that is only told.
    pub(crate) fn told(what: &'static str, figure: f64, unit: impl Display) -> Self {
        Self { what, figure: format!("{figure:.2} {unit}"), bound: None }
    }
}

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    only: Vec<String>,
    measures: Vec<Measure>,
    missing: Vec<String>,
}

impl Report {
    /// One that takes only the measures whose name holds one of these words; all where there are none.
    pub(crate) fn only(words: impl Iterator<Item = String>) -> Self {
        // Cargo adds options of its own.
        Self { only: words.filter(|word| !word.starts_with('-')).collect(), ..Self::default() }
    }

    /// Measures, and keeps the figures or the reason why there are none.
    pub(crate) fn run(&mut self, name: &str, measure: impl FnOnce() -> Result<Vec<Measure>>) {
        if !self.only.is_empty() && !self.only.iter().any(|word| name.contains(word)) {
            return;
        }
        eprintln!("measuring: {name}");
        match measure() {
            Ok(measures) => self.measures.extend(measures),
            Err(error) => self.missing.push(format!("{name}: {error:#}")),
        }
    }

    /// Prints the table; fails where a bound does not hold or a measure could not be taken.
    pub(crate) fn print(self) -> ExitCode {
        let columns = |what: &str, figure: &str, bound: &str, holds: &str| {
            println!("{what:<66} {figure:>14}   {bound:<22} {holds}");
        };
        columns("measure", "figure", "bound", "holds");
        let mut all_hold = self.missing.is_empty();
        for measure in &self.measures {
            match &measure.bound {
                Some((bound, holds)) => {
                    all_hold &= holds;
                    columns(measure.what, &measure.figure, bound, if *holds { "yes" } else { "NO" });
                }
                None => columns(measure.what, &measure.figure, "", ""),
            }
        }
        for missing in &self.missing {
            println!("not measured: {missing}");
        }
        if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
