//! Tests that say why they did not run.

use std::env;
use std::num::ParseIntError;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result};
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

/// The names in `text`, apart by `separator`.
pub fn names(text: &str, separator: char) -> Vec<String> {
    text.split(separator).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Whether `only` names `name`; if it names nothing, everything is meant.
pub fn is_named(only: &[String], name: &str) -> bool {
    only.is_empty() || only.iter().any(|one| one == name)
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
    fn one_that_can_run_is_not() {
        let trial = trial_or_skip("shrinks", &[Need::Program("sh")], || Ok(()));
        assert!(!trial.has_ignored_flag());
        assert_eq!(trial.name(), "shrinks");
    }
}
