//! Text from outside, made fit for one line of a message: cut where it is long, control characters and characters that look
//! like a space or like nothing escaped.

use std::fmt::{self, Write};
use std::path::Path;

/// Most characters of a message that repeat a key or value.
const VALUE_SHOWN: usize = 80;

/// Most characters of a message that repeat a path (`PATH_MAX` of Linux).
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

/// Whether `character` looks like a space and is none, or has no width: a no-break space, a byte order mark and the like.
pub(crate) fn is_invisible(character: char) -> bool {
    let space = character.is_whitespace() && !character.is_ascii();
    space
        || matches!(character, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl<T: AsRef<str>> fmt::Display for Excerpt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = self.most;
        for character in self.text.as_ref().chars() {
            let harmful = character.is_control() || is_invisible(character);
            let escaped = character.escape_default();
            let shown = if harmful { escaped.len() } else { 1 };
            // What is counted is what is shown: an escape takes up to eight characters, and is never cut apart.
            let Some(rest) = room.checked_sub(shown) else { return f.write_str("…") };
            room = rest;
            if harmful { write!(f, "{escaped}")? } else { f.write_char(character)? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_short_line_whatever_comes_in() {
        assert_eq!(excerpt("2,0;3,1").to_string(), "2,0;3,1");
        assert_eq!(excerpt("a\nb\u{1b}[1m").to_string(), "a\\nb\\u{1b}[1m");
        assert_eq!(
            excerpt("T\u{a0}\u{2009}\u{200b}\u{3000}\u{feff} é").to_string(),
            "T\\u{a0}\\u{2009}\\u{200b}\\u{3000}\\u{feff} é"
        );
        assert_eq!(excerpt(&"é".repeat(80)).to_string(), "é".repeat(80));
        assert_eq!(excerpt(&"é".repeat(81)).to_string(), format!("{}…", "é".repeat(80)));
        assert_eq!(excerpt(&"\u{12}".repeat(13)).to_string(), "\\u{12}".repeat(13));
        assert_eq!(excerpt(&"\u{12}".repeat(80)).to_string(), format!("{}…", "\\u{12}".repeat(13)));
        assert_eq!(path_excerpt(Path::new("/a\nb")).to_string(), "/a\\nb");
    }
}
