//! A heat map as a page for browsers: all is in the file, nothing is fetched. The cells are numbers, which a script draws.

use super::grid::HeatReport;
use super::scale::{COLOURS, IDLE, STEPS, WORDS};
use super::units::{escaped, size, step_of_time, time};
use serde_json::{Value, json};

/// What draws.
const SCRIPT: &str = include_str!("heat.js");
const STYLE: &str = include_str!("heat.css");

/// The cells of a row: for each run of equal cells how many, the highest and the average share; -1 where nothing is in memory.
fn cells(report: &HeatReport<'_>, row: usize) -> Vec<i64> {
    let mut out: Vec<i64> = Vec::new();
    let Some((_, _, cells)) = report.grid.rows().nth(row) else { return out };
    for cell in cells {
        let shares = if cell.is_there() { [cell.highest.into(), cell.average().into()] } else { [-1, -1] };
        let length = out.len();
        if length >= 3 && out[length - 2..] == shares {
            out[length - 3] += 1;
        } else {
            out.push(1);
            out.extend(shares);
        }
    }
    out
}

pub(super) fn heat(report: &HeatReport<'_>) -> String {
    let HeatReport { about, grid, .. } = report;
    let rows: Vec<Value> = grid
        .rows()
        .enumerate()
        .map(|(number, (range, gap, _))| {
            let start = format!("{:x}", range.start);
            json!([start, format!("{:x}", range.end), gap, report.mapping(range), cells(report, number)])
        })
        .collect();
    let columns: Vec<Value> = grid.times.iter().map(|(from, to)| json!([time(*from), time(*to)])).collect();
    let whole = grid.end().saturating_sub(grid.begin());
    let step = step_of_time(whole, 10);
    let mut marks = Vec::new();
    let mut at = std::time::Duration::ZERO;
    while at <= whole && !whole.is_zero() {
        marks.push(json!([at.as_secs_f64() / whole.as_secs_f64(), time(grid.begin() + at)]));
        at += step;
    }
    let data = json!({
        "rows": rows, "columns": columns, "marks": marks, "steps": STEPS, "words": WORDS, "colours": COLOURS, "idle": IDLE,
        "row": size(grid.layout.row),
    });
    // Names come from outside: none may end the script.
    let data = data.to_string().replace('<', "\\u003c");
    let title = escaped(&format!("Heat map: {}", about.program));
    let lines = std::iter::once(&about.machine).chain(&about.notes).filter(|text| !text.is_empty());
    let lines: Vec<String> = lines.map(|text| escaped(text)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\n{STYLE}</style></head>\n\
         <body>\n<h1>{title}</h1>\n<p>{}</p>\n<div id=\"legend\"></div>\n<div id=\"plot\"><canvas id=\"map\"></canvas><div id=\"tip\"></div></div>\n\
         <p>Across: time since the beginning of the record. Down: address. Dashed lines: gaps in the address space that are left \
         out. Point at a cell to see what it is.</p>\n<script id=\"data\" type=\"application/json\">{data}</script>\n\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        lines.join("<br>")
    )
}
