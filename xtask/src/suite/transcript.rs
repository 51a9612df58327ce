//! Reads what test programs print, announced as `cargo test` announces them, and sums it up.
//!
//! A test that cannot run on this machine is ignored with its reason in its name: `NAME [skipped: REASON]`, or
//! `skipped: REASON` as the kind of a libtest-mimic trial. A plain `#[ignore = "REASON"]` counts as skipped too.
//! What tests print themselves, shown after the list of results, is not taken for results.

/// A test that did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skip {
    /// The test program it belongs to.
    pub(crate) program: String,
    /// Its name.
    pub(crate) name: String,
    /// Why it did not run.
    pub(crate) reason: String,
}

/// What test programs came to.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// How many tests passed.
    pub(crate) passed: u32,
    /// How many failed.
    pub(crate) failed: u32,
    /// Those that failed, as `PROGRAM: NAME`.
    pub(crate) failures: Vec<String>,
    /// Those that were skipped.
    pub(crate) skips: Vec<Skip>,
    program: String,
    place: Place,
    /// How many skips earlier test programs had.
    skips_before: usize,
}

/// Where in the output of a test program the next line lies.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before `running N tests` and after `test result:`.
    #[default]
    Outside,
    /// Among the results, a line each.
    Results,
    /// Among what the failed tests printed.
    Failures,
}

impl Transcript {
    /// Of all that was printed, and whether it ended as a success.
    pub(crate) fn read(output: &str, succeeded: bool) -> Self {
        let mut transcript = Self::default();
        output.lines().for_each(|line| transcript.line(line));
        transcript.end(succeeded);
        transcript
    }

    /// Adds what other programs came to.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
    }

    /// The program named `program` has ended and left processes that hold its output.
    pub(crate) fn left(&mut self, program: &str, orphans: &str) {
        self.failed += 1;
        self.failures.push(format!("{program}: ended, but its output is held by what it left: {orphans}"));
    }

    fn line(&mut self, line: &str) {
        if self.place == Place::Results && program(line).is_some() {
            self.ended_early();
        }
        match self.place {
            Place::Outside => {
                if let Some(program) = program(line) {
                    self.program = program.to_owned();
                } else if line.starts_with("running ")
                    && (line.ends_with(" tests") || line.ends_with(" test"))
                {
                    self.place = Place::Results;
                    self.skips_before = self.skips.len();
                }
            }
            Place::Results | Place::Failures => {
                let totals = ["test result: ok. ", "test result: FAILED. "];
                if let Some(totals) = totals.iter().find_map(|start| line.strip_prefix(start)) {
                    self.place = Place::Outside;
                    self.totals(totals);
                } else if line == "failures:" {
                    self.place = Place::Failures;
                } else if self.place == Place::Results
                    && let Some(result) = line.strip_prefix("test ")
                {
                    self.result(result);
                }
            }
        }
    }

    fn end(&mut self, succeeded: bool) {
        if self.place != Place::Outside {
            self.ended_early();
        }
        if !succeeded && self.failed == 0 {
            self.failed = 1;
            let program = if self.program.is_empty() { "cargo itself" } else { &self.program };
            self.failures.push(format!("{program}: it failed, but no test of it did; see the output"));
        }
    }

    /// The test program was gone before it gave its totals: a crash takes all its tests with it.
    fn ended_early(&mut self) {
        self.place = Place::Outside;
        self.failed += 1;
        self.failures.push(format!("{}: ended before it gave its results", self.program));
    }

    fn result(&mut self, result: &str) {
        if let Some(name) = result.strip_suffix(" ... FAILED") {
            self.failures.push(format!("{}: {}", self.program, name.trim()));
        } else if let Some(name) = result.strip_suffix(" ... ignored") {
            let (name, reason) = without_reason(name);
            self.skip(name, reason);
        } else if let Some((name, reason)) = result.split_once(" ... ignored, ") {
            self.skip(name.trim().to_owned(), reason.to_owned());
        }
    }

    fn skip(&mut self, name: String, reason: String) {
        self.skips.push(Skip { program: self.program.clone(), name, reason });
    }

    fn totals(&mut self, totals: &str) {
        self.passed += count(totals, " passed");
        self.failed += count(totals, " failed");
        let named = self.skips.len() - self.skips_before;
        let ignored = usize::try_from(count(totals, " ignored")).unwrap_or(usize::MAX);
        for _ in named..ignored {
            self.skip("a test".to_owned(), "its line could not be read; see the output".to_owned());
        }
    }

    /// The last line of every run.
    pub(crate) fn closing_line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skips.len())
    }
}

/// The test program that a line of cargo's announces.
fn program(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if let Some(library) = line.strip_prefix("Doc-tests ") {
        return Some(library);
    }
    // Running unittests src/lib.rs (target/debug/deps/etmem_core-0123456789abcdef)
    let path = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once('(')?.1;
    let file = path.rsplit('/').next()?;
    Some(file.rsplit_once('-').map_or(file, |(name, _hash)| name))
}

/// Takes `[skipped: REASON]` out of a test's name.
fn without_reason(name: &str) -> (String, String) {
    const MARK: &str = "[skipped: ";
    let parts = name.split_once(MARK).and_then(|(before, rest)| {
        let (reason, after) = rest.split_once(']')?;
        Some((format!("{} {}", before.trim(), after.trim()).trim().to_owned(), reason.to_owned()))
    });
    parts.unwrap_or_else(|| (name.trim().to_owned(), "no reason given".to_owned()))
}

/// The number before `what` in `1 passed; 2 failed; ...`.
fn count(totals: &str, what: &str) -> u32 {
    totals.split(['.', ';']).find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = r#"   Compiling etmem-core v0.1.0 (crates/etmem-core)
     Running unittests src/lib.rs (target/debug/deps/etmem_core-2062b32348324769)

running 3 tests
test heat::merges ... ok
test heat::reason ... ignored, needs two nodes: none here
test heat::plain ... ignored

test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/end_to_end.rs (target/debug/deps/end_to_end-5f174929d709a93d)

running 4 tests
test                    redis::reads_back [skipped: not root] ... ignored
test [skipped: no swap] demo                                  ... ignored
test                    starts                                ... ok
test                    stops                                 ... FAILED

failures:

---- stops ----
test x ... ignored
test result: no such thing

failures:
    stops

test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.00s

error: test failed, to rerun pass `-p etmem-tests --test end_to_end`
   Doc-tests etmem_core

running 1 test
test crates/etmem-core/src/lib.rs - (line 1) ... ignored

test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
"#;

    fn read(output: &str) -> Transcript {
        Transcript::read(output, !output.contains("error: "))
    }

    #[test]
    fn a_run_is_summed_up() {
        let transcript = read(OUTPUT);
        assert_eq!(transcript.closing_line(), "2 passed, 1 failed, 5 skipped");
        assert_eq!(transcript.failures, ["end_to_end: stops"]);
        let skips: Vec<_> = transcript
            .skips
            .iter()
            .map(|skip| (skip.program.as_str(), skip.name.as_str(), skip.reason.as_str()))
            .collect();
        assert_eq!(
            skips,
            [
                ("etmem_core", "heat::reason", "needs two nodes: none here"),
                ("etmem_core", "heat::plain", "no reason given"),
                ("end_to_end", "redis::reads_back", "not root"),
                ("end_to_end", "demo", "no swap"),
                ("etmem_core", "crates/etmem-core/src/lib.rs - (line 1)", "no reason given"),
            ]
        );
    }

    #[test]
    fn a_skip_that_cannot_be_named_still_counts() {
        let transcript =
            read("running 2 tests\ntest result: ok. 0 passed; 0 failed; 2 ignored; 0 measured\n");
        assert_eq!(transcript.closing_line(), "0 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn a_test_program_that_crashes_is_a_failure() {
        let one =
            "     Running tests/one.rs (target/debug/deps/one-0123)\n\nrunning 2 tests\ntest a ... ok\n";
        let two = "     Running tests/two.rs (target/debug/deps/two-4567)\n\nrunning 1 test\ntest b ... ok\n\n\
                   test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        for (output, closing_line) in [
            (format!("{one}error: test failed\n{two}"), "1 passed, 1 failed, 0 skipped"),
            (format!("{two}{one}error: test failed\n"), "1 passed, 1 failed, 0 skipped"),
        ] {
            let transcript = read(&output);
            assert_eq!(transcript.closing_line(), closing_line);
            assert_eq!(transcript.failures, ["one: ended before it gave its results"]);
        }
    }

    #[test]
    fn what_programs_came_to_is_added_up() {
        let mut sum = read(OUTPUT);
        sum.add(read(OUTPUT));
        assert_eq!(sum.closing_line(), "4 passed, 2 failed, 10 skipped");
        assert_eq!(sum.failures, ["end_to_end: stops"; 2]);
    }

    #[test]
    fn a_program_that_fails_without_a_failed_test_is_a_failure() {
        let output = "     Running tests/one.rs (target/debug/deps/one-0123)\n\nno test here\n";
        assert_eq!(Transcript::read(output, true).closing_line(), "0 passed, 0 failed, 0 skipped");
        let transcript = Transcript::read(output, false);
        assert_eq!(transcript.closing_line(), "0 passed, 1 failed, 0 skipped");
        assert!(transcript.failures[0].starts_with("one: "), "{:?}", transcript.failures);
    }

    #[test]
    fn a_run_that_does_not_build_is_a_failure() {
        let transcript = read("error: could not compile `etmem-core`\ntest a ... ignored\n");
        assert_eq!(transcript.closing_line(), "0 passed, 1 failed, 0 skipped");
    }
}
