//! How long a person waits for `etmem project show`.

use crate::report::{Measure, median};
use anyhow::{Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_linux::pacer::SystemPacer;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use std::process::Command;

const PROJECTS: usize = 100;
const TASKS: usize = 10;
const ROUNDS: usize = 50;
/// A line for each task, and two above those of a project.
const LINES: usize = PROJECTS * (TASKS + 2);

/// The whole process, from its start to its end, as a shell waits for it; its output goes into a pipe.
pub(crate) fn measure() -> Result<Vec<Measure>> {
    let binaries = Binaries::build()?;
    let daemon = Daemon::start(binaries)?;
    let projects = (0..PROJECTS).map(|project| {
        let file = ProjectFile::new(&format!("project{project}"));
        let tasks = (0..TASKS).map(|task| format!("task{task}"));
        tasks.fold(file, |file, task| file.task(&task, TaskKind::Name(String::from("mysqld")))).to_string()
    });
    daemon.add(&projects.collect::<String>())?;
    let clock = SystemPacer::new();
    let (mut shows, mut versions) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = clock.now();
        let shown =
            Command::new(&binaries.etmem).args(["project", "show", "-s", daemon.socket()]).output()?;
        shows.push((clock.now() - start).as_secs_f64() * 1e3);
        let lines = shown.stdout.iter().filter(|byte| **byte == b'\n').count();
        ensure!(shown.status.success() && lines == LINES, "{}: {lines} lines", shown.status);
        let start = clock.now();
        let printed = Command::new(&binaries.etmem).arg("--version").output()?;
        versions.push((clock.now() - start).as_secs_f64() * 1e3);
        ensure!(printed.status.success(), "{}", printed.status);
    }
    let slowest = shows.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        Measure::at_most(
            "etmem project show: 100 projects of 10 tasks, whole process",
            median(shows),
            3.0,
            "ms",
        ),
        Measure::told("  the slowest of 50", slowest, "ms"),
        Measure::told("  etmem --version, which asks no daemon", median(versions), "ms"),
    ])
}
