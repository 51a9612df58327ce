//! The text of `project show`.
//!
//! ```text
//! project: mysql
//! number   type     value            name             engine           started
//! 1        pid      12345            background_slide slide            true    
//! ```

use std::fmt;

use etmem_core::name::Name;

/// A project as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownProject<'a> {
    /// Its name.
    pub name: &'a Name,
    /// Whether it was started, which the text repeats for every task.
    pub started: bool,
    /// Its engines, in the order to show them: the newest first.
    pub engines: Vec<ShownEngine<'a>>,
    /// Lines behind the table, for who wants to know more (ours).
    pub remarks: Vec<String>,
}

/// An engine as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownEngine<'a> {
    /// Its name.
    pub name: &'a Name,
    /// Its tasks, in the order to show them: the newest first. They are numbered from 1.
    pub tasks: Vec<ShownTask<'a>>,
}

/// A task as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownTask<'a> {
    /// How `value` names the target: `pid` or `name`.
    pub kind: &'static str,
    /// The target.
    pub value: String,
    /// The task's name.
    pub name: &'a Name,
}

/// The text of `project show` about `projects`, of which the client asked for all or for the one named `asked`.
///
/// That there is none is an answer, too, and a success.
#[must_use]
pub fn project_show(projects: &[ShownProject<'_>], asked: Option<&Name>) -> String {
    if !projects.is_empty() {
        return projects.iter().map(ToString::to_string).collect();
    }
    match asked {
        Some(name) => format!("project: project {name} is not existed\n\n"),
        None => "no project exists\n\n".to_owned(),
    }
}

impl fmt::Display for ShownProject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "project: {}", self.name)?;
        let started = if self.started { "true" } else { "false" };
        row(f, ["number", "type", "value", "name", "engine", "started"])?;
        for engine in &self.engines {
            for (task, number) in engine.tasks.iter().zip(1_u64..) {
                row(
                    f,
                    [
                        &number.to_string(),
                        task.kind,
                        &task.value,
                        task.name.as_str(),
                        engine.name.as_str(),
                        started,
                    ],
                )?;
            }
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "{remark}"))
    }
}

/// How wide the columns are, in characters, without the space between two.
const WIDTHS: [usize; 6] = [8, 8, 16, 16, 16, 8];

/// As `write!` with a width for each, which goes character by character through what is mostly space.
fn row(f: &mut fmt::Formatter<'_>, cells: [&str; 6]) -> fmt::Result {
    const SPACES: &str = "                ";
    for (column, (cell, width)) in cells.into_iter().zip(WIDTHS).enumerate() {
        if column > 0 {
            f.write_str(" ")?;
        }
        f.write_str(cell)?;
        f.write_str(&SPACES[..width.saturating_sub(cell.chars().count())])?;
    }
    f.write_str("\n")
}
