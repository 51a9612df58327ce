//! Stage one of the older form: which line belongs to which group.
//!
//! A line is blank, a `#` comment, a group (`options:`, `policies:`, `param:`) or `key : value`; white space
//! around each is dropped, and so are quotes around a value and a comment after it. A key goes to the group that
//! has it, of `policies` and `param` the last begun; a key that no group has goes where the line before it went,
//! to be warned of.

use super::settings::{OPTIONS, OPTIONS_KEYS, PARAM, PARAM_KEYS, POLICIES, POLICIES_KEYS};
use crate::excerpt::is_invisible;
use crate::form::Form;
use crate::keyfile::{SyntaxError, SyntaxFault};
use crate::nearest::Nearest;
use crate::written::{WrittenGroup, WrittenPair};

/// What was written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(super) options: WrittenGroup,
    pub(super) policies: Vec<Policy>,
}

/// What was written of one task.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) policies: WrittenGroup,
    pub(super) param: Option<WrittenGroup>,
}

/// Why a text is no document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoDocument {
    /// Nothing is written in it.
    Empty,
    /// It is in the INI form: a `[group]` begins on this line.
    KeyFile(usize),
    /// A line cannot be read.
    Syntax(SyntaxError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Options,
    Policies,
    Param,
}

impl Place {
    const ALL: [Self; 3] = [Self::Options, Self::Policies, Self::Param];

    const fn name(self) -> &'static str {
        match self {
            Self::Options => OPTIONS,
            Self::Policies => POLICIES,
            Self::Param => PARAM,
        }
    }

    /// The one that has `key`.
    fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| {
            let keys = match place {
                Self::Options => OPTIONS_KEYS,
                Self::Policies => POLICIES_KEYS,
                Self::Param => PARAM_KEYS,
            };
            keys.iter().any(|row| row.about().name == key)
        })
    }
}

/// The line on which `text` begins as a document of this form does, if it does.
pub(crate) fn begins(text: &str) -> Option<usize> {
    let (line, written) = content(text).next()?;
    pair(line, written).filter(|pair| pair.key == OPTIONS).map(|_| line)
}

/// The groups of `text`.
pub(crate) fn document(text: &str) -> Result<Document, NoDocument> {
    let mut lines = content(text);
    let (line, written) = lines.next().ok_or(NoDocument::Empty)?;
    if written.starts_with('[') {
        return Err(NoDocument::KeyFile(line));
    }
    let options = begin(line, written).map_err(NoDocument::Syntax)?;
    let mut reading = Reading { options, policies: Vec::new(), last: Place::Options };
    for (line, written) in lines {
        reading.take(line, written).map_err(|fault| NoDocument::Syntax(SyntaxError { line, fault }))?;
    }
    Ok(Document { options: reading.options, policies: reading.policies })
}

/// The lines on which something is written, without the mark that may begin a YAML document.
fn content(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim_ascii));
    let mut lines = lines.filter(|(_, written)| !written.is_empty() && !written.starts_with('#')).peekable();
    lines.next_if(|(_, written)| *written == "---");
    lines
}

fn group(line: usize, place: Place) -> WrittenGroup {
    WrittenGroup { line, form: Form::Older, name: place.name().to_owned(), pairs: Vec::new() }
}

fn begin(line: usize, written: &str) -> Result<WrittenGroup, SyntaxError> {
    let refuse = |fault| SyntaxError { line, fault };
    let first = checked_pair(line, written).map_err(refuse)?;
    if first.key != OPTIONS {
        return Err(refuse(SyntaxFault::NotOptions));
    }
    if !first.value.is_empty() {
        return Err(refuse(SyntaxFault::GroupWithValue(OPTIONS)));
    }
    Ok(group(line, Place::Options))
}

fn checked_pair(line: usize, written: &str) -> Result<WrittenPair, SyntaxFault> {
    if written.contains('\0') {
        return Err(SyntaxFault::Nul);
    }
    pair(line, written).ok_or_else(|| {
        let invisible = written.chars().find(|&character| is_invisible(character));
        invisible.map_or(SyntaxFault::NotColonPair, SyntaxFault::Invisible)
    })
}

/// What stands before and after the first `:`.
fn pair(line: usize, written: &str) -> Option<WrittenPair> {
    let (key, rest) = written.split_once(':')?;
    let key = key.trim_ascii_end();
    (!key.is_empty()).then(|| WrittenPair { line, key: key.to_owned(), value: value(rest).to_owned() })
}

/// The value in `rest`, which is the line after its `:`.
fn value(rest: &str) -> &str {
    let comment = rest.match_indices('#').map(|(place, _)| place).find(|place| {
        let before = rest.as_bytes().get(..*place).and_then(<[u8]>::last);
        before.is_some_and(u8::is_ascii_whitespace)
    });
    let value = comment.and_then(|place| rest.get(..place)).unwrap_or(rest).trim_ascii();
    let without = |quote| value.strip_prefix(quote).and_then(|value: &str| value.strip_suffix(quote));
    without('"').or_else(|| without('\'')).unwrap_or(value)
}

fn unknown_group(written: &str) -> SyntaxFault {
    let nearest = Nearest::to(written, Place::ALL.map(Place::name));
    SyntaxFault::UnknownGroup { written: written.into(), nearest }
}

struct Reading {
    options: WrittenGroup,
    policies: Vec<Policy>,
    /// Where the last line went.
    last: Place,
}

impl Reading {
    fn take(&mut self, line: usize, written: &str) -> Result<(), SyntaxFault> {
        let pair = checked_pair(line, written)?;
        if let Some(place) = Place::ALL.into_iter().find(|place| place.name() == pair.key) {
            if !pair.value.is_empty() {
                return Err(SyntaxFault::GroupWithValue(place.name()));
            }
            self.last = place;
            return self.begin(line, place);
        }
        match Place::of_key(&pair.key) {
            Some(place) => self.last = place,
            // Of the lines below an unknown group it is not known whose they are: columns do not count.
            None if pair.value.is_empty() => return Err(unknown_group(&pair.key)),
            None => {}
        }
        let group = match self.last {
            Place::Options => Some(&mut self.options),
            Place::Policies => self.policies.last_mut().map(|policy| &mut policy.policies),
            Place::Param => self.policies.last_mut().and_then(|policy| policy.param.as_mut()),
        };
        let outside = || SyntaxFault::OutsideGroup { key: pair.key.clone(), group: self.last.name() };
        group.ok_or_else(outside)?.pairs.push(pair);
        Ok(())
    }

    fn begin(&mut self, line: usize, place: Place) -> Result<(), SyntaxFault> {
        match place {
            Place::Options => return Err(SyntaxFault::OptionsAgain),
            Place::Policies => {
                self.policies.push(Policy { policies: group(line, Place::Policies), param: None });
            }
            Place::Param => {
                let outside = || SyntaxFault::OutsideGroup { key: PARAM.into(), group: POLICIES };
                let policy = self.policies.last_mut().ok_or_else(outside)?;
                // Begun again it goes on: of a key that is given again, the last counts.
                policy.param.get_or_insert_with(|| group(line, Place::Param));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(group: &WrittenGroup) -> String {
        let pairs: Vec<_> =
            group.pairs.iter().map(|pair| format!("{}={}@{}", pair.key, pair.value, pair.line)).collect();
        format!("{}@{} {}", group.name, group.line, pairs.join(" "))
    }

    fn groups(text: &str) -> Vec<String> {
        let document = document(text).unwrap();
        let policies = document.policies.iter();
        let below = policies.flat_map(|policy| [Some(&policy.policies), policy.param.as_ref()]);
        std::iter::once(Some(&document.options)).chain(below).flatten().map(told).collect()
    }

    #[test]
    fn groups_by_key_whatever_the_columns() {
        let text = "# c\n---\noptions:    \n\tloop : 3\n  interval: 1\n      policies:\ntype:name\n\t\tvalue : x\n\
                    engine : slide\nparam:\n\t\t\tT: 3\n policies :\n value : 5\n  param :\nT : 1\n type : pid\nsleep : 2\n";
        let want = [
            "options@3 loop=3@4 interval=1@5 sleep=2@17",
            "policies@6 type=name@7 value=x@8 engine=slide@9",
            "param@10 T=3@11",
            "policies@12 value=5@13 type=pid@16",
            "param@14 T=1@15",
        ];
        assert_eq!(groups(text), want);
        assert_eq!(groups(&text.replace('\n', "\r\n")), want);
    }

    #[test]
    fn unknown_keys_go_where_the_line_before_went() {
        let text = "options:\na : 1\npolicies:\nb : 2\nparam:\nc : 3\ntype : pid\nd : 4\nloop : 5\ne : 6\n";
        let want = ["options@1 a=1@2 loop=5@9 e=6@10", "policies@3 b=2@4 type=pid@7 d=4@8", "param@5 c=3@6"];
        assert_eq!(groups(text), want);
    }

    #[test]
    fn values_as_yaml_has_them() {
        for (written, want) in [
            (" 3", "3"),
            ("3", "3"),
            ("\t3 # three", "3"),
            (" # none", ""),
            (" a#b", "a#b"),
            (" \"mysqld\"", "mysqld"),
            (" 'mysqld' # db", "mysqld"),
            (" \"", "\""),
            (" \"x'", "\"x'"),
            (" a:b", "a:b"),
            (" é#", "é#"),
            ("", ""),
        ] {
            assert_eq!(value(written), want, "{written:?}");
        }
    }

    #[test]
    fn lines_that_cannot_be() {
        let syntax = |line, fault| NoDocument::Syntax(SyntaxError { line, fault });
        let outside = |key: &str, group| SyntaxFault::OutsideGroup { key: key.into(), group };
        let with_value = |group| SyntaxFault::GroupWithValue(group);
        for (text, want) in [
            ("", NoDocument::Empty),
            ("# c\n\n---\n", NoDocument::Empty),
            ("# c\n[project]\nname=a\n", NoDocument::KeyFile(2)),
            ("loop : 3\noptions:\n", syntax(1, SyntaxFault::NotOptions)),
            ("options", syntax(1, SyntaxFault::NotColonPair)),
            ("options:\nloop 3\n", syntax(2, SyntaxFault::NotColonPair)),
            ("options:\nloop\u{a0}3\n", syntax(2, SyntaxFault::Invisible('\u{a0}'))),
            ("options:\n: 3\n", syntax(2, SyntaxFault::NotColonPair)),
            ("options:\n---\n", syntax(2, SyntaxFault::NotColonPair)),
            ("options:\nloop : 3\0\n", syntax(2, SyntaxFault::Nul)),
            ("options : 3\n", syntax(1, with_value(OPTIONS))),
            ("options:\npolicies:\nparam : {T: 3}\n", syntax(3, with_value(PARAM))),
            ("options:\nloop : 3\noptions:\n", syntax(3, SyntaxFault::OptionsAgain)),
            ("options:\ntype : pid\n", syntax(2, outside("type", POLICIES))),
            ("options:\nparam:\n", syntax(2, outside("param", POLICIES))),
            ("options:\nT : 3\n", syntax(2, outside("T", PARAM))),
            ("options:\npolicies:\nparam:\npolicies:\nT : 3\n", syntax(5, outside("T", PARAM))),
        ] {
            assert_eq!(document(text), Err(want), "{text:?}");
        }
        let error = document("options:\npolicies:\npolices:\n").unwrap_err();
        let NoDocument::Syntax(error) = error else { panic!("{error:?}") };
        assert_eq!(
            error.to_string(),
            "3: polices: has no value, and is no group of this form; did you mean policies?"
        );
    }

    #[test]
    fn how_a_document_begins() {
        for (text, line) in [
            ("options:", Some(1)),
            ("#\n\n---\n\toptions :\n", Some(4)),
            ("options: 3", Some(1)),
            ("[project]\noptions:", None),
            ("option:", None),
            ("options=", None),
            ("", None),
        ] {
            assert_eq!(begins(text), line, "{text:?}");
        }
    }
}
