//! Boots the virtual machine, shows the command's output as it comes, and tells how it ended.

use super::init_script::Report;
use super::missing;
use anyhow::Context;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

const QEMU: &str = "qemu-system-x86_64";
const CONSOLE_TAIL: usize = 60;
const PANIC: &str = "Kernel panic";

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The command ended with this status.
    Status(u8),
    /// It did not end in time, and was stopped.
    Deadline(String),
    /// The kernel panicked before the machine came to its first script, so no program of ours had run.
    BootPanic(String),
    /// The machine ended, or never began, without telling the command's status.
    Lost(String),
}

/// Whether QEMU is installed.
pub(crate) fn check_installed() -> anyhow::Result<()> {
    missing::output(Command::new(QEMU).arg("--version"), "qemu-system-x86").map(|_| ())
}

/// Runs QEMU with `arguments` for at most `deadline`. The kernel's messages come in the file `console`, the first
/// script's reports in the file `report`, and what QEMU itself says goes into `complaints`.
pub(crate) fn run(
    arguments: &[OsString],
    deadline: Duration,
    console: &Path,
    report: &Path,
    complaints: &Path,
) -> anyhow::Result<Ending> {
    let file = File::create(complaints).with_context(|| format!("make {}", complaints.display()))?;
    // A killed xtask takes the machine with it, since nothing else would end it. What runs beside the emulation comes first.
    let mut command = Command::new("nice");
    command.args(["-n", "5", "setpriv", "--pdeathsig", "KILL", "--", QEMU]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
    let mut child = command.spawn().map_err(|error| missing::not_run(&command, "util-linux", error))?;
    let mut output = child.stdout.take().context("the standard output of QEMU is not a pipe")?;

    // Ctrl-C reaches QEMU as well and ends it; this program then still has its files to remove.
    let interrupted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGINT, interrupted).context("watch for Ctrl-C")?;

    let (ended, end) = mpsc::channel();
    // The receiver is gone if QEMU could not be ended.
    thread::spawn(move || ended.send(io::copy(&mut output, &mut io::stdout())));
    let copied = end.recv_timeout(deadline);
    let in_time = !matches!(copied, Err(RecvTimeoutError::Timeout));
    if !matches!(copied, Ok(Ok(_))) {
        child.kill().context("end QEMU")?;
    }
    let status = child.wait().context("wait for QEMU")?;
    // After a deadline, what was on its way still comes.
    copied.or_else(|_| end.recv()).context("the output was not read")?.context("show the output")?;

    let read = |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    // QEMU makes these two files; where it did not even start, there are none.
    let (report, console) = (read(report).unwrap_or_default(), read(console).unwrap_or_default());
    let complaints = read(complaints).unwrap_or_default();
    let mut ending = ending(&Report::read(&report), in_time.then_some(()).ok_or(deadline), &console);
    if let Ending::Lost(story) | Ending::BootPanic(story) | Ending::Deadline(story) = &mut ending
        && !complaints.trim().is_empty()
    {
        story.push_str(&format!("\nQEMU ended with {status} and said:\n{}", complaints.trim_end()));
    }
    Ok(ending)
}

fn ending(report: &Report, in_time: Result<(), Duration>, console: &str) -> Ending {
    let what = match report {
        Report::Status(status) => return Ending::Status(*status),
        Report::Broken(step) => format!("the machine could not be made ready: {step} failed"),
        _ if console.contains(PANIC) => "the kernel panicked".to_owned(),
        Report::Nothing => "the machine never came to its first script".to_owned(),
        Report::Begun => "the command was begun".to_owned(),
    };
    let tail = format!("the console's last lines:\n{}", tail(console));
    match in_time {
        Ok(()) if *report == Report::Nothing && console.contains(PANIC) => {
            Ending::BootPanic(format!("{what} while it booted; {tail}"))
        }
        Ok(()) => Ending::Lost(format!("{what}, and the machine ended without its status; {tail}")),
        Err(deadline) => Ending::Deadline(format!(
            "{what}, and {} s were not enough (--timeout gives more); {tail}",
            deadline.as_secs()
        )),
    }
}

/// The last lines, without what would move a terminal's cursor.
fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    let start = lines.len().saturating_sub(CONSOLE_TAIL);
    let shown = lines.iter().skip(start).map(|line| {
        let plain: String = line.chars().filter(|letter| !letter.is_control()).collect();
        format!("  | {plain}\n")
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Result<(), Duration> = Err(Duration::from_secs(60));

    fn story(ending: Ending) -> String {
        match ending {
            Ending::Lost(story) => format!("lost: {story}"),
            Ending::BootPanic(story) => format!("boot: {story}"),
            Ending::Deadline(story) => format!("deadline: {story}"),
            Ending::Status(status) => format!("status {status}"),
        }
    }

    #[test]
    fn a_status_counts_even_where_switching_off_took_too_long() {
        assert_eq!(ending(&Report::Status(3), LATE, ""), Ending::Status(3));
        assert_eq!(ending(&Report::Status(0), Ok(()), ""), Ending::Status(0));
    }

    #[test]
    fn whatever_is_no_status_is_reported_with_the_console() {
        let panic = "[ 1.0] hello\r\n[ 2.0] Kernel panic - not syncing: Oops\r\n";
        for (report, in_time, console, want) in [
            (Report::Begun, Ok(()), panic, "lost: the kernel panicked"),
            (Report::Nothing, Ok(()), panic, "boot: the kernel panicked while it booted"),
            (Report::Nothing, LATE, panic, "deadline: the kernel panicked, and 60 s"),
            (Report::Broken("mount".to_owned()), Ok(()), panic, "lost: the machine could not be made ready"),
            (Report::Begun, Ok(()), "", "lost: the command was begun"),
            (Report::Begun, LATE, "", "deadline: the command was begun, and 60 s were not enough"),
            (Report::Nothing, Ok(()), "", "lost: the machine never came"),
            (
                Report::Broken("insmod x".to_owned()),
                Ok(()),
                "",
                "lost: the machine could not be made ready: insmod x",
            ),
        ] {
            let story = story(ending(&report, in_time, console));
            assert!(story.starts_with(want), "{story}");
            assert!(
                console.is_empty() || story.ends_with("  | [ 2.0] Kernel panic - not syncing: Oops\n"),
                "{story}"
            );
        }
    }

    #[test]
    fn only_the_end_of_a_console_is_shown() {
        let console: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let tail = tail(&console);
        assert!(tail.starts_with("  | line 40\n") && tail.ends_with("  | line 99\n"), "{tail}");
    }
}
