//! Builds every test, runs the test programs in their lanes, keeps a copy of what they print, and says at the end what was
//! skipped and why.

use super::allowed::AllowedSkips;
use super::lanes::{Lane, Lanes};
use super::programs::{self, Ended, Program};
use super::transcript::{Skip, Transcript};
use crate::project;
use anyhow::Context;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// Runs the tests that `arguments` for cargo select (none: the whole workspace).
///
/// Fails when a test fails, when a test program does not build or ends early, and when a test is skipped that
/// the list `allowed` does not name; without a list every skip is allowed.
pub(crate) fn run(root: &Path, arguments: &[OsString], allowed: Option<&Path>) -> anyhow::Result<ExitCode> {
    let allowed = allowed.map(AllowedSkips::read).transpose()?;
    let target = project::read(root)?.target;
    let copy = target.join("test-output.txt");
    let shown = || format!("write {}", copy.display());
    std::fs::create_dir_all(&target).with_context(shown)?;
    let file = File::create(&copy).with_context(shown)?;

    let watch = Watch::start();
    let transcript = match programs::build(root, &target, arguments)? {
        Some(programs) => {
            println!("Built in {:.0} s", watch.seconds());
            run_in_lanes(programs, file)?
        }
        None => Transcript::read("", false),
    };

    let refused: Vec<&Skip> = transcript
        .skips
        .iter()
        .filter(|skip| allowed.as_ref().is_some_and(|allowed| !allowed.allows(&skip.name)))
        .collect();

    println!("\nThe whole output: {}; {:.0} s in all", copy.display(), watch.seconds());
    print_list("Skipped", transcript.skips.iter().map(describe));
    print_list("Skipped, but must run on this kind of machine", refused.iter().map(|skip| describe(skip)));
    print_list("Failed", transcript.failures.iter().cloned());
    println!("{}", transcript.closing_line());
    let succeeded = transcript.failed == 0 && refused.is_empty();
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(skip: &Skip) -> String {
    format!("{}: {}: {}", skip.program, skip.name, skip.reason)
}

fn print_list(title: &str, lines: impl ExactSizeIterator<Item = String>) {
    if lines.len() > 0 {
        println!("{title}:");
        lines.for_each(|line| println!("  {line}"));
    }
}

/// How long something takes.
struct Watch(Instant);

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "what is run here has its own clock")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// One thread works for each lane. What a program prints is shown when the program has ended, so that the lanes do not
/// mix their lines.
fn run_in_lanes(programs: Vec<Program>, file: File) -> anyhow::Result<Transcript> {
    let lanes = Mutex::new(Lanes::of(programs));
    let sum = Mutex::new((Transcript::default(), file));
    thread::scope(|scope| {
        let (lanes, sum) = (&lanes, &sum);
        let threads = [Lane::First, Lane::Second].map(|lane| scope.spawn(move || work(lane, lanes, sum)));
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        })
    })?;
    Ok(sum.into_inner().unwrap_or_else(PoisonError::into_inner).0)
}

/// Runs what the lane has, one program after the other.
fn work(lane: Lane, lanes: &Mutex<Lanes>, sum: &Mutex<(Transcript, File)>) -> anyhow::Result<()> {
    // A closure, so that the lock is held for a moment only: in the head of the loop it would be held for all of its body.
    let next = || held(lanes).next(lane);
    while let Some(program) = next() {
        let name = program.name().to_owned();
        println!("    Starting {name}");
        let watch = Watch::start();
        let Ended { output, succeeded, orphans } = program.run()?;
        let output = format!("{output}     Took {:.1} s: {name}\n", watch.seconds());
        let mut transcript = Transcript::read(&output, succeeded);
        if let Some(orphans) = orphans {
            transcript.left(&name, &orphans);
        }
        let mut sum = held(sum);
        print!("{output}");
        sum.1.write_all(output.as_bytes()).context("write the copy of the output")?;
        sum.0.add(transcript);
    }
    Ok(())
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn lanes_run_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        // Each makes a file and waits for the other's, for at most 20 s.
        let program = |name: &str, own: &str, other: &str| {
            let script = format!(
                "touch {own}; for i in $(seq 200); do test -e {other} && exit; sleep 0.1; done; exit 1"
            );
            let mut command = Command::new("sh");
            command.args(["-c", &script]).current_dir(folder.path());
            Program::of(name, command)
        };
        let programs =
            vec![program("etmem-tests::slide", "one", "two"), program("etmem-tests::vm", "two", "one")];
        let transcript = run_in_lanes(programs, tempfile::tempfile().unwrap()).unwrap();
        assert_eq!(transcript.closing_line(), "0 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn a_program_that_leaves_a_process_with_its_output_fails_and_does_not_hang() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.current_dir(folder.path());
        // Its first line is the number of a process that goes on until it is killed.
        command.args([
            "-c",
            "sleep 3600 & echo $! > orphan; echo running 0 tests; echo 'test result: ok. 0 passed;'",
        ]);
        let transcript =
            run_in_lanes(vec![Program::of("etmem-tests::slide", command)], tempfile::tempfile().unwrap())
                .unwrap();
        let orphan = std::fs::read_to_string(folder.path().join("orphan")).unwrap();
        Command::new("kill").arg(orphan.trim()).status().unwrap();
        let want = format!(
            "etmem-tests::slide: ended, but its output is held by what it left: {} (sleep)",
            orphan.trim()
        );
        assert_eq!(transcript.failures, [want]);
        assert_eq!(transcript.closing_line(), "0 passed, 1 failed, 0 skipped");
    }
}
