//! All checks, in the order in which they run: a line for each, and what to do about those that fail.

use super::verdict::Verdict;
use super::{
    bpf_object, cargo_runs, circles, generated, licences, links, may_use, plain_words, source_words,
};
use std::path::Path;
use std::process::ExitCode;

/// One check.
#[derive(Debug)]
pub(crate) struct Check {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    run: fn(&Path) -> anyhow::Result<Verdict>,
}

/// Every check; the quick ones first.
pub(crate) const CHECKS: [Check; 12] = [
    Check { name: "may-use", run: may_use::check },
    Check { name: "licences", run: licences::check },
    Check { name: "unsafe-address", run: source_words::check_unsafe },
    Check { name: "proc-paths", run: source_words::check_kernel_paths },
    Check { name: "generated", run: generated::check },
    Check { name: "circles", run: circles::check },
    Check { name: "words", run: plain_words::check },
    Check { name: "links", run: links::check },
    Check { name: "bpf", run: bpf_object::check },
    Check { name: "format", run: cargo_runs::check_format },
    Check { name: "clippy", run: cargo_runs::check_clippy },
    Check { name: "docs", run: cargo_runs::check_docs },
];

/// Runs the checks named in `only`, or all where it is empty, and prints what they found.
pub(crate) fn run(root: &Path, only: &[&str]) -> ExitCode {
    let mut failed = 0;
    for check in CHECKS.iter().filter(|check| only.is_empty() || only.contains(&check.name)) {
        let verdict = (check.run)(root).unwrap_or_else(|error| Verdict::Failed {
            problems: vec![format!("{error:#}")],
            remedy: "the check itself could not run: see the reason above".to_owned(),
        });
        failed += u32::from(matches!(verdict, Verdict::Failed { .. }));
        println!("{}", describe(check.name, &verdict));
    }
    if failed == 0 {
        println!("all checks passed");
        ExitCode::SUCCESS
    } else {
        println!("{failed} of the checks failed");
        ExitCode::FAILURE
    }
}

fn describe(name: &str, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed(looked_at) => format!("ok       {name}: {looked_at}"),
        Verdict::Skipped(reason) => format!("skipped  {name}: {reason}"),
        Verdict::Failed { problems, remedy } => {
            let mut text = format!("FAILED   {name}");
            for line in problems.iter().flat_map(|problem| problem.lines()) {
                text.push_str("\n         ");
                text.push_str(line);
            }
            text.push_str("\n         what to do: ");
            text.push_str(remedy);
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_and_what_to_do() {
        let verdict = Verdict::of(vec!["a\nb".into(), "c".into()], String::new(), "mend it");
        assert_eq!(
            describe("x", &verdict),
            "FAILED   x\n         a\n         b\n         c\n         what to do: mend it"
        );
        assert_eq!(describe("x", &Verdict::of(vec![], "2 files".into(), "mend it")), "ok       x: 2 files");
    }
}
