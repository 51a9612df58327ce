//! An event as one line that cannot harm a terminal and cannot imitate other lines.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use tracing::Event;
use tracing::field::{Field, Visit};

/// The text of `event`: its message, then its fields as `name=value`.
pub(super) fn of(event: &Event<'_>) -> String {
    let mut text = Text(String::new());
    event.record(&mut text);
    harmless(&text.0)
}

/// `text` with its control characters escaped, so that it is one line: the names of files and of processes may
/// contain any.
pub(super) fn harmless(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let blank = if self.0.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{blank}{value:?}"),
            name => write!(self.0, "{blank}{name}={value:?}"),
        };
    }
}

/// A writer that receives a whole entry with each write, as from tracing-subscriber, and makes it one line.
#[derive(Debug)]
pub(super) struct Lines<W>(pub(super) W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let mut line = harmless(text.trim_end_matches('\n'));
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        for (text, line) in [
            ("all is well: é, 内存", "all is well: é, 内存"),
            ("two\nlines\r", "two\\nlines\\r"),
            ("a\0b\u{1b}[31mred\u{7f}\u{9b}", "a\\u{0}b\\u{1b}[31mred\\u{7f}\\u{9b}"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), line);
        }
    }

    #[test]
    fn an_entry_is_one_line() {
        let mut lines = Lines(Vec::new());
        lines.write_all(b"first\nERROR faked\n").unwrap();
        lines.write_all(b"second\n").unwrap();
        assert_eq!(lines.0, b"first\\nERROR faked\nsecond\n");
    }
}
