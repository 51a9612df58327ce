//! Tables of the project's documents that a check reads, so that each rule is written down once.

use anyhow::{Context, bail, ensure};
use std::path::Path;

/// A row of a table: its line in the document, from 1, and its cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line.
    pub(crate) line: usize,
    /// What its cells hold, without the spaces around it.
    pub(crate) cells: Vec<String>,
}

/// The rows of the one table of `document`, below `root`, that has these `headings`.
pub(crate) fn read(root: &Path, document: &str, headings: &[&str]) -> anyhow::Result<Vec<Row>> {
    let text = std::fs::read_to_string(root.join(document)).with_context(|| format!("read {document}"))?;
    parse(&text, headings).with_context(|| document.to_owned())
}

/// The rows of the one table of `text` that has these `headings`.
pub(crate) fn parse(text: &str, headings: &[&str]) -> anyhow::Result<Vec<Row>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut heads = lines.iter().enumerate().filter(|(_, line)| cells(line) == headings);
    let Some((head, _)) = heads.next() else {
        bail!("no table with the headings {}", headings.join(" | "));
    };
    if let Some((second, _)) = heads.next() {
        bail!("line {}: a second table with the headings {}", second + 1, headings.join(" | "));
    }
    let is_rule = |line: &&&str| line.starts_with("| -") || line.starts_with("|-");
    ensure!(lines.get(head + 1).filter(is_rule).is_some(), "line {}: not the rule of a table", head + 2);
    let mut rows = Vec::new();
    for (index, line) in lines.iter().enumerate().skip(head + 2).take_while(|(_, line)| line.starts_with('|'))
    {
        let row = Row { line: index + 1, cells: cells(line) };
        ensure!(
            row.cells.len() == headings.len() && line.trim_end().ends_with('|'),
            "line {}: {} cells, where the table has {}",
            row.line,
            row.cells.len(),
            headings.len()
        );
        rows.push(row);
    }
    ensure!(!rows.is_empty(), "line {}: a table without rows", head + 1);
    Ok(rows)
}

/// The names of a cell, each in backticks, with commas between them; none for `nothing`.
pub(crate) fn names(row: &Row, column: usize) -> anyhow::Result<Vec<String>> {
    let cell = row.cells.get(column).map_or("", String::as_str);
    if cell == "nothing" {
        return Ok(vec![]);
    }
    cell.split(',')
        .map(|name| {
            let name = name.trim();
            let bare = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
            let bare = bare.filter(|bare| !bare.is_empty() && !bare.contains('`'));
            bare.map(str::to_owned).with_context(|| {
                format!("line {}: {name:?} is not a name in backticks; write `a`, `b` or: nothing", row.line)
            })
        })
        .collect()
}

fn cells(line: &str) -> Vec<String> {
    let Some(inner) = line.trim().strip_prefix('|') else { return vec![] };
    inner.strip_suffix('|').unwrap_or(inner).split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: [&str; 2] = ["a", "b"];

    #[test]
    fn rows_end_with_the_table() {
        let rows = parse("text\n| a | b |\n| --- | --- |\n| `x`, `y` | nothing |\n\n| z | z |\n", &HEADINGS)
            .unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].line, names(&rows[0], 0).unwrap()), (4, vec!["x".into(), "y".into()]));
        assert!(names(&rows[0], 1).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said_with_its_line() {
        for (text, reason) in [
            ("| a | c |\n| --- | --- |\n| x | y |", "no table with the headings a | b"),
            ("| a | b |\n| --- | --- |\n| x | y |\n\n| a | b |", "line 5: a second table"),
            ("| a | b |\n| x | y |", "line 2: not the rule of a table"),
            ("| a | b |\n| --- | --- |\n| x | y | z |", "line 3: 3 cells, where the table has 2"),
            ("| a | b |\n| --- | --- |\n", "line 1: a table without rows"),
        ] {
            let error = parse(text, &HEADINGS).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{error}");
        }
        let row = Row { line: 7, cells: vec!["`x`, y".into()] };
        assert!(
            names(&row, 0).unwrap_err().to_string().starts_with("line 7: \"y\" is not a name in backticks")
        );
    }
}
