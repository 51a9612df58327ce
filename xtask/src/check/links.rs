//! `links`: what documents point to is there.
//!
//! Read are links to files of this tree, and paths in backticks that begin with one of its folders or, as ARCHITECTURE.md writes
//! them, with a crate. Lines of code are left out.

use super::verdict::Verdict;
use crate::source::files_below;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// Where documents are, besides the top folder.
const FOLDERS: [&str; 2] = ["docs", "examples"];

const REMEDY: &str = "name the file or folder as it is called now";

/// Looks for links and paths that lead nowhere.
pub(crate) fn check(root: &Path) -> anyhow::Result<Verdict> {
    let documents = documents(root)?;
    let mut problems = Vec::new();
    for document in &documents {
        let name = document.strip_prefix(root).unwrap_or(document).display();
        let text = std::fs::read_to_string(document).with_context(|| format!("read {name}"))?;
        for (line, target) in stray(&text, document, root) {
            problems.push(format!("{name}:{line}: {target} is not there"));
        }
    }
    let looked_at = format!("the links and paths of {} documents lead somewhere", documents.len());
    Ok(Verdict::of(problems, looked_at, REMEDY))
}

fn documents(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let is_document = |path: &Path| path.extension().is_some_and(|extension| extension == "md");
    let mut documents = Vec::new();
    for entry in std::fs::read_dir(root).context("list the top folder")? {
        documents.push(entry.context("list the top folder")?.path());
    }
    documents.retain(|path| is_document(path));
    documents.sort();
    for folder in FOLDERS {
        files_below(&root.join(folder), &is_document, &mut documents)?;
    }
    Ok(documents)
}

/// What a document names and is not there, each with its line.
fn stray(text: &str, document: &Path, root: &Path) -> Vec<(usize, String)> {
    let beside = document.parent().unwrap_or(root);
    let mut stray = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("    ")) {
        let links = links(line).filter(|link| !beside.join(link).exists());
        let paths = line.split('`').skip(1).step_by(2).filter(|path| is_path(path, root));
        let paths =
            paths.filter(|path| !root.join(path).exists() && !root.join("crates").join(path).exists());
        stray.extend(links.chain(paths).map(|target| (index + 1, target.to_owned())));
    }
    stray
}

/// The files that a line links to.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        let file = target.split('#').next()?;
        (!file.is_empty() && !file.contains("://")).then_some(file)
    })
}

/// Whether `text` is a path below a folder of this tree or of a crate; capital letters stand for something else, but for
/// files of the top folder, which are linked.
fn is_path(text: &str, root: &Path) -> bool {
    let is_plain =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-./".contains(letter);
    text.chars().all(is_plain)
        && text.split_once('/').is_some_and(|(top, _)| {
            !top.is_empty()
                && !top.starts_with('.')
                && (root.join(top).is_dir() || root.join("crates").join(top).is_dir())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project;

    #[test]
    fn what_leads_nowhere_is_found_with_its_line() {
        let root = project::root();
        let text = "[a](README.md) [b](gone.md#x)\n`etmem-core/src/lib.rs`, `etmem-core/src/gone.rs`\n    `xtask/gone`\n\
                    [c](https://example.org/gone) [d](#here) `xtask/NAME` `/proc/gone` `gone/gone` `xtask/gone.rs`";
        assert_eq!(
            stray(text, &root.join("README.md"), &root),
            [(1, "gone.md".into()), (2, "etmem-core/src/gone.rs".into()), (4, "xtask/gone.rs".into())]
        );
        assert!(stray("[a](../README.md)", &root.join("docs/a.md"), &root).is_empty());
    }
}
