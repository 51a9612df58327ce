//! `words`: documents and messages use plain English, by the word list of CONTRIBUTING.md.
//!
//! The check reads documents, units, samples, and string literals outside of tests. Comments and names of functions, tests
//! included, are read where [`COMMENTS_TOO`] says so, and always by `cargo xtask words`.

use super::table;
use super::verdict::Verdict;
use crate::source::{SOURCES, Source, files_below, literal};
use anyhow::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const DOCUMENT: &str = "CONTRIBUTING.md";
const HEADINGS: [&str; 2] = ["instead of", "write"];

/// Whether comments and names of functions count.
const COMMENTS_TOO: bool = true;

/// Folders with text for users, and how the names of the files end that hold it; nothing for all files.
const TEXTS: [(&str, &str); 8] = [
    (".", ".md"),
    ("docs", ".md"),
    ("examples", ".md"),
    ("etc/etmem", ""),
    ("include", ""),
    ("systemd", ""),
    ("scripts", ""),
    (".ci", ""),
];

/// Where an expression of the list is the right one: file, expression, reason.
const ALLOWED: [(&str, &str, &str); 0] = [];

const REMEDY: &str = "write it as the word list of CONTRIBUTING.md says; where the expression is the right one, add it with its \
                      reason to ALLOWED in xtask/src/check/plain_words.rs";

/// Looks for the expressions of the word list.
pub(crate) fn check(root: &Path) -> anyhow::Result<Verdict> {
    let found = found(root)?;
    let counts = |find: &&Find| COMMENTS_TOO || !find.in_comment;
    let mut problems: Vec<String> =
        found.iter().filter(counts).filter(|find| !is_allowed(find)).map(Find::describe).collect();
    let is_unused = |(file, words, _): &&(&str, &str, &str)| {
        !found.iter().any(|find| find.file == *file && find.expression == *words)
    };
    problems.extend(
        ALLOWED
            .iter()
            .filter(is_unused)
            .map(|(file, words, _)| format!("{file} no longer says {words:?}: take it out of ALLOWED")),
    );
    let waiting = found.iter().filter(|find| !counts(find)).count();
    let looked_at = match waiting {
        0 => "none of the word list's expressions".to_owned(),
        _ => format!("none of the word list's expressions; {waiting} in comments, see cargo xtask words"),
    };
    Ok(Verdict::of(problems, looked_at, REMEDY))
}

/// Prints every expression of the word list that the tree holds, and how many there are by crate.
pub(crate) fn list(root: &Path) -> anyhow::Result<()> {
    let mut by_crate: BTreeMap<String, usize> = BTreeMap::new();
    for find in found(root)?.iter().filter(|find| !is_allowed(find)) {
        println!("{}", find.describe());
        let depth = if find.file.starts_with("crates/") { 2 } else { 1 };
        let top = find.file.split('/').take(depth).collect::<Vec<_>>().join("/");
        *by_crate.entry(top).or_default() += 1;
    }
    println!();
    for (name, count) in &by_crate {
        println!("{count:>7}  {name}");
    }
    println!("{:>7}  in all", by_crate.values().sum::<usize>());
    Ok(())
}

/// An expression of the list, found.
#[derive(Debug)]
struct Find {
    file: String,
    line: usize,
    expression: String,
    instead: String,
    in_comment: bool,
}

impl Find {
    fn describe(&self) -> String {
        format!("{}:{}: {:?}: write {}", self.file, self.line, self.expression, self.instead)
    }
}

fn is_allowed(find: &Find) -> bool {
    ALLOWED.iter().any(|(file, words, _)| find.file == *file && find.expression == *words)
}

/// An expression that is not to be written, and what is.
#[derive(Debug)]
struct Entry {
    expression: String,
    instead: String,
}

fn found(root: &Path) -> anyhow::Result<Vec<Find>> {
    let rows = table::read(root, DOCUMENT, &HEADINGS)?;
    let own_lines: BTreeSet<usize> = rows.iter().map(|row| row.line).collect();
    let mut entries = Vec::new();
    for row in &rows {
        let names = table::names(row, 0).context(DOCUMENT)?;
        entries
            .extend(names.into_iter().map(|expression| Entry { expression, instead: row.cells[1].clone() }));
    }
    let mut finds = Vec::new();
    for path in texts(root)? {
        let file = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
        let all = in_text(&file, &text, 1, &entries, false).into_iter();
        finds.extend(all.filter(|find| file != DOCUMENT || !own_lines.contains(&find.line)));
    }
    for source in Source::read_all(root, &SOURCES)? {
        finds.extend(in_source(&source, &entries));
    }
    Ok(finds)
}

fn texts(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = vec![root.join("Makefile")];
    for (folder, end) in TEXTS {
        let mut below = Vec::new();
        if folder == "." {
            for entry in std::fs::read_dir(root).context("list the top folder")? {
                below.push(entry.context("list the top folder")?.path());
            }
            below.sort();
        } else {
            files_below(&root.join(folder), &|_| true, &mut below)?;
        }
        files
            .extend(below.into_iter().filter(|path| path.is_file() && path.to_string_lossy().ends_with(end)));
    }
    Ok(files)
}

fn in_source(source: &Source, entries: &[Entry]) -> Vec<Find> {
    let mut finds = in_text(&source.file, &source.comments(), 1, entries, true);
    let mut before = "";
    for word in &source.words {
        if before == "fn" {
            finds.extend(in_text(
                &source.file,
                &word.text.replace('_', " "),
                source.line(word.at),
                entries,
                true,
            ));
        }
        let text = literal(&word.text);
        if !word.in_test && !text.is_empty() {
            let text = text.replace("\\n", "  ");
            finds.extend(in_text(&source.file, &text, source.line(word.at), entries, false));
        }
        before = &word.text;
    }
    finds
}

fn in_text(file: &str, text: &str, first_line: usize, entries: &[Entry], in_comment: bool) -> Vec<Find> {
    let words = split(text, first_line);
    let mut finds = Vec::new();
    for entry in entries {
        let wanted: Vec<&str> = entry.expression.split(' ').collect();
        for window in words.windows(wanted.len()) {
            if window.iter().map(|(word, _)| word.as_str()).eq(wanted.iter().copied()) {
                finds.push(Find {
                    file: file.to_owned(),
                    line: window[0].1,
                    expression: entry.expression.clone(),
                    instead: entry.instead.clone(),
                    in_comment,
                });
            }
        }
    }
    finds.sort_by_key(|find| find.line);
    finds
}

/// The words of a text in small letters, each with its line. What begins a comment, or ends a line, parts no
/// expression; a punctuation mark does, as an empty word.
fn split(text: &str, first_line: usize) -> Vec<(String, usize)> {
    let mut words: Vec<(String, usize)> = Vec::new();
    let mut line = first_line;
    let mut in_word = false;
    for letter in text.chars() {
        let was_in_word = std::mem::take(&mut in_word);
        match letter {
            '\n' => line += 1,
            '/' | '!' | '*' | '#' | '`' | '\\' | '>' => {}
            _ if letter.is_whitespace() => {}
            _ if letter.is_alphanumeric() || "_-'".contains(letter) => {
                if !was_in_word {
                    words.push((String::new(), line));
                }
                if let Some((word, _)) = words.last_mut() {
                    word.extend(letter.to_lowercase());
                }
                in_word = true;
            }
            _ => words.push((String::new(), line)),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        ["whoever", "is told"].map(|text| Entry { expression: text.into(), instead: "better".into() }).into()
    }

    fn lines(finds: &[Find]) -> Vec<usize> {
        finds.iter().map(|find| find.line).collect()
    }

    #[test]
    fn an_expression_is_found_across_lines_and_not_across_punctuation() {
        let text = "Whoever is\ntold. That is: told.\nWhat is retold, is `told`.\n> it is\n> told";
        assert_eq!(lines(&in_text("a.md", text, 1, &entries(), false)), [1, 1, 3, 4]);
    }

    #[test]
    fn literals_count_and_comments_and_names_count_apart() {
        let text = "//! It is\n//! told.\nconst A: &str = \"a\\nwhoever \\\n    is told\";\n/// Whoever.\n\
                    #[cfg(test)]\nmod t { fn b_is_told() { \"whoever\" } }";
        let (comments, literals): (Vec<Find>, Vec<Find>) =
            in_source(&Source::parse("a.rs", text).unwrap(), &entries())
                .into_iter()
                .partition(|find| find.in_comment);
        assert_eq!((lines(&literals), lines(&comments)), (vec![3, 4], vec![1, 5, 7]));
    }
}
