//! Configuration files for slide, with what a test varies.

use std::fmt;
use std::time::Duration;

/// Between two scans, and between two cycles, of a project that is in a hurry.
const BRISK: Duration = Duration::from_millis(200);

/// How a task names its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskKind {
    /// By pid.
    Pid(u32),
    /// By name.
    Name(String),
}

/// A file with a project, the engine slide and any number of tasks. Its `Display` is the file's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFile {
    /// The project's name.
    pub project: String,
    /// Scans per cycle.
    pub scans: u32,
    /// Between two scans of a cycle.
    pub interval: Duration,
    /// Between two cycles.
    pub sleep: Duration,
    /// Further lines of `[project]`.
    pub extra: Vec<String>,
    /// Name, target and further lines of each task.
    pub tasks: Vec<(String, TaskKind, Vec<String>)>,
}

impl ProjectFile {
    /// A project that scans as often as etmem 1.x allows: `loop` 3, `interval` 1, `sleep` 1, no task.
    #[must_use]
    pub fn new(project: &str) -> Self {
        Self {
            project: project.to_owned(),
            scans: 3,
            interval: Duration::from_secs(1),
            sleep: Duration::from_secs(1),
            extra: Vec::new(),
            tasks: Vec::new(),
        }
    }

    /// The same with a fifth of a second between two scans and between two cycles, for what is not about the length of
    /// either: half a second without any access makes a page cold, so its target must touch what is hot much more often.
    #[must_use]
    pub fn brisk(project: &str) -> Self {
        Self { interval: BRISK, sleep: BRISK, ..Self::new(project) }
    }

    /// Adds a task that has a page out after one cycle without any access (`T=1`).
    #[must_use]
    pub fn task(self, name: &str, target: TaskKind) -> Self {
        self.task_with(name, target, &["T=1"])
    }

    /// Adds a task with these further lines and nothing else, as a user writes it.
    #[must_use]
    pub fn task_as_written(mut self, name: &str, target: TaskKind, lines: &[&str]) -> Self {
        self.tasks.push((name.to_owned(), target, lines.iter().map(|line| (*line).to_owned()).collect()));
        self
    }

    /// Adds a task with these further lines. What a cycle says of a page is enough for it to leave, unless a line names an age.
    #[must_use]
    pub fn task_with(self, name: &str, target: TaskKind, lines: &[&str]) -> Self {
        let has = |key: &str| lines.iter().any(|line| line.starts_with(key));
        let at_once = (has("T=") && !has("age=")).then_some("age=none");
        let lines: Vec<&str> = lines.iter().copied().chain(at_once).collect();
        self.task_as_written(name, target, &lines)
    }
}

impl fmt::Display for ProjectFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { project, scans, interval, sleep, .. } = self;
        writeln!(out, "[project]\nname={project}\nscan_type=page\nloop={scans}")?;
        writeln!(out, "interval={}\nsleep={}", time(*interval), time(*sleep))?;
        self.extra.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out, "\n[engine]\nname=slide\nproject={project}")?;
        for (name, target, lines) in &self.tasks {
            writeln!(out, "\n[task]\nproject={project}\nengine=slide\nname={name}")?;
            match target {
                TaskKind::Pid(pid) => writeln!(out, "type=pid\nvalue={pid}")?,
                TaskKind::Name(name) => writeln!(out, "type=name\nvalue={name}")?,
            }
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        Ok(())
    }
}

/// Whole seconds as etmem 1.x has them, and anything else in milliseconds.
fn time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => time.as_secs().to_string(),
        _ => format!("{}ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_a_file_as_the_daemon_reads_it() {
        let file = ProjectFile::new("p").task("t", TaskKind::Pid(7));
        let expected = "[project]\nname=p\nscan_type=page\nloop=3\ninterval=1\nsleep=1\n\n\
                        [engine]\nname=slide\nproject=p\n\n\
                        [task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue=7\nT=1\nage=none\n";
        assert_eq!(file.to_string(), expected);
        let fast = ProjectFile { interval: Duration::from_millis(200), ..file };
        assert_eq!(fast.to_string(), expected.replace("interval=1", "interval=200ms"));
        let brisk = ProjectFile::brisk("p").task("t", TaskKind::Pid(7)).to_string();
        assert_eq!(brisk, expected.replace("interval=1\nsleep=1", "interval=200ms\nsleep=200ms"));
    }
}
