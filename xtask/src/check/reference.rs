//! The reference of configuration files, written from the rows of the keys: a page of Markdown and a manual page.

use etmem_config::key::{Need, Origin, Row};
use etmem_config::section::scan_types;
use etmem_config::section::{engine, project, task};
use etmem_engine::{KINDS, keys};
use std::fmt::Write;

/// Keys that belong together.
struct Part {
    title: String,
    about: &'static str,
    rows: &'static [&'static dyn Row],
}

fn parts() -> Vec<Part> {
    let part = |title: &str, about, rows| Part { title: title.to_owned(), about, rows };
    let mut parts = vec![part("[project]", "How memory is looked at, and how often.", project::KEYS)];
    for scan in scan_types(&keys()) {
        let (title, about) =
            (format!("[project] with scan_type={}", scan.name), "What such a project has as well.");
        parts.push(Part { title, about, rows: scan.keys.rows });
    }
    parts.push(part("[engine]", "What a project does with what it sees.", engine::KEYS));
    parts.push(part("[task]", "Whose memory an engine works on.", task::KEYS));
    for kind in KINDS {
        let name = kind.keys.name;
        for (group, rows) in
            [("[engine] with name=", kind.keys.engine.rows), ("[task] of engine ", kind.keys.task.rows)]
        {
            if !rows.is_empty() {
                parts.push(Part { title: format!("{group}{name}"), about: kind.about, rows });
            }
        }
        if let Some(machine) = kind.keys.machine {
            let title = format!("[task] of engine {}", machine.of);
            parts.push(Part { title, about: kind.about, rows: machine.keys.rows });
        }
    }
    parts
}

const HEAD: &str = "A configuration file lists projects, the engines of projects, and the tasks of engines. `etmem obj add -f FILE` creates \
    what it lists, `etmem obj del -f FILE` deletes it. A file may hold any number of groups in any order, or one kind of them alone.";

const FORM: &str = "A line is a group in brackets, `key=value`, a comment that begins with `#`, or blank. Of a repeated key the last \
    counts. A key or group that etmem does not know is ignored, with a warning; `etmem obj add --strict` refuses it.";

const FILE: &str = "The file belongs to root:root, has mode 0600 or 0400 and at most 10 MiB. `etmem obj add --dry-run -f FILE` checks \
    a file without a daemon.";

/// The values of `row` in words, with their unit.
fn values(row: &dyn Row) -> String {
    let scan_words = || scan_types(&keys()).iter().map(|scan| scan.name).collect::<Vec<_>>().join(", ");
    let range = row.range().unwrap_or_else(scan_words);
    let unit = row.about().unit;
    if unit.is_empty() { range } else { format!("{range} ({unit})") }
}

fn need(row: &dyn Row) -> String {
    match row.about().need {
        Need::Needed => "yes".to_owned(),
        Need::Optional => "no".to_owned(),
        Need::Default(default) => format!("no; default `{default}`"),
    }
}

fn origin(row: &dyn Row) -> String {
    match row.about().origin {
        Origin::Original => "etmem 1.x".to_owned(),
        Origin::Ours(since) => format!("ours, since {since}"),
    }
}

/// `docs/configuration.md`.
pub(super) fn markdown() -> String {
    let mut text = format!(
        "# Configuration files\n\nThis page is written by `cargo xtask generate` from the rows of the keys in the code.\n\n\
         {HEAD}\n\n{FORM}\n\n{FILE}\n"
    );
    for Part { title, about, rows } in parts() {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n## {title}\n\n{about}\n\n| key | needed | values | from | example | meaning |\n\
             | --- | --- | --- | --- | --- | --- |\n"
        );
        for row in rows {
            let about = row.about();
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | `{}={}` | {} |",
                about.name,
                need(*row),
                values(*row),
                origin(*row),
                about.name,
                about.example,
                about.help
            );
        }
    }
    text
}

/// `docs/etmem.conf.5`: the manual page etmem.conf(5).
pub(super) fn manual_page() -> String {
    let mut text = format!(
        ".TH ETMEM.CONF 5 \"\" \"etmem {}\" \"etmem\"\n.nh\n.SH NAME\netmem.conf \\- configuration files of etmem\n\
         .SH DESCRIPTION\n{}\n.PP\n{}\n.PP\n{}\n",
        env!("CARGO_PKG_VERSION"),
        roff(HEAD),
        roff(FORM),
        roff(FILE)
    );
    for Part { title, about, rows } in parts() {
        let _ = write!(text, ".SH \"{}\"\n{}\n", roff(&title), roff(about));
        for row in rows {
            let (about, example) = (row.about(), format!("{}={}", row.about().name, row.about().example));
            let said = format!(
                "{} Needed: {}. Values: {}. From: {}. Example: `{example}`.",
                about.help,
                need(*row),
                values(*row),
                origin(*row)
            );
            let _ = write!(text, ".TP\n\\fB{}\\fR\n{}\n", roff(about.name), roff(&said));
        }
    }
    text + ".SH \"SEE ALSO\"\netmem(1), etmem\\-obj(1), etmemd(8)\n"
}

/// `text` for `man`: what stands between backticks is bold.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let pieces = escaped.split('`').enumerate();
    let set: String = pieces
        .map(|(place, piece)| if place % 2 == 1 { format!("\\fB{piece}\\fR") } else { piece.to_owned() })
        .collect();
    // A dot or an apostrophe at the beginning of a line would be a request.
    if set.starts_with(['.', '\'']) { format!("\\&{set}") } else { set }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented_with_an_example_that_it_takes() {
        for Part { title, rows, .. } in parts() {
            for row in rows {
                let about = row.about();
                assert!(!about.help.is_empty() && about.help.ends_with('.'), "{title} {}", about.name);
                assert_eq!(
                    row.check(Some(about.example)),
                    Ok(()),
                    "{title} {}={}",
                    about.name,
                    about.example
                );
            }
        }
    }

    #[test]
    fn the_pages_hold_every_key_of_every_kind() {
        let (page, manual) = (markdown(), manual_page().replace("\\-", "-"));
        for kind in KINDS {
            for row in kind
                .keys
                .engine
                .rows
                .iter()
                .chain(kind.keys.task.rows)
                .chain(kind.keys.machine.map_or(&[][..], |machine| machine.keys.rows))
            {
                let name = row.about().name;
                assert!(
                    page.contains(&format!("| `{name}` |")) && manual.contains(&format!("\\fB{name}\\fR")),
                    "{name}"
                );
            }
        }
        assert!(page.contains("| `scan_type` | no; default `page` | page, region, psi, none |"), "{page}");
        assert!(page.contains("| `T` | yes | 0..=360 (counts) | etmem 1.x | `T=1` |"), "{page}");
    }
}
