//! Texts, other than names, that a request can carry as a value.

/// A text of 1 to `MOST` bytes without spaces and control characters that does not begin with `-`.
///
/// The wire ends a value at the first space and takes one that begins with `-` for absent, so no other text
/// arrives as it was sent. Bytes above ASCII are allowed if they are UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash, derive_more::Display)]
pub struct Word<const MOST: usize>(Box<str>);

/// Why a text cannot be a [`Word`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// It has no byte at all.
    #[error("is empty")]
    Empty,
    /// It has more bytes than a request has room for.
    #[error("has {bytes} bytes; a request has room for {most}")]
    TooLong {
        /// The bytes it has.
        bytes: usize,
        /// The most it may have.
        most: usize,
    },
    /// It begins with `-`, which the wire takes for an absent value.
    #[error("begins with '-', which the protocol takes for an absent value")]
    LeadingDash,
    /// It has a space or a control character.
    #[error("has the character {0:?}; the protocol carries no spaces and no control characters")]
    Character(char),
}

impl<const MOST: usize> Word<MOST> {
    /// Takes `text` as a value.
    ///
    /// # Errors
    /// Says which rule `text` breaks.
    pub fn new(text: &str) -> Result<Self, WordError> {
        if text.is_empty() {
            return Err(WordError::Empty);
        }
        if text.starts_with('-') {
            return Err(WordError::LeadingDash);
        }
        if let Some(character) = text.chars().find(|c| *c == ' ' || c.is_control()) {
            return Err(WordError::Character(character));
        }
        if text.len() > MOST {
            return Err(WordError::TooLong { bytes: text.len(), most: MOST });
        }
        Ok(Self(text.into()))
    }

    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        for (text, want) in [
            ("/etc/etmem/slide.conf", Ok(())),
            ("a", Ok(())),
            ("/etc/übung", Ok(())),
            ("/n-/-", Ok(())),
            ("", Err(WordError::Empty)),
            ("-", Err(WordError::LeadingDash)),
            ("-f", Err(WordError::LeadingDash)),
            ("/a b", Err(WordError::Character(' '))),
            ("/a\n", Err(WordError::Character('\n'))),
            ("/a\u{85}", Err(WordError::Character('\u{85}'))),
            ("/345678901234567890123456", Err(WordError::TooLong { bytes: 25, most: 24 })),
        ] {
            assert_eq!(Word::<24>::new(text).map(|_| ()), want, "{text:?}");
        }
    }
}
