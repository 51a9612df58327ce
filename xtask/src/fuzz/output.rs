//! What libFuzzer tells while it runs and at its end, taken out of its lines.
//!
//! ```text
//!  #1024   pulse  cov: 311 ft: 402 corp: 30/1140b lim: 4 exec/s: 512 rss: 38Mb     a state; NEW, REDUCE, DONE ... alike
//!  stat::average_exec_per_sec:     61234                                           a figure of the end
//!  artifact_prefix='...'; Test unit written to /work/findings/request/crash-0a1b   a finding
//! ```
//!
//! All other lines are kept, as long as they are few: the panic's message is among them.

use std::collections::VecDeque;
use std::path::PathBuf;

/// Most lines that are kept.
const KEPT: usize = 200;

/// What has been told so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Inputs tried.
    pub(crate) executions: u64,
    /// Branches and the like that were reached.
    pub(crate) coverage: u64,
    /// Inputs kept because each reaches something that the others do not.
    pub(crate) kept_inputs: u64,
    /// Inputs tried per second, over the whole run; told at its end.
    pub(crate) per_second: Option<u64>,
    /// The input that a finding was written to.
    pub(crate) finding: Option<PathBuf>,
    rest: VecDeque<String>,
}

impl Told {
    /// Takes in the next line.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(state) = line.strip_prefix('#').filter(|state| state.contains("corp: ")) {
            self.state(state);
        } else if let Some((name, value)) = line.strip_prefix("stat::").and_then(|stat| stat.split_once(':'))
        {
            match (name, value.trim().parse()) {
                ("number_of_executed_units", Ok(number)) => self.executions = number,
                ("average_exec_per_sec", Ok(number)) => self.per_second = Some(number),
                _ => {}
            }
        } else {
            if let Some((_, path)) = line.split_once("Test unit written to ") {
                self.finding = Some(PathBuf::from(path.trim_end()));
            }
            self.rest.push_back(line.to_owned());
            if self.rest.len() > KEPT {
                self.rest.pop_front();
            }
        }
    }

    fn state(&mut self, state: &str) {
        let mut words = state.split_ascii_whitespace();
        if let Some(Ok(number)) = words.next().map(str::parse) {
            self.executions = number;
        }
        while let Some(word) = words.next() {
            match word {
                "cov:" => self.coverage = leading_number(words.next()).unwrap_or(self.coverage),
                "corp:" => self.kept_inputs = leading_number(words.next()).unwrap_or(self.kept_inputs),
                _ => {}
            }
        }
    }

    /// The lines that are neither states nor figures, the last of them.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &str> {
        self.rest.iter().map(String::as_str)
    }
}

/// The number that a word such as `30/1140b` begins with.
fn leading_number(word: Option<&str>) -> Option<u64> {
    word?.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_finding() {
        let mut told = Told::default();
        for line in [
            "INFO: Running with entropic power schedule (0xFF, 100).",
            "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 30Mb",
            "#1024\tpulse  cov: 311 ft: 402 corp: 30/1140b lim: 4 exec/s: 512 rss: 38Mb",
            "#1100\tREDUCE cov: 312 ft: 403 corp: 31/1Kb lim: 4 exec/s: 512 rss: 38Mb L: 3/9 MS: 1 EraseBytes-",
        ] {
            told.line(line);
        }
        assert_eq!((told.executions, told.coverage, told.kept_inputs), (1100, 312, 31));
        assert_eq!((told.per_second, &told.finding), (None, &None));
        for line in ["Done 2000 runs in 4 second(s)", "stat::number_of_executed_units: 2000"] {
            told.line(line);
        }
        told.line("stat::average_exec_per_sec:     500");
        told.line("stat::peak_rss_mb: 40");
        assert_eq!((told.executions, told.per_second), (2000, Some(500)));
        assert_eq!(told.rest().count(), 2);
    }

    #[test]
    fn a_finding() {
        let mut told = Told::default();
        for line in [
            "thread '<unnamed>' panicked at src/request.rs:1:1:",
            "# not a state",
            "artifact_prefix='/t/'; Test unit written to /t/crash-0a1b",
        ] {
            told.line(line);
        }
        assert_eq!(told.finding, Some(PathBuf::from("/t/crash-0a1b")));
        assert_eq!(told.rest().count(), 3);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut told = Told::default();
        for number in 0..1000 {
            told.line(&number.to_string());
        }
        assert_eq!(told.rest().collect::<Vec<_>>().len(), KEPT);
        assert_eq!(told.rest().last(), Some("999"));
    }
}
