//! Globs of control groups.

use glob::{MatchOptions, Pattern};
use std::fmt;

/// Most ways to read the braces of one pattern.
const MOST_ALTERNATIVES: usize = 256;

/// Paths of control groups, below the root of their hierarchy. `*`, `?` and `[a-z]` stand for characters other than `/`, `**` for
/// any groups, `{a,b}` for either. `/` is the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupPattern {
    written: Box<str>,
    /// What the braces stand for, each part by part.
    alternatives: Vec<Vec<Part>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    /// `**`: any groups, also none.
    Any,
    /// One group.
    One(Pattern),
}

impl GroupPattern {
    /// The pattern `text`; none if it is empty or has control characters, a part is `..`, a bracket or brace is never closed, or
    /// its braces stand for more than 256 paths.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.contains(char::is_control) || text.split('/').any(|part| part == "..") {
            return None;
        }
        let alternatives =
            without_braces(text)?.iter().map(|path| parts(path)).collect::<Option<Vec<_>>>()?;
        Some(Self { written: text.into(), alternatives })
    }

    /// Whether the group at `path` is meant.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<&str> = names(path).collect();
        self.alternatives.iter().any(|parts| is_match(parts, &path))
    }

    /// Whether a group below `path` may be meant.
    #[must_use]
    pub fn may_match_below(&self, path: &str) -> bool {
        let path: Vec<&str> = names(path).collect();
        self.alternatives.iter().any(|parts| leads_on(parts, &path))
    }

    /// Of the group at `path` and those above it, the uppermost that is meant.
    #[must_use]
    pub fn uppermost<'a>(&self, path: &'a str) -> Option<&'a str> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let above = [0].into_iter().chain(ends).map(|end| &path[..end]);
        above.into_iter().find(|path| self.matches(path))
    }

    /// Whether both may mean the same group, or one a group above a group of the other, by the groups at `paths`.
    #[must_use]
    pub fn overlap<'a>(&self, other: &Self, mut paths: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        paths.find(|path| self.uppermost(path).is_some() && other.uppermost(path).is_some())
    }
}

impl fmt::Display for GroupPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.written)
    }
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".")
}

fn parts(path: &str) -> Option<Vec<Part>> {
    names(path)
        .map(|name| if name == "**" { Some(Part::Any) } else { Pattern::new(name).ok().map(Part::One) })
        .collect()
}

fn is_named(pattern: &Pattern, name: &str) -> bool {
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    pattern.matches_with(name, options)
}

/// How far into `parts` the whole of `path` may lead: which parts may come next.
fn after(parts: &[Part], path: &[&str]) -> Vec<bool> {
    // `**` may stand for nothing, so the part after it may come next as well.
    let skip_any = |may: &mut Vec<bool>| {
        for at in 0..parts.len() {
            if may[at] && parts[at] == Part::Any {
                may[at + 1] = true;
            }
        }
    };
    let mut may = vec![false; parts.len() + 1];
    may[0] = true;
    skip_any(&mut may);
    for name in path {
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| may[*at]) {
            match part {
                Part::Any => next[at] = true,
                Part::One(pattern) if is_named(pattern, name) => next[at + 1] = true,
                Part::One(_) => {}
            }
        }
        skip_any(&mut next);
        may = next;
    }
    may
}

fn is_match(parts: &[Part], path: &[&str]) -> bool {
    // The root is meant by its own name only, not by `**`.
    let is_root = path.is_empty();
    if is_root { parts.is_empty() } else { after(parts, path)[parts.len()] }
}

fn leads_on(parts: &[Part], path: &[&str]) -> bool {
    after(parts, path)[..parts.len()].contains(&true)
}

/// `text` with each way to read its braces.
fn without_braces(text: &str) -> Option<Vec<String>> {
    let mut open = vec![text.to_owned()];
    let mut done = Vec::new();
    while let Some(text) = open.pop() {
        if open.len() + done.len() >= MOST_ALTERNATIVES {
            return None;
        }
        let Some(start) = text.find('{') else {
            done.push(text);
            continue;
        };
        let (end, choices) = choices(&text[start + 1..])?;
        let (before, after) = (&text[..start], &text[start + 1 + end..]);
        open.extend(choices.iter().map(|choice| format!("{before}{choice}{after}")));
    }
    Some(done)
}

/// The choices of a brace that has just been opened in front of `text`, and where the text goes on after it.
fn choices(text: &str) -> Option<(usize, Vec<&str>)> {
    let (mut depth, mut from, mut choices) = (0, 0, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth == 0 => {
                choices.push(&text[from..at]);
                from = at + 1;
            }
            '}' => {
                choices.push(&text[from..at]);
                return Some((at + 1, choices));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_globs() {
        for (pattern, path, want) in [
            ("a/b", "a/b", true),
            ("/a/b/", "a/b", true),
            ("a/b", "a", false),
            ("a/*", "a/b.service", true),
            ("a/*", "a/b/c", false),
            ("a/*", "a", false),
            ("*", "", false),
            ("/", "", true),
            (".", "", true),
            ("/", "a", false),
            ("**", "", false),
            ("**", "a/b", true),
            ("a/**", "a", true),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/b/c", true),
            ("a/**/c", "a/b/b", false),
            ("s[0-9]", "s7", true),
            ("s?", "s77", false),
            ("{a,b}.slice/{x,y{1,2}}", "b.slice/y2", true),
            ("{a,b}.slice/{x,y{1,2}}", "a.slice/x", true),
            ("{a,b}.slice/{x,y{1,2}}", "a.slice/y", false),
            ("a..b", "a..b", true),
            (".hidden", ".hidden", true),
            ("*", ".hidden", true),
        ] {
            assert_eq!(GroupPattern::new(pattern).unwrap().matches(path), want, "{pattern} {path:?}");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        let many = "{a,b}".repeat(9);
        for text in ["", "..", "a/../b", "a[", "{a,b", "a\nb", &many] {
            assert_eq!(GroupPattern::new(text), None, "{text}");
        }
        assert!(GroupPattern::new(&"{a,b}".repeat(7)).is_some());
    }

    #[test]
    fn which_folders_are_worth_a_look() {
        let pattern = GroupPattern::new("a/*/{c,d}").unwrap();
        for (path, want) in [("", true), ("a", true), ("b", false), ("a/x", true), ("a/x/c", false)] {
            assert_eq!(pattern.may_match_below(path), want, "{path}");
        }
        assert!(GroupPattern::new("a/**").unwrap().may_match_below("a/b/c"));
        assert!(!GroupPattern::new("/").unwrap().may_match_below(""));
    }

    #[test]
    fn the_uppermost_that_is_meant() {
        let uppermost = |pattern, path| GroupPattern::new(pattern).unwrap().uppermost(path);
        assert_eq!(uppermost("a/**", "a/b/c"), Some("a"));
        assert_eq!(uppermost("a/*", "a/b/c"), Some("a/b"));
        assert_eq!(uppermost("a/*", "a"), None);
        assert_eq!(uppermost("/", "a/b"), Some(""));
        let (one, other) = (GroupPattern::new("a/*").unwrap(), GroupPattern::new("a/b/c*").unwrap());
        assert_eq!(one.overlap(&other, ["a/x", "a/b", "a/b/c1"].into_iter()), Some("a/b/c1"));
        assert_eq!(one.overlap(&other, ["a/x", "a/b"].into_iter()), None);
    }
}
