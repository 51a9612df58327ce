//! Rows as text in columns: the plain table, and what the screen shows in its middle.

use super::rows::Row;
use super::size::{percent, size};

/// A column: its title, its width, and what it shows of a row.
struct Column {
    title: &'static str,
    width: usize,
    text: fn(&Row) -> String,
}

const RESIDENT: Column = Column { title: "RESIDENT", width: 8, text: |row| amount(row.resident) };
const HOT: Column = Column { title: "HOT", width: 5, text: |row| amount(row.hot) };
const WARM: Column = Column { title: "WARM", width: 5, text: |row| amount(row.warm) };
const COLD: Column = Column { title: "COLD", width: 5, text: |row| amount(row.cold) };
const OUT: Column = Column { title: "OUT", width: 5, text: |row| amount(row.out) };
const SAVED: Column = Column { title: "SAVED", width: 5, text: |row| amount(row.saved) };
const REFAULTS: Column = Column { title: "REFAULT/MIN", width: 12, text: refaults };
const PRICE: Column = Column { title: "CPU", width: 5, text: |row| row.cpu.map(percent).unwrap_or_default() };

/// What fits on 80 columns, and what fits on more.
const FEW: &[Column] = &[RESIDENT, HOT, WARM, COLD, OUT, REFAULTS, PRICE];
const ALL: &[Column] = &[RESIDENT, HOT, WARM, COLD, OUT, SAVED, REFAULTS, PRICE];

/// From this width on there is room for all columns, the state and the reason.
const WIDE: usize = 120;

const STATE: usize = 22;
const SHORTEST_NAME: usize = 12;
const LONGEST_NAME: usize = 40;

/// The title and a line for each of `rows`, each of at most `width` columns.
pub(super) fn table(rows: &[Row], width: usize) -> (String, Vec<String>) {
    let is_wide = width >= WIDE;
    let columns = if is_wide { ALL } else { FEW };
    let numbers: usize = columns.iter().map(|column| column.width + 1).sum();
    let state = if is_wide { STATE + 1 } else { 0 };
    let name = if is_wide { LONGEST_NAME } else { width.saturating_sub(numbers).max(SHORTEST_NAME) };
    let line = |first: &str, second: &str, cell: &dyn Fn(&Column) -> String, last: &str| {
        let mut line = padded(first, name);
        if is_wide {
            line.push(' ');
            line.push_str(&padded(second, STATE));
        }
        for column in columns {
            line.push_str(&format!(" {:>1$}", cell(column), column.width));
        }
        if is_wide && !last.is_empty() {
            let room = width.saturating_sub(name + state + numbers + 2);
            line.push_str("  ");
            line.push_str(&cut(last, room));
        }
        cut(&line, width).trim_end().to_owned()
    };
    let title = line("TASK, PROCESS", "STATE", &|column| column.title.to_owned(), "HELD BACK BY");
    let lines = rows.iter().map(|row| {
        let indent = if row.of_task { "" } else { "  " };
        line(&format!("{indent}{}", row.name), &row.state, &|column| (column.text)(row), &row.why)
    });
    (title, lines.collect())
}

/// `text` with at most `width` letters; the last shows that there are more.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain((width > 0).then_some('~')).collect()
}

fn padded(text: &str, width: usize) -> String {
    format!("{:<width$}", cut(text, width))
}

fn amount(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), size)
}

fn refaults(row: &Row) -> String {
    match row.refaults {
        None => String::new(),
        Some((now, None)) => format!("{now:.2}%"),
        Some((now, Some(bound))) => format!("{now:.2}/{bound:.2}%"),
    }
}
