//! Bars and curves as pictures of their own.

use super::about::About;
use super::ages::{AgesReport, ByAge, WORKING_SET, WorkingSet, WorkingSetReport};
use super::scale::share;
use super::svg::{axis_of_time, begin, heading};
use super::units::{age, escaped, percent, size, time};
use std::fmt::Write;

const LEFT: usize = 90;
const TOP: usize = 64;
const WIDTH: usize = 760;
const HEIGHT: usize = 300;

/// Colours of the bars: what is idle, and what comes back.
const IDLE_BAR: &str = "#4477aa";
const BACK_BAR: &str = "#cc6677";

/// Points of a curve: more are not seen.
const POINTS: usize = 380;

/// Marks of an axis of bytes up to `most`.
fn axis_of_bytes(out: &mut String, most: u64) {
    for quarter in 0..=4u64 {
        let y = TOP + HEIGHT - HEIGHT * usize::try_from(quarter).unwrap_or_default() / 4;
        // To a String, which takes all; so do the others here.
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {y}h{WIDTH}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 6,
            y + 4,
            size(most / 4 * quarter)
        );
    }
}

/// The next number of bytes that makes a good axis.
fn rounded(bytes: u64) -> u64 {
    let unit = bytes.max(4096).next_power_of_two() / 8;
    bytes.max(4096).div_ceil(unit) * unit
}

fn height(bytes: u64, most: u64) -> f64 {
    bytes as f64 / most.max(1) as f64 * HEIGHT as f64
}

pub(super) fn ages(report: &AgesReport<'_>) -> String {
    let (table, resident) = (report.ages.table(), report.ages.resident());
    let title = format!("Idle memory by age: {}", report.about.program);
    let mut out = begin(LEFT + WIDTH + 30, TOP + HEIGHT + 72, &escaped(&title));
    heading(&mut out, &title, report.about);
    let highest = table.iter().filter_map(|row| row.back_per_minute).max().unwrap_or_default();
    let most = rounded(resident.max(highest));
    axis_of_bytes(&mut out, most);
    let place = WIDTH / table.len().max(1);
    for (number, ByAge { age: idle_for, idle, back_per_minute }) in table.iter().enumerate() {
        let (word, left) = (age(*idle_for), LEFT + number * place);
        let share = percent(share(*idle, resident));
        let idle_words = format!("idle for {word} or longer: {}, {share} of what is in memory", size(*idle));
        let back = back_per_minute.map(|bytes| {
            let words =
                format!("touched after having been idle for {word} or longer: {} a minute", size(bytes));
            (1, bytes, BACK_BAR, words)
        });
        for (part, bytes, colour, words) in
            [Some((0, *idle, IDLE_BAR, idle_words)), back].into_iter().flatten()
        {
            let (tall, wide) = (height(bytes.min(most), most), place * 3 / 8);
            let (x, y) = (left + place / 8 + part * wide, (TOP + HEIGHT) as f64 - tall);
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y:.1}\" width=\"{wide}\" height=\"{tall:.1}\" fill=\"{colour}\"><title>{words}</title></rect>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"9\">{}</text>",
                x + wide / 2,
                y - 4.0,
                size(bytes)
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{word}</text>",
            left + place / 2,
            TOP + HEIGHT + 16
        );
    }
    for (number, (colour, words)) in [
        (IDLE_BAR, "idle for at least as long, at the end of the record"),
        (BACK_BAR, "touched after having been idle for at least as long, in a minute"),
    ]
    .into_iter()
    .enumerate()
    {
        let x = LEFT + number * WIDTH / 2;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"{}\">{words}</text>",
            TOP + HEIGHT + 46,
            x + 16,
            TOP + HEIGHT + 55
        );
    }
    let _ = writeln!(
        out,
        "<path d=\"M{LEFT} {}h{WIDTH}\" stroke=\"#555\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">age; {} are in \
         memory</text>\n</svg>",
        TOP + HEIGHT,
        LEFT + WIDTH / 2,
        TOP + HEIGHT + 36,
        size(resident)
    );
    out
}

pub(super) fn working_set(report: &WorkingSetReport<'_>) -> String {
    let title = format!("Working set: {}", report.about.program);
    let mut out = begin(LEFT + WIDTH + 30, TOP + HEIGHT + 84, &escaped(&title));
    heading(&mut out, &title, report.about);
    let sets = report.ages.working_sets();
    let most = rounded(sets.iter().map(|set| set.resident.max(set.within)).max().unwrap_or_default());
    axis_of_bytes(&mut out, most);
    let end = sets.last().map_or(std::time::Duration::ZERO, |set| set.at);
    let x =
        |at: std::time::Duration| LEFT as f64 + at.as_secs_f64() / end.as_secs_f64().max(1e-9) * WIDTH as f64;
    let within = format!("touched within {} s", WORKING_SET.as_secs());
    type Of = fn(&WorkingSet) -> u64;
    let curves: [(&str, &str, Of); 3] = [
        ("in memory", "#999999", |set| set.resident),
        (&within, "#4477aa", |set| set.within),
        ("touched between two looks", "#cc4433", |set| set.touched),
    ];
    let chunk = sets.len().div_ceil(POINTS).max(1);
    for (number, (name, colour, of)) in curves.iter().enumerate() {
        let mut path = String::new();
        for some in sets.chunks(chunk) {
            let highest = some.iter().map(of).max().unwrap_or_default();
            let at = some.last().map_or(end, |set| set.at);
            let letter = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", x(at), (TOP + HEIGHT) as f64 - height(highest, most));
        }
        let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>");
        let left = LEFT + number * 200;
        let _ = writeln!(
            out,
            "<path d=\"M{left} {0}h18\" stroke=\"{colour}\" stroke-width=\"3\"/><text x=\"{1}\" y=\"{2}\">{name}</text>",
            TOP + HEIGHT + 62,
            left + 24,
            TOP + HEIGHT + 66
        );
    }
    for some in sets.chunks(chunk) {
        let (Some(first), Some(last)) = (some.first(), some.last()) else { continue };
        let wide = (WIDTH as f64 / sets.len().div_ceil(chunk).max(1) as f64).max(1.0);
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{TOP}\" width=\"{wide:.1}\" height=\"{HEIGHT}\" fill=\"#fff\" fill-opacity=\"0\"><title>{} to {}\n{} \
             in memory\n{} {within}\n{} touched between two looks</title></rect>",
            x(last.at) - wide,
            time(first.at),
            time(last.at),
            size(last.resident),
            size(last.within),
            size(last.touched)
        );
    }
    axis_of_time(&mut out, (LEFT, TOP + HEIGHT, WIDTH), std::time::Duration::ZERO, end);
    out.push_str("</svg>\n");
    out
}

/// A page with one picture.
pub(super) fn page(about: &About, title: &str, picture: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}: {}</title></head>\n<body>\n{picture}</body></html>\n",
        escaped(&about.program)
    )
}
