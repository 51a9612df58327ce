//! Names that people give to projects, engines and tasks.

/// Most bytes that a name may have (the original's limit for project, engine and task names).
pub const NAME_MAX: usize = 64;

/// A name of a project, an engine or a task: 1 to 64 bytes that the wire can carry, which means printable
/// ASCII without spaces that does not begin with `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, derive_more::Display)]
pub struct Name(Box<str>);

/// Why a text cannot be a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no byte at all.
    #[error("is empty; a name has 1 to {NAME_MAX} bytes")]
    Empty,
    /// It has more bytes than [`NAME_MAX`].
    #[error("has {0} bytes; a name has 1 to {NAME_MAX}")]
    TooLong(usize),
    /// It begins with `-`, which the wire takes for an absent value.
    #[error("begins with '-', which the protocol takes for an absent value")]
    LeadingDash,
    /// It has a space, a control character or a byte outside ASCII.
    #[error("has the character {0:?}; a name is printable ASCII without spaces")]
    Character(char),
}

impl Name {
    /// Takes `text` as a name.
    ///
    /// # Errors
    /// Says which rule `text` breaks.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_MAX {
            return Err(NameError::TooLong(text.len()));
        }
        if text.starts_with('-') {
            return Err(NameError::LeadingDash);
        }
        if let Some(character) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(NameError::Character(character));
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
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
            ("mysql", Ok(())),
            ("a", Ok(())),
            ("x_1.y/z%-", Ok(())),
            ("", Err(NameError::Empty)),
            ("-x", Err(NameError::LeadingDash)),
            ("a b", Err(NameError::Character(' '))),
            ("é", Err(NameError::Character('é'))),
        ] {
            assert_eq!(Name::new(text).map(|_| ()), want, "{text:?}");
        }
        assert!(Name::new(&"n".repeat(64)).is_ok());
        assert_eq!(Name::new(&"n".repeat(65)), Err(NameError::TooLong(65)));
    }
}
