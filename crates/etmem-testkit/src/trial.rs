//! Tests that say why they did not run.

use std::env;
use std::num::ParseIntError;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::machine::{self, Need};

/// A test named `name` that runs `body` if this machine has all `needs`; else one that is listed as ignored under
/// `NAME [skipped: REASON]` and fails with the reason when it is run all the same.
pub fn trial_or_skip(
    name: &str,
    needs: &[Need],
    body: impl FnOnce() -> Result<()> + Send + 'static,
) -> Trial {
    match machine::lacks(needs) {
        None => Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:#}")))),
        Some(reason) => {
            let full = format!("{name} [skipped: {reason}]");
            Trial::test(full, move || Err(Failed::from(reason))).with_ignored_flag(true)
        }
    }
}

/// The name of a test that takes too long for every run: it is to be ignored, and `make soak` runs it.
pub fn for_soak(name: &str, minutes: u32) -> String {
    format!("{name} [skipped: takes {minutes} minutes: make soak]")
}

/// Whether the command line asks for the test `name`, for what is prepared for several tests at once.
pub fn is_asked_for(name: &str) -> bool {
    Arguments::from_args().filter.is_none_or(|part| name.contains(&part))
}

/// The number that the environment variable `name` has, or the `usual` one.
///
/// # Errors
/// It is not a number; the message names it.
pub fn asked_number<T: FromStr<Err = ParseIntError>>(name: &str, usual: T) -> Result<T> {
    env::var(name).map_or(Ok(usual), |text| text.parse().with_context(|| format!("{name}={text}")))
}

/// The rows of `all` that the environment variable `ONLY` names, apart by `separator`; all of them if it is not set or empty.
///
/// # Errors
/// A name that no row has; the message lists those that there are.
pub fn only<Row>(all: &'static [Row], name: fn(&Row) -> &str, separator: char) -> Result<Vec<&'static Row>> {
    named(all, name, &env::var("ONLY").unwrap_or_default(), separator)
}

/// The same by `text`, what the variable holds.
///
/// # Errors
/// As `only`.
pub fn named<'a, Row>(
    all: &'a [Row],
    name: fn(&Row) -> &str,
    text: &str,
    separator: char,
) -> Result<Vec<&'a Row>> {
    let wanted: Vec<&str> =
        text.split(separator).map(str::trim).filter(|wanted| !wanted.is_empty()).collect();
    if let Some(unknown) = wanted.iter().find(|wanted| !all.iter().any(|row| name(row) == **wanted)) {
        let known: Vec<&str> = all.iter().map(name).collect();
        bail!("ONLY={text}: there is no {unknown:?}; names go apart by {separator:?}: {}", known.join("; "));
    }
    Ok(all.iter().filter(|row| wanted.is_empty() || wanted.contains(&name(row))).collect())
}

/// Runs `many` tests at a time: those that stand on daemons of their own and share nothing else.
pub fn run_side_by_side(many: usize, trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(many));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs the tests one after the other, since they share the machine's memory and swap.
pub fn run_in_turn(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_test_is_ignored_and_says_why() {
        let trial = trial_or_skip("shrinks", &[Need::Program("no-such-program")], || Ok(()));
        assert!(trial.has_ignored_flag());
        assert!(
            trial.name().starts_with("shrinks [skipped: there is no no-such-program"),
            "{}",
            trial.name()
        );
    }

    #[test]
    fn rows_are_chosen_by_name_and_others_are_refused() {
        let all = ["slide", "engine damon", "none"];
        let chosen =
            |text: &str| named(&all, |row| *row, text, ',').map(|rows| rows.into_iter().copied().collect());
        let is = |rows: &[&'static str]| -> Option<Vec<&str>> { Some(rows.to_vec()) };
        assert_eq!(chosen("").ok(), is(&all));
        assert_eq!(chosen("engine damon, slide,").ok(), is(&["slide", "engine damon"]));
        let error = chosen("slide;none").unwrap_err().to_string();
        assert_eq!(
            error,
            r#"ONLY=slide;none: there is no "slide;none"; names go apart by ',': slide; engine damon; none"#
        );
    }

    #[test]
    fn one_that_can_run_is_not() {
        let trial = trial_or_skip("shrinks", &[Need::Program("sh")], || Ok(()));
        assert!(!trial.has_ignored_flag());
        assert_eq!(trial.name(), "shrinks");
    }
}
