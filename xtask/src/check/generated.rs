//! `generated`: files that are written from the code are what the code gives. `cargo xtask generate` writes them.

use super::verdict::Verdict;
use anyhow::Context;
use etmem_engine::reference;
use std::fs;
use std::path::Path;

/// A file, from the root of the tree, and what gives its text.
type Generated = (&'static str, fn() -> String);

const FILES: [Generated; 2] =
    [("docs/configuration.md", reference::markdown), ("docs/etmem.conf.5", reference::manual_page)];

/// Compares each file with what the code gives.
pub(crate) fn check(root: &Path) -> anyhow::Result<Verdict> {
    let differs = |(file, text): &&Generated| fs::read_to_string(root.join(file)).ok() != Some(text());
    let problems =
        FILES.iter().filter(differs).map(|(file, _)| format!("{file} is not what the code gives")).collect();
    let looked_at = format!("{} files are what the code gives", FILES.len());
    Ok(Verdict::of(problems, looked_at, "run cargo xtask generate, and commit what it writes"))
}

/// Writes each file.
pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    for (file, text) in FILES {
        fs::write(root.join(file), text()).with_context(|| format!("cannot write {file}"))?;
        println!("written: {file}");
    }
    Ok(())
}
