//! Stage one: what was written. GLib's key-file dialect of INI, with the line of everything.
//!
//! A line is blank, a comment (`#`; also `;`, which GLib itself refuses), a `[group]` or a `key=value`; white
//! space around each is dropped. Everything after the first `=` is data, be it `;`, `#`, `"` or `\`. Groups and
//! keys may repeat and stay as they stand. General INI readers differ in just these points (`:` as a second
//! separator, lines joined after `\`, a line without `=` joined to the next) and give no lines, hence this one.

use crate::excerpt::{excerpt, is_invisible};
use crate::form::Form;
use crate::nearest::{Nearest, suggestion};
use crate::written::{WrittenGroup, WrittenPair};
use std::str::Utf8Error;

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {fault}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: SyntaxFault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxFault {
    /// It has bytes that are no UTF-8.
    #[error("is not UTF-8 text; save the file as UTF-8")]
    NotUtf8,
    /// It has a byte of value 0.
    #[error("has a NUL byte; is this a text file?")]
    Nul,
    /// It begins with `[` but is no group.
    #[error("is not a group; write [project], [engine] or [task] on a line of its own")]
    Group,
    /// It is none of the four kinds of line.
    #[error("is not key=value, a [group] or a # comment")]
    NotPair,
    /// It is none of the four kinds of line, and has a character that looks like a space and is none.
    #[error("has the character {}, which looks like a space or like nothing; write plain spaces", .0.escape_unicode())]
    Invisible(char),
    /// Nothing stands before the `=`.
    #[error("has no key before the =")]
    NoKey,
    /// It stands before the first group.
    #[error("stands before the first [group]; begin with [project], [engine] or [task]")]
    BeforeFirstGroup,
    /// In the older form: it is none of the four kinds of line.
    #[error("is not key : value, a group such as policies: or a # comment")]
    NotColonPair,
    /// In the older form: it stands before `options:`.
    #[error("stands before options:; begin with options: on a line of its own")]
    NotOptions,
    /// In the older form: the file has a second project.
    #[error("options: is given again; a file holds one project, so put the other into a file of its own")]
    OptionsAgain,
    /// In the older form: the name of a group has a value.
    /// The group.
    #[error("{0}: has a value, but is a group; write its keys on the lines below, one each")]
    GroupWithValue(&'static str),
    /// In the older form: a key stands before the group that has it.
    #[error("{} stands before the {group}: it belongs to; write {group}: on a line of its own before it", excerpt(.key))]
    OutsideGroup {
        /// The key, or the group that stands in another.
        key: String,
        /// The group that has it.
        group: &'static str,
    },
    /// In the older form: a group begins that it does not have, so that it is not known whose the lines below are.
    #[error("{}: has no value, and is no group of this form{}", excerpt(.written), suggestion(.nearest.as_ref()))]
    UnknownGroup {
        /// What is written.
        written: String,
        /// The group it may be meant to be.
        nearest: Option<Nearest>,
    },
}

/// `bytes` as text.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, SyntaxError> {
    std::str::from_utf8(bytes).map_err(|error: Utf8Error| {
        let good = bytes.iter().take(error.valid_up_to());
        SyntaxError { line: 1 + good.filter(|&&byte| byte == b'\n').count(), fault: SyntaxFault::NotUtf8 }
    })
}

/// The groups of `text` in the order of the file.
pub(crate) fn groups(text: &str) -> Result<Vec<WrittenGroup>, SyntaxError> {
    let mut groups: Vec<WrittenGroup> = Vec::new();
    for (line, written) in (1..).zip(text.lines()) {
        let refuse = |fault| match written.chars().find(|&character| is_invisible(character)) {
            Some(character) if fault != SyntaxFault::Nul => {
                SyntaxError { line, fault: SyntaxFault::Invisible(character) }
            }
            Some(_) | None => SyntaxError { line, fault },
        };
        let written = written.trim_matches(|character: char| character.is_ascii_whitespace());
        if written.contains('\0') {
            return Err(refuse(SyntaxFault::Nul));
        }
        if written.is_empty() || written.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = written.strip_prefix('[') {
            let name = group_name(rest).ok_or_else(|| refuse(SyntaxFault::Group))?;
            let (form, name) = (Form::KeyFile, name.to_owned());
            groups.push(WrittenGroup { line, form, name, pairs: Vec::new() });
            continue;
        }
        let group = groups.last_mut().ok_or_else(|| refuse(SyntaxFault::BeforeFirstGroup))?;
        let (key, value) = written.split_once('=').ok_or_else(|| refuse(SyntaxFault::NotPair))?;
        let key = key.trim_ascii_end();
        if key.is_empty() {
            return Err(refuse(SyntaxFault::NoKey));
        }
        let (key, value) = (key.to_owned(), value.trim_ascii_start().to_owned());
        group.pairs.push(WrittenPair { line, key, value });
    }
    Ok(groups)
}

/// The name in `rest`, which is the line after its `[`.
fn group_name(rest: &str) -> Option<&str> {
    let name = rest.strip_suffix(']')?;
    let plain = !name.is_empty() && !name.contains(|c: char| c == '[' || c == ']' || c.is_control());
    plain.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        let pairs = groups(text).unwrap().into_iter().flat_map(|group| group.pairs);
        pairs.map(|pair| (pair.line, pair.key, pair.value)).collect()
    }

    fn written<const N: usize>(rows: [(usize, &str, &str); N]) -> [(usize, String, String); N] {
        rows.map(|(line, key, value)| (line, key.to_owned(), value.to_owned()))
    }

    #[test]
    fn lines_of_every_kind() {
        let text =
            "# c\n\n[project]\nname = a b \r\n  loop\t=\t3\n  # indented\n; other\n\n[task]\nk==v=\nempty=\n";
        assert_eq!(
            groups(text).unwrap().into_iter().map(|group| (group.line, group.name)).collect::<Vec<_>>(),
            [(3, "project".to_owned()), (9, "task".to_owned())]
        );
        assert_eq!(
            pairs(text),
            written([(4, "name", "a b"), (5, "loop", "3"), (10, "k", "=v="), (11, "empty", "")])
        );
    }

    #[test]
    fn data_that_other_dialects_take_apart() {
        for value in ["2,0;3,1", "a # b", "\"quoted\"", "'x'", "back\\slash\\", "a:b", "[x]", "${HOME}", "é"]
        {
            let text = format!("[g]\nkey={value}\nnext=1");
            assert_eq!(pairs(&text), written([(2, "key", value), (3, "next", "1")]));
        }
        assert_eq!(pairs("[g]\na:b=c"), written([(2, "a:b", "c")]));
    }

    #[test]
    fn repeated_groups_and_keys_stay() {
        let groups = groups("[task]\na=1\na=2\n[engine]\n[task]\na=3").unwrap();
        let names: Vec<_> = groups.iter().map(|group| (group.name.as_str(), group.pairs.len())).collect();
        assert_eq!(names, [("task", 2), ("engine", 0), ("task", 1)]);
    }

    #[test]
    fn nothing_written() {
        for text in ["", "\n\n", "# only a comment", "\r\n"] {
            assert_eq!(groups(text).unwrap(), []);
        }
    }

    #[test]
    fn faults_with_their_line() {
        for (text, line, fault) in [
            ("a=1\n[project]", 1, SyntaxFault::BeforeFirstGroup),
            ("\n# c\noptions:\n", 3, SyntaxFault::BeforeFirstGroup),
            ("[project]\nname=a\nloop 3\n", 3, SyntaxFault::NotPair),
            ("[project]\nloop : 3", 2, SyntaxFault::NotPair),
            ("[project]\n = 3", 2, SyntaxFault::NoKey),
            ("[project\nname=a", 1, SyntaxFault::Group),
            ("[project]\n[ta\nsk]", 2, SyntaxFault::Group),
            ("[]", 1, SyntaxFault::Group),
            ("[project] name=a", 1, SyntaxFault::Group),
            ("[[project]]", 1, SyntaxFault::Group),
            ("[project]\nname=a\0b", 2, SyntaxFault::Nul),
            ("\u{a0}[project]\nname=a", 1, SyntaxFault::Invisible('\u{a0}')),
            ("[project]\u{200b}\nname=a", 1, SyntaxFault::Invisible('\u{200b}')),
            ("[project]\nloop\u{3000}3\n", 2, SyntaxFault::Invisible('\u{3000}')),
        ] {
            assert_eq!(groups(text), Err(SyntaxError { line, fault }), "{text:?}");
        }
        let error = groups("[project]\n\u{a0}\n").unwrap_err();
        let want =
            "2: has the character \\u{a0}, which looks like a space or like nothing; write plain spaces";
        assert_eq!(error.to_string(), want);
        let error = decode(b"[project]\nname=\xff").unwrap_err();
        assert_eq!(error.to_string(), "2: is not UTF-8 text; save the file as UTF-8");
        assert_eq!(decode(b"[project]"), Ok("[project]"));
    }
}
