//! Tables: a line of names, then a line for each row; numbers in bytes, seconds and millionths.

use super::ages::{AgesReport, ByAge, WorkingSetReport};
use super::grid::HeatReport;
use std::fmt::Write;

/// Text between quotes, if it needs them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

pub(super) fn heat(report: &HeatReport<'_>) -> String {
    let mut out = String::from(
        "start,end,mapping,from_seconds,to_seconds,resident_pages,highest_share_millionths,average_share_millionths\n",
    );
    let grid = report.grid;
    for (range, _, cells) in grid.rows() {
        let mapping = quoted(&report.mapping(range));
        for (column, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.is_there()) {
            let (from, to) = grid.times.get(column).copied().unwrap_or_default();
            // To a String, which takes all; so do the others here.
            let _ = writeln!(
                out,
                "{:#x},{:#x},{mapping},{:.1},{:.1},{},{},{}",
                range.start,
                range.end,
                from.as_secs_f64(),
                to.as_secs_f64(),
                cell.pages(grid.looks_in(column)),
                cell.highest,
                cell.average()
            );
        }
    }
    out
}

pub(super) fn ages(report: &AgesReport<'_>) -> String {
    let mut out = String::from("idle_seconds,bytes,back_in_a_minute_bytes\n");
    for ByAge { age, idle, back_per_minute } in report.ages.table() {
        let back = back_per_minute.map_or(String::new(), |bytes| bytes.to_string());
        let _ = writeln!(out, "{},{idle},{back}", age.as_secs());
    }
    out
}

pub(super) fn working_set(report: &WorkingSetReport<'_>) -> String {
    let mut out = String::from("seconds,resident_bytes,touched_bytes,touched_in_120_s_bytes\n");
    for set in report.ages.working_sets() {
        let seconds = set.at.as_secs_f64();
        let _ = writeln!(out, "{seconds:.1},{},{},{}", set.resident, set.touched, set.within);
    }
    out
}
