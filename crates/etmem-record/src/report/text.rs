//! Reports for a terminal.

use super::about::About;
use super::ages::{AgesReport, ByAge, WORKING_SET, WorkingSetReport};
use super::grid::{Cell, Grid, HeatReport};
use super::scale::{TERMINAL, WORDS, step};
use super::units::{age, percent, size, step_of_time, time};
use std::fmt::Write;
use std::time::Duration;

/// Columns of a row that are no cells: the address before them, the mapping after them.
pub(super) const MARGIN: usize = ADDRESS + 2 + NAME;
const ADDRESS: usize = 13;
const NAME: usize = 16;

/// Lines of a table of working sets.
const LINES: usize = 24;

/// What is said before each report.
fn head(about: &About, title: &str) -> String {
    let mut out = format!("{title}: {}", about.program);
    if !about.machine.is_empty() {
        let _ = write!(out, ", {}", about.machine);
    }
    out.push('\n');
    about.notes.iter().for_each(|note| out.extend([note, "\n"]));
    out.push('\n');
    out
}

fn cell(cell: &Cell) -> char {
    match (cell.is_there(), step(cell.highest)) {
        (false, _) => ' ',
        (true, 0) => '.',
        (true, step) => u32::try_from(step).ok().and_then(|step| char::from_digit(step, 10)).unwrap_or('9'),
    }
}

/// A cell in its colour.
fn coloured(out: &mut String, shown: char) {
    let _ = match shown.to_digit(10).and_then(|digit| TERMINAL.get(digit.checked_sub(1)? as usize)) {
        Some(colour) if *colour > 200 => write!(out, "\x1b[48;5;{colour};38;5;16m{shown}\x1b[0m"),
        Some(colour) => write!(out, "\x1b[48;5;{colour};38;5;231m{shown}\x1b[0m"),
        None => write!(out, "{shown}"),
    };
}

/// What fits after a row: the end of a path says most.
fn short(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.chars().map(|character| if character.is_control() { '?' } else { character }).take(NAME).collect()
}

/// Adds `text` in lines of at most `columns`, so that no terminal breaks a word.
fn wrapped(out: &mut String, text: &str, columns: usize) {
    let mut width = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        match width {
            0 => {}
            _ if width + 1 + length > columns => {
                out.push('\n');
                width = 0;
            }
            _ => {
                out.push(' ');
                width += 1;
            }
        }
        out.push_str(word);
        width += length;
    }
    out.push('\n');
}

pub(super) fn heat(report: &HeatReport<'_>, columns: usize, colours: bool) -> String {
    let HeatReport { about, grid, .. } = report;
    let mut out = head(about, "Heat map");
    let mut last_name = String::new();
    for (range, gap, cells) in grid.rows() {
        if gap {
            let _ = writeln!(out, "{:>ADDRESS$} {}", "~", "~".repeat(grid.columns()));
            last_name.clear();
        }
        let _ = write!(out, "{:>ADDRESS$x} ", range.start);
        let mut blanks = 0;
        for shown in cells.iter().map(cell) {
            if shown == ' ' {
                blanks += 1;
                continue;
            }
            out.push_str(&" ".repeat(std::mem::take(&mut blanks)));
            if colours { coloured(&mut out, shown) } else { out.push(shown) }
        }
        let name = report.mapping(range);
        if name != last_name && !name.is_empty() {
            let _ = write!(out, "{} {}", " ".repeat(blanks), short(&name));
            last_name = name;
        }
        out.push('\n');
    }
    out.push_str(&axis(grid));
    let column =
        (grid.end().saturating_sub(grid.begin())) / u32::try_from(grid.columns().max(1)).unwrap_or(1);
    let (row, column) = (size(grid.layout.row), time(column));
    out.push('\n');
    let text =
        format!("each row is {row}, each column {column}; ~ a gap in the address space that is left out");
    wrapped(&mut out, &text, columns);
    let steps: Vec<String> = (1..).zip(WORDS).map(|(digit, least)| format!("{digit}: {least}")).collect();
    let text =
        format!("highest share of pages that was touched between two looks, from %: {}", steps.join(", "));
    wrapped(&mut out, &text, columns);
    out.push_str(".: in memory, not touched; blank: not in memory\n");
    out
}

/// Marks below the cells, as many as fit.
fn axis(grid: &Grid) -> String {
    let columns = grid.columns();
    let (begin, end) = (grid.begin(), grid.end());
    let whole = end.saturating_sub(begin);
    let step = step_of_time(whole, u32::try_from(columns / 12).unwrap_or(1).max(1));
    let (mut ticks, mut words) = (String::new(), String::new());
    let mut at = Duration::ZERO;
    while at <= whole && !whole.is_zero() {
        let column = (at.as_secs_f64() / whole.as_secs_f64() * columns as f64).round();
        // Not negative, and no more than columns.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to columns")]
        let column = column as usize;
        let word = time(begin + at);
        if column < columns && words.chars().count() <= column && column + word.len() <= columns + NAME {
            let _ = write!(ticks, "{:>1$}", "|", column + 1 - ticks.chars().count());
            let _ = write!(words, "{:>1$}", word, column + word.len() - words.chars().count());
            words.push(' ');
        }
        at += step;
    }
    let margin = " ".repeat(ADDRESS + 1);
    format!("{margin}{ticks}\n{margin}{}\n", words.trim_end())
}

/// A bar of `part` of `whole` in at most `width` columns, never empty if there is any.
fn bar(part: u64, whole: u64, width: usize) -> String {
    let length = u128::from(part) * width as u128 / u128::from(whole.max(1));
    let length = usize::try_from(length).unwrap_or(width).min(width);
    "#".repeat(if part > 0 { length.max(1) } else { 0 })
}

fn share(part: u64, whole: u64) -> String {
    percent(super::scale::share(part, whole))
}

pub(super) fn ages(report: &AgesReport<'_>, columns: usize) -> String {
    let mut out = head(report.about, "Idle memory by age");
    let resident = report.ages.resident();
    let _ = writeln!(out, "{:>12}  {:>9}  {:>8}  {:>13}", "idle for", "bytes", "share", "back a minute");
    for ByAge { age: idle_for, idle, back_per_minute } in report.ages.table() {
        let bar = bar(idle, resident, columns.saturating_sub(51));
        let (share, back) = (share(idle, resident), back_per_minute.map_or(String::from("-"), size));
        let _ = writeln!(out, "{:>12}  {:>9}  {share:>8}  {back:>13}  {bar}", age(idle_for), size(idle));
    }
    let (resident, watched) = (size(resident), time(report.ages.watched()));
    out.push('\n');
    let text = format!(
        "of {resident} in memory; at the end of {watched} of looks. Pages that were not touched at all count from the beginning. Back a minute is what was touched after \
         having been idle for at least as long."
    );
    wrapped(&mut out, &text, columns);
    out
}

pub(super) fn working_set(report: &WorkingSetReport<'_>, columns: usize) -> String {
    let mut out = head(report.about, "Working set");
    let sets = report.ages.working_sets();
    let most = sets.iter().map(|set| set.within).max().unwrap_or_default();
    let within = format!("in {} s", WORKING_SET.as_secs());
    let _ = writeln!(out, "{:>10}  {:>9}  {:>9}  {within:>9}", "at", "resident", "touched");
    for some in sets.chunks(sets.len().div_ceil(LINES).max(1)) {
        let Some(last) = some.last() else { continue };
        let highest = |of: fn(&super::ages::WorkingSet) -> u64| some.iter().map(of).max().unwrap_or_default();
        let (touched, set) = (highest(|set| set.touched), highest(|set| set.within));
        let bar = bar(set, most, columns.saturating_sub(46));
        let _ = writeln!(
            out,
            "{:>10}  {:>9}  {:>9}  {:>9}  {bar}",
            time(last.at),
            size(last.resident),
            size(touched),
            size(set)
        );
    }
    out.push('\n');
    let text =
        format!("touched: between two looks; {within}: touched within that time. The highest of each line.");
    wrapped(&mut out, &text, columns);
    out
}
