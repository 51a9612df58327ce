//! A heat map as a picture of its own. Each cell that was touched says where and how much when the pointer rests on it.

use super::grid::{Cell, HeatReport, bytes};
use super::scale::{COLOURS, IDLE, WORDS, step};
use super::units::{escaped, percent, size, step_of_time, time};
use etmem_core::address::AddressRange;
use std::fmt::Write;
use std::time::Duration;

const LEFT: usize = 130;
const TOP: usize = 64;
const RIGHT: usize = 170;
const WIDTH: usize = 768;
const HEIGHT: usize = 480;
/// Room of a gap between two parts of the address space.
const GAP: usize = 10;

/// What all pictures begin with.
pub(super) fn begin(width: usize, height: usize, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n<title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    )
}

/// The title and the notes on the record.
pub(super) fn heading(out: &mut String, title: &str, about: &super::about::About) {
    // To a String, which takes all; so do the others here.
    let _ = writeln!(
        out,
        "<text x=\"16\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>",
        escaped(title)
    );
    let line = std::iter::once(&about.machine).chain(&about.notes).filter(|text| !text.is_empty());
    let line: Vec<String> = line.map(|text| escaped(text)).collect();
    let _ = writeln!(out, "<text x=\"16\" y=\"40\" fill=\"#555\">{}</text>", line.join("; "));
}

/// Marks of an axis of time that lies at `y`, from `left` on, `width` wide.
pub(super) fn axis_of_time(
    out: &mut String,
    (left, y, width): (usize, usize, usize),
    begin: Duration,
    end: Duration,
) {
    let whole = end.saturating_sub(begin);
    let _ = writeln!(out, "<path d=\"M{left} {y}h{width}\" stroke=\"#555\" fill=\"none\"/>");
    let step = step_of_time(whole, 8);
    let mut at = Duration::ZERO;
    while at <= whole && !whole.is_zero() {
        let x = left as f64 + at.as_secs_f64() / whole.as_secs_f64() * width as f64;
        let word = time(begin + at);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {y}v5\" stroke=\"#555\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{word}</text>",
            y + 18
        );
        at += step;
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">time since the beginning of the record</text>",
        left + width / 2,
        y + 36
    );
}

/// Words for a cell.
fn words(report: &HeatReport<'_>, range: AddressRange, mapping: &str, column: usize, cell: &Cell) -> String {
    let grid = report.grid;
    let (from, to) = grid.times.get(column).copied().unwrap_or_default();
    format!(
        "{:x}-{:x} {mapping}\n{} to {}\ntouched: at most {}, {} on average, of {}",
        range.start,
        range.end,
        time(from),
        time(to),
        percent(cell.highest),
        percent(cell.average()),
        size(bytes(cell.pages(grid.looks_in(column))))
    )
}

pub(super) fn heat(report: &HeatReport<'_>) -> String {
    let grid = report.grid;
    let rows: Vec<_> = grid.rows().collect();
    let cell_height = (HEIGHT / rows.len().max(1)).clamp(4, 24);
    let cell_width = (WIDTH / grid.columns().max(1)).clamp(4, 64);
    let plot_width = cell_width * grid.columns();
    let gaps = rows.iter().filter(|(_, gap, _)| *gap).count();
    let plot_height = (cell_height * rows.len() + gaps * GAP).max(150);
    let (width, height) = (LEFT + plot_width.max(720) + RIGHT, TOP + plot_height + 96);
    let title = format!("Heat map: {}", report.about.program);
    let mut out = begin(width, height, &escaped(&title));
    heading(&mut out, &title, report.about);
    out.push_str("<style>");
    for (number, colour) in COLOURS.iter().enumerate() {
        let _ = write!(out, ".c{}{{fill:{colour}}}", number + 1);
    }
    let _ = writeln!(out, ".i{{fill:{IDLE}}}</style>");
    let _ = writeln!(
        out,
        "<text x=\"16\" y=\"{}\" fill=\"#555\" transform=\"rotate(-90 16 {0})\" text-anchor=\"middle\">address</text>",
        TOP + plot_height / 2
    );
    let (mut y, mut labelled, mut last_name) = (TOP, 0, String::new());
    for (range, gap, cells) in rows {
        if gap {
            let middle = y + GAP / 2;
            let _ = writeln!(
                out,
                "<path d=\"M{LEFT} {middle}h{plot_width}\" stroke=\"#999\" stroke-dasharray=\"3 4\"><title>a gap in the \
                 address space is left out</title></path>"
            );
            y += GAP;
            last_name.clear();
        }
        let mapping = report.mapping(range);
        let base = y + cell_height.min(12);
        if y >= labelled {
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\" font-family=\"monospace\">{:x}</text>",
                LEFT - 6,
                range.start
            );
            if mapping != last_name {
                let name = mapping.rsplit('/').next().unwrap_or(&mapping);
                let name: String = name.chars().take(28).collect();
                let x = LEFT + plot_width + 6;
                let _ = writeln!(out, "<text x=\"{x}\" y=\"{base}\" fill=\"#555\">{}</text>", escaped(&name));
                last_name.clone_from(&mapping);
            }
            labelled = y + 14;
        }
        row(&mut out, report, (range, &mapping), cells, (y, cell_width, cell_height));
        y += cell_height;
    }
    axis_of_time(&mut out, (LEFT, y, plot_width), grid.begin(), grid.end());
    legend(&mut out, LEFT, y + 56);
    out.push_str("</svg>\n");
    out
}

fn row(
    out: &mut String,
    report: &HeatReport<'_>,
    (range, mapping): (AddressRange, &str),
    cells: &[Cell],
    (y, width, height): (usize, usize, usize),
) {
    let mapping = escaped(mapping);
    let mut column = 0;
    while column < cells.len() {
        let cell = &cells[column];
        let kind = |cell: &Cell| cell.is_there().then(|| step(cell.highest));
        let mut alike = 1;
        // Idle cells of a row are one: there is nothing to say of each.
        if kind(cell) == Some(0) || kind(cell).is_none() {
            alike = cells[column..].iter().take_while(|other| kind(other) == kind(cell)).count();
        }
        if let Some(step) = kind(cell) {
            let (x, wide) = (LEFT + column * width, alike * width);
            let class = if step == 0 { "i".to_owned() } else { format!("c{step}") };
            let words = if step == 0 {
                format!("{:x}-{:x} {mapping}\nnot touched", range.start, range.end)
            } else {
                words(report, range, &mapping, column, cell)
            };
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{height}\" class=\"{class}\"><title>{words}</title></rect>"
            );
        }
        column += alike;
    }
}

/// What the colours mean.
fn legend(out: &mut String, x: usize, y: usize) {
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\">highest share of pages that was touched between two looks, from</text>"
    );
    let swatch = |out: &mut String, left: usize, fill: &str, word: &str| {
        let _ = writeln!(
            out,
            "<rect x=\"{left}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{fill}\" stroke=\"#999\" stroke-width=\".5\"/>\
             <text x=\"{}\" y=\"{}\">{word}</text>",
            y + 10,
            left + 17,
            y + 20
        );
    };
    for (number, (colour, least)) in COLOURS.iter().zip(WORDS).enumerate() {
        swatch(out, x + number * 74, colour, &format!("{} %", escaped(least)));
    }
    swatch(out, x + 672, IDLE, "not touched");
    swatch(out, x + 768, "#fff", "not in memory");
}
