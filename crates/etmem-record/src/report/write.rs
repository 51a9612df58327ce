//! Reports in their formats.

use super::about::Format;
use super::ages::{AgesReport, WorkingSetReport};
use super::grid::HeatReport;
use super::{chart, csv, html, svg, text};

/// Rows and columns of a heat map that fit the format.
#[must_use]
pub fn room(format: Format) -> (u64, usize) {
    match format {
        Format::Text { columns, .. } => (32, columns.saturating_sub(text::MARGIN).max(10)),
        Format::Svg => (96, 96),
        Format::Html => (256, 320),
        Format::Csv => (1024, 1440),
    }
}

/// A heat map as text of this format.
#[must_use]
pub fn write_heat(report: &HeatReport<'_>, format: Format) -> String {
    match format {
        Format::Text { columns, colours } => text::heat(report, columns, colours),
        Format::Svg => svg::heat(report),
        Format::Html => html::heat(report),
        Format::Csv => csv::heat(report),
    }
}

/// How long memory was idle, as text of this format.
#[must_use]
pub fn write_ages(report: &AgesReport<'_>, format: Format) -> String {
    match format {
        Format::Text { columns, .. } => text::ages(report, columns),
        Format::Svg => chart::ages(report),
        Format::Html => chart::page(report.about, "Idle memory by age", &chart::ages(report)),
        Format::Csv => csv::ages(report),
    }
}

/// The working set over time, as text of this format.
#[must_use]
pub fn write_working_set(report: &WorkingSetReport<'_>, format: Format) -> String {
    match format {
        Format::Text { columns, .. } => text::working_set(report, columns),
        Format::Svg => chart::working_set(report),
        Format::Html => chart::page(report.about, "Working set", &chart::working_set(report)),
        Format::Csv => csv::working_set(report),
    }
}
