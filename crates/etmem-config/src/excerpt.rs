//! Text from outside, made fit for one line of a message: cut where it is long, control characters escaped.

use std::fmt::{self, Write};
use std::path::Path;

/// Most characters of a key or value that a message repeats.
const VALUE_SHOWN: usize = 80;

/// Most characters of a path that a message repeats (`PATH_MAX` of Linux).
const PATH_SHOWN: usize = 4096;

/// A text as a message shows it.
#[derive(Debug)]
pub(crate) struct Excerpt<T> {
    text: T,
    most: usize,
}

/// A key, a group's name or a value.
pub(crate) fn excerpt(text: &str) -> Excerpt<&str> {
    Excerpt { text, most: VALUE_SHOWN }
}

/// A path.
pub(crate) fn path_excerpt(path: &Path) -> Excerpt<std::borrow::Cow<'_, str>> {
    Excerpt { text: path.to_string_lossy(), most: PATH_SHOWN }
}

impl<T: AsRef<str>> fmt::Display for Excerpt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.as_ref();
        for character in text.chars().take(self.most) {
            if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        if text.chars().nth(self.most).is_some() { f.write_str("…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_short_line_whatever_comes_in() {
        assert_eq!(excerpt("2,0;3,1").to_string(), "2,0;3,1");
        assert_eq!(excerpt("a\nb\u{1b}[1m").to_string(), "a\\nb\\u{1b}[1m");
        assert_eq!(excerpt(&"é".repeat(80)).to_string(), "é".repeat(80));
        assert_eq!(excerpt(&"é".repeat(81)).to_string(), format!("{}…", "é".repeat(80)));
        assert_eq!(path_excerpt(Path::new("/a\nb")).to_string(), "/a\\nb");
    }
}
