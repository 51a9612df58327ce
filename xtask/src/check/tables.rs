//! The tables of figures and of reasons, written from their rows into the documents.

use anyhow::Context;
use etmem_engine::KINDS;
use etmem_engine::feedback::{FIELDS, Field};
use etmem_engine::figures::{ROWS, Row, Sums};
use etmem_engine::reason::{ReasonName, Scope};
use std::fs;
use std::path::Path;

/// The end of a table that is written from the code.
const END: &str = "<!-- end -->\n";

/// `docs/json.md` with its tables of figures, and of what refaults say.
pub(super) fn figures(root: &Path) -> anyhow::Result<String> {
    let row = |Row { name, help, sums, .. }: &Row, of: &str| {
        let sums = match sums {
            Sums::Counter => "counter",
            Sums::Gauge => "gauge",
            Sums::Level => "level",
        };
        format!("| `{name}` | {sums} | {of}{help} |\n")
    };
    let mut rows: String = ROWS.iter().map(|one| row(one, "")).collect();
    for kind in KINDS {
        let of = format!("of engine {}: ", kind.keys.name);
        rows.extend(kind.figures.iter().map(|one| row(one, &of)));
    }
    let field = |Field { name, kind, help, .. }: &Field| format!("| `{name}` | {kind} | {help} |\n");
    let fields: String = FIELDS.iter().map(field).collect();
    let fields = format!("| field | type | |\n| --- | --- | --- |\n{fields}");
    with(
        &with(&read(root, "docs/json.md")?, "feedback", &fields)?,
        "figures",
        &format!("| field | | what it says |\n| --- | --- | --- |\n{rows}"),
    )
}

/// `docs/why-nothing-happens.md` with its tables of reasons.
pub(super) fn reasons(root: &Path) -> anyhow::Result<String> {
    let guide = with(&read(root, "docs/why-nothing-happens.md")?, "task", &reasons_of(Scope::Task))?;
    let guide = with(&guide, "process", &reasons_of(Scope::Process))?;
    let guide = with(&guide, "group", &reasons_of(Scope::Group))?;
    with(&guide, "device", &reasons_of(Scope::Device))
}

fn reasons_of(scope: Scope) -> String {
    let mut table = "| reason | what it means | what to do |\n| --- | --- | --- |\n".to_owned();
    for name in ReasonName::ALL {
        let (about, means, remedy) = name.help();
        if about == scope {
            table += &format!("| `{name}` | {means} | {remedy} |\n");
        }
    }
    table
}

fn read(root: &Path, document: &str) -> anyhow::Result<String> {
    fs::read_to_string(root.join(document)).with_context(|| format!("cannot read {document}"))
}

/// `document` with `table` between the marker `name` and the next [`END`].
fn with(document: &str, name: &str, table: &str) -> anyhow::Result<String> {
    let marker = format!("<!-- table: {name}; cargo xtask generate writes it -->\n");
    let parts =
        document.split_once(&marker).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.with_context(|| format!("no {marker:?} that is followed by {END:?}"))?;
    Ok(format!("{before}{marker}\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_replaced_between_its_markers() {
        let marker = "<!-- table: a; cargo xtask generate writes it -->\n";
        let document = |table: &str| format!("before\n{marker}\n{table}\n{END}after\n{END}");
        assert_eq!(with(&document("| old |\n"), "a", "| new |\n").unwrap(), document("| new |\n"));
        assert!(with("before\n", "a", "").is_err());
        assert!(with(marker, "a", "").is_err());
    }
}
