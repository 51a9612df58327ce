//! `cargo xtask notices`: the licences of the crates in the products, with the texts that come with them.

use super::crates::{self, Crate};
use anyhow::Context;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// How the names of files begin that state a licence or a notice.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];

/// Prints them.
pub(crate) fn print(root: &Path) -> anyhow::Result<()> {
    let crates: Vec<Crate> = crates::of_products(root)?.into_iter().filter(|one| !one.is_ours).collect();
    let texts = crates.iter().map(|one| texts(&one.folder)).collect::<anyhow::Result<Vec<_>>>()?;
    print!("{}", written(&crates, &texts));
    Ok(())
}

/// The texts in a crate's folder, by the files' names.
fn texts(folder: &Path) -> anyhow::Result<Vec<String>> {
    let listed = || format!("list {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(listed)? {
        let entry = entry.with_context(listed)?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if NAMES.iter().any(|start| name.starts_with(start)) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
    };
    files.iter().map(read).collect()
}

/// A list of the crates, then each text once, with the crates that it belongs to.
fn written(crates: &[Crate], texts: &[Vec<String>]) -> String {
    let mut out = String::from(
        "etmem contains the crates below. Each is under the licence beside it; the texts that come with them follow.\n\n",
    );
    let mut by_text: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (one, texts) in crates.iter().zip(texts) {
        let name = format!("{} {}", one.name, one.version);
        let alone = if texts.is_empty() { " (no text comes with it)" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name}: {}{alone}", one.licence.as_deref().unwrap_or("no licence stated"));
        for text in texts {
            by_text.entry(text.trim()).or_default().push(name.clone());
        }
    }
    let mut rows: Vec<_> = by_text.into_iter().collect();
    rows.sort_by(|one, other| one.1.cmp(&other.1));
    for (text, names) in rows {
        let _ = write!(out, "\n{}\n{}\n\n{text}\n", "=".repeat(80), names.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Crate {
        Crate {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT".to_owned()),
            folder: "/".into(),
            is_ours: false,
            uses: Vec::new(),
        }
    }

    #[test]
    fn a_text_of_two_crates_is_written_once() {
        let same = || vec!["Permission is granted\n".to_owned()];
        let text = written(&[of("a"), of("b"), of("c")], &[same(), same(), Vec::new()]);
        assert_eq!(text.matches("Permission is granted").count(), 1);
        assert!(text.contains("\na 1.0.0, b 1.0.0\n\nPermission"), "{text}");
        assert!(text.contains("c 1.0.0: MIT (no text comes with it)\n"), "{text}");
    }
}
