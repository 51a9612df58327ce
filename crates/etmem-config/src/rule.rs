//! The rules that the values of keys keep.

use crate::excerpt::excerpt;
use crate::nearest::{Nearest, suggestion};
use etmem_core::name::NameError;

/// A rule that the value of a key breaks.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rule {
    /// It has to be given.
    #[error("is missing; {used_by} needs it{}", lookalike(.written))]
    Missing {
        /// Who needs it.
        used_by: String,
        /// An unknown key of the same group that was probably meant to be it.
        written: Option<String>,
    },
    /// A whole number within bounds, both included.
    #[error("must be {least}..={most}")]
    Whole {
        /// The least.
        least: i64,
        /// The greatest.
        most: i64,
    },
    /// A whole number with a lower bound alone.
    /// The least.
    #[error("must be a whole number, {0} or more")]
    AtLeast(i64),
    /// A decimal number within bounds, both included.
    #[error("must be a number in {least}..={most}")]
    Decimal {
        /// The least.
        least: f64,
        /// The greatest.
        most: f64,
    },
    /// A decimal number within bounds, both included, or the word for no bound.
    #[error("must be a number in {least}..={most}, or none")]
    DecimalOrNone {
        /// The least.
        least: f64,
        /// The greatest.
        most: f64,
    },
    /// A count in a cycle, from 1 to what its scans can count.
    #[error("must be 1..={most} (3 times loop : {loops})")]
    TimesLoop {
        /// The greatest.
        most: u16,
        /// The scans of a cycle.
        loops: u16,
    },
    /// A name.
    #[error("{0}")]
    Name(#[from] NameError),
    /// One of these words.
    #[error("must be {0}")]
    OneOf(String),
    /// A form that the text says.
    #[error("must be {0}")]
    Form(&'static str),
    /// The name of an engine that there is.
    /// The engine it may be meant to be.
    #[error("is not an engine{}", suggestion(.0.as_ref()))]
    UnknownEngine(Option<Nearest>),
    /// An order between two keys.
    #[error("must be {order} {other}={}", excerpt(.value))]
    Order {
        /// Which order.
        order: Order,
        /// The other key.
        other: &'static str,
        /// The other key's value.
        value: String,
    },
    /// Two keys of which one was given.
    /// The other key.
    #[error("needs {0} beside it; give both or none")]
    Alone(&'static str),
    /// A key that has a meaning beside some values of another key only.
    #[error("goes with {with} only, not with {instead}; leave it out")]
    OnlyWith {
        /// These values.
        with: &'static str,
        /// The value that the other key has.
        instead: String,
    },
}

/// An order between the values of two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, derive_more::Display)]
pub enum Order {
    /// Less than.
    #[display("below")]
    Below,
    /// Less than or equal to.
    #[display("at most")]
    AtMost,
    /// Greater than.
    #[display("above")]
    Above,
    /// Greater than or equal to.
    #[display("at least")]
    AtLeast,
}

impl Order {
    /// The same order, said of the other value.
    pub(crate) const fn reversed(self) -> Self {
        match self {
            Self::Below => Self::Above,
            Self::AtMost => Self::AtLeast,
            Self::Above => Self::Below,
            Self::AtLeast => Self::AtMost,
        }
    }

    /// Whether `left` stands in this order to `right`.
    pub(crate) fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Below => left < right,
            Self::AtMost => left <= right,
            Self::Above => left > right,
            Self::AtLeast => left >= right,
        }
    }
}

fn lookalike(written: &Option<String>) -> String {
    written.as_deref().map_or_else(String::new, |key| format!("; is {} a mistyping of it?", excerpt(key)))
}
