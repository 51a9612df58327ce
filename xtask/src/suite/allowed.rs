//! The skips that a kind of machine may have: a file with one `PATTERN: REASON` a line.
//!
//! A pattern is compared with a skipped test's name; `*` stands for any characters. Lines that are empty or
//! begin with `#` are comments.

use anyhow::{Context, bail};
use std::path::Path;

/// The patterns of one such file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AllowedSkips(Vec<String>);

impl AllowedSkips {
    /// Reads the file `path`.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("list of allowed skips {}", path.display());
        let text = std::fs::read_to_string(path).with_context(context)?;
        Self::parse(&text).with_context(context)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut patterns = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The first colon with a space after it: names have colons too, but no such pair.
            match line.split_once(": ") {
                Some((pattern, reason)) if !pattern.trim().is_empty() && !reason.trim().is_empty() => {
                    patterns.push(pattern.trim().to_owned());
                }
                _ => bail!("line {}: {line:?} is not of the form PATTERN: REASON", index + 1),
            }
        }
        Ok(Self(patterns))
    }

    /// Whether the test `name` may be skipped.
    pub(crate) fn allows(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    name.char_indices().any(|(at, _)| matches(rest, &name[at..])) || matches(rest, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, want) in [
            ("a::b", "a::b", true),
            ("a::b", "a::bc", false),
            ("a::*", "a::b", true),
            ("a::*", "a::", true),
            ("a::*", "b::a::c", false),
            ("*::c", "b::a::c", true),
            ("*::c", "b::a::cd", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("*", "", true),
            ("*é", "caf\u{e9}", true),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} and {name}");
        }
    }

    #[test]
    fn a_list_has_a_reason_for_each_pattern() {
        let list = AllowedSkips::parse("# none of these has two nodes\n\nnuma::*: one node only\n").unwrap();
        assert!(list.allows("numa::moves") && !list.allows("swap::moves"));
        for bad in ["numa::*", "numa::*: ", ": why"] {
            assert!(AllowedSkips::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(AllowedSkips::parse("").unwrap(), AllowedSkips(vec![]));
    }
}
