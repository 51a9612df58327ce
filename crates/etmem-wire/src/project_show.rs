//! The text of `project show`.
//!
//! ```text
//! project: mysql
//! number   type     value            name             engine           started
//! 1        pid      12345            background_slide slide            true    
//! ```

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
    /// Lines after the table, with details (ours).
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
/// If there is none, the answer says so and is a success.
#[must_use]
pub fn project_show(projects: &[ShownProject<'_>], asked: Option<&Name>) -> String {
    if !projects.is_empty() {
        let engines = projects.iter().flat_map(|project| &project.engines);
        let rows = 2 * projects.len() + engines.map(|engine| engine.tasks.len()).sum::<usize>();
        let mut text = String::with_capacity(rows * ROW_BYTES);
        projects.iter().for_each(|project| project.append_to(&mut text));
        return text;
    }
    match asked {
        Some(name) => format!("project: project {name} is not existed\n\n"),
        None => "no project exists\n\n".to_owned(),
    }
}

impl ShownProject<'_> {
    fn append_to(&self, text: &mut String) {
        text.extend(["project: ", self.name.as_str(), "\n"]);
        append_row(text, ["number", "type", "value", "name", "engine", "started"]);
        let started = if self.started { "true" } else { "false" };
        for engine in &self.engines {
            for (task, number) in engine.tasks.iter().zip(1_u64..) {
                let number = number.to_string();
                let (name, engine) = (task.name.as_str(), engine.name.as_str());
                append_row(text, [&number, task.kind, &task.value, name, engine, started]);
            }
        }
        self.remarks.iter().for_each(|remark| text.extend([remark, "\n"]));
    }
}

/// How wide the columns are, in characters, without the space between two.
const WIDTHS: [usize; 6] = [8, 8, 16, 16, 16, 8];

/// Bytes of a row in which no cell is wider than its column.
const ROW_BYTES: usize = 78;

/// Does what `write!` with widths does, faster: that goes through the spaces character by character.
fn append_row(text: &mut String, cells: [&str; 6]) {
    const SPACES: &str = "                ";
    for (column, (cell, width)) in cells.into_iter().zip(WIDTHS).enumerate() {
        if column > 0 {
            text.push(' ');
        }
        text.push_str(cell);
        text.push_str(&SPACES[..width.saturating_sub(cell.chars().count())]);
    }
    text.push('\n');
}
