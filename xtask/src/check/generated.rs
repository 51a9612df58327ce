//! `generated`: files that are written from the code are what the code gives. `cargo xtask generate` writes them.

use super::verdict::Verdict;
use super::{reference, tables};
use anyhow::Context;
use std::fs;
use std::path::Path;

/// A file, from the root of the tree, and what gives its text.
type Generated = (&'static str, fn(&Path) -> anyhow::Result<String>);

const FILES: [Generated; 5] = [
    ("docs/configuration.md", |_| Ok(reference::markdown())),
    ("docs/etmem.conf.5", |_| Ok(reference::manual_page())),
    ("docs/json.md", tables::figures),
    ("docs/why-nothing-happens.md", tables::reasons),
    ("crates/etmem-engine/src/folders.rs", folders),
];

/// The modules that the catalogue of engines declares by a macro, for `cargo fmt`, which does not see them there: each
/// folder beside it.
fn folders(root: &Path) -> anyhow::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("crates/etmem-engine/src"))? {
        let entry = entry?;
        if entry.path().join("mod.rs").is_file() {
            names.push(
                entry.file_name().into_string().map_err(|name| anyhow::anyhow!("{name:?} is not UTF-8"))?,
            );
        }
    }
    names.sort_unstable();
    let modules: String =
        names.iter().map(|name| format!("\n#[path = \"{name}/mod.rs\"]\nmod {name};\n")).collect();
    Ok(format!(
        "//! The folders of the kinds of engines, for `cargo fmt` alone. Written by `cargo xtask generate`.\n{modules}"
    ))
}

/// Compares each file with what the code gives.
pub(crate) fn check(root: &Path) -> anyhow::Result<Verdict> {
    let mut problems = Vec::new();
    for (file, text) in FILES {
        if fs::read_to_string(root.join(file)).ok() != Some(text(root)?) {
            problems.push(format!("{file} is not what the code gives"));
        }
    }
    let looked_at = format!("{} files are what the code gives", FILES.len());
    Ok(Verdict::of(problems, looked_at, "run cargo xtask generate, and commit what it writes"))
}

/// Writes each file.
pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    for (file, text) in FILES {
        fs::write(root.join(file), text(root)?).with_context(|| format!("cannot write {file}"))?;
        println!("written: {file}");
    }
    Ok(())
}
