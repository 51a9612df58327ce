//! A key of a group, as one row: name, range, default, unit, help, example, and whose it is.
//!
//! From a row come the parser and its refusals, the default, and the reference pages. The text of a range is not written
//! twice: it is what the row's own refusal says.

use crate::rule::Rule;
use std::fmt;

/// What can be said of a key without its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// How it is written.
    pub name: &'static str,
    /// Whether it has to be written.
    pub need: Need,
    /// The unit of its value; empty where it has none.
    pub unit: &'static str,
    /// What it does, in a sentence or two of Markdown.
    pub help: &'static str,
    /// A value that one might write.
    pub example: &'static str,
    /// Whose it is.
    pub origin: Origin,
}

/// Whether a key has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It has to be.
    Needed,
    /// Absent it means nothing at all.
    Optional,
    /// Absent it has this value.
    Default(&'static str),
}

/// Whose a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// openEuler's etmem has it.
    Original,
    /// Ours, since this version.
    Ours(&'static str),
}

/// Why a row gives no value.
#[derive(Debug, Clone, PartialEq)]
pub enum Unread {
    /// The key has to be written and is not.
    Missing,
    /// What is written breaks this rule.
    Breaks(Rule),
}

/// A key whose values are of type `T`.
#[derive(Debug)]
pub struct Key<T: 'static> {
    about: About,
    absent: Option<fn() -> T>,
    read: fn(&str) -> Result<T, Rule>,
}

impl<T> Key<T> {
    const fn new(name: &'static str, need: Need, read: fn(&str) -> Result<T, Rule>) -> Self {
        let about = About { name, need, unit: "", help: "", example: "", origin: Origin::Original };
        Self { about, absent: None, read }
    }

    /// A key that has to be written.
    pub const fn needed(name: &'static str, read: fn(&str) -> Result<T, Rule>) -> Self {
        Self::new(name, Need::Needed, read)
    }

    /// A key that absent has the value `default`, given as it would be written.
    pub const fn or(name: &'static str, default: &'static str, read: fn(&str) -> Result<T, Rule>) -> Self {
        Self::new(name, Need::Default(default), read)
    }

    /// A key that may be absent.
    pub const fn optional(name: &'static str, read: fn(&str) -> Result<T, Rule>) -> Self
    where
        T: Default,
    {
        Self { absent: Some(T::default), ..Self::new(name, Need::Optional, read) }
    }

    /// With a unit.
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.about.unit = unit;
        self
    }

    /// With what it does.
    #[must_use]
    pub const fn help(mut self, help: &'static str) -> Self {
        self.about.help = help;
        self
    }

    /// With a value that one might write.
    #[must_use]
    pub const fn example(mut self, example: &'static str) -> Self {
        self.about.example = example;
        self
    }

    /// One that openEuler's etmem does not have, since version `since`.
    #[must_use]
    pub const fn ours(mut self, since: &'static str) -> Self {
        self.about.origin = Origin::Ours(since);
        self
    }

    /// How it is written.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.about.name
    }

    /// What `written` means.
    ///
    /// # Errors
    /// It is missing or breaks the row's rule.
    pub fn value(&self, written: Option<&str>) -> Result<T, Unread> {
        match (written, self.about.need, self.absent) {
            (Some(text), ..) | (None, Need::Default(text), _) => (self.read)(text).map_err(Unread::Breaks),
            (None, _, Some(absent)) => Ok(absent()),
            (None, Need::Needed | Need::Optional, None) => Err(Unread::Missing),
        }
    }
}

/// A [`Key`] of any type.
pub trait Row: fmt::Debug + Sync {
    /// What can be said of it.
    fn about(&self) -> &About;

    /// Whether `written` is a value of it.
    ///
    /// # Errors
    /// It is missing or breaks the row's rule.
    fn check(&self, written: Option<&str>) -> Result<(), Unread>;

    /// Its values in words; `None` if other rows decide.
    fn range(&self) -> Option<String>;
}

impl<T> Row for Key<T>
where
    Self: fmt::Debug,
{
    fn about(&self) -> &About {
        &self.about
    }

    fn check(&self, written: Option<&str>) -> Result<(), Unread> {
        self.value(written).map(drop)
    }

    fn range(&self) -> Option<String> {
        // No line can hold this, so no row takes it, and what it says then is its range.
        let rule = (self.read)("\0").err()?;
        Some(if matches!(rule, Rule::Name(_)) {
            "a name: 1 to 64 printable ASCII characters, no space".to_owned()
        } else {
            rule.to_string().trim_start_matches("must be ").to_owned()
        })
    }
}

/// A table of keys. `NAME: type = needed("key", reader).help("…");` makes of each row a [`Key`], and the line before the rows
/// names the list of all of them.
#[macro_export]
macro_rules! keys {
    ($vis:vis $list:ident; $($name:ident: $type:ty = $need:ident $row:tt $(.$more:ident $words:tt)*;)+) => {
        $(
            #[doc = concat!("One of the rows of [`", stringify!($list), "`].")]
            $vis const $name: $crate::key::Key<$type> = $crate::key::Key::$need $row $(.$more $words)*;
        )+
        /// The rows in their order.
        $vis const $list: &[&dyn $crate::key::Row] = &[$(&$name),+];
    };
}
