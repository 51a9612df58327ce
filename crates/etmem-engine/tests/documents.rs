//! The tables of the documents are those that the rows of figures and reasons make.
//!
//! A difference is shown as what is to stand in the document.

use etmem_engine::figures::figures_table;
use etmem_engine::reason::{Scope, reasons_table};

/// Whether the table below `heading` is `wanted`.
fn compare(document: &str, heading: &str, wanted: &str) {
    let (_, below) = document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let table = below.lines().skip_while(|line| !line.starts_with('|'));
    let table: String =
        table.take_while(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect();
    assert!(table == wanted, "below {heading:?} is to stand:\n{wanted}");
}

#[test]
fn figures_of_json() {
    compare(include_str!("../../../docs/json.md"), "### Figures", &figures_table());
}

#[test]
fn reasons_of_the_guide() {
    let guide = include_str!("../../../docs/why-nothing-happens.md");
    compare(guide, "## Reasons for a task as a whole", &reasons_table(Scope::Task));
    compare(guide, "## Reasons for one process", &reasons_table(Scope::Process));
}
