//! What any message has to be, whatever it repeats of the input: one line of bearable length.

/// More characters than any message has that cuts what it repeats.
const LONGEST: usize = 500;

/// Panics unless `text` is fit for a log and a terminal.
pub(crate) fn check_line(text: &str) {
    check_characters(text);
    let characters = text.chars().count();
    assert!((1..LONGEST).contains(&characters), "a message of {characters} characters: {text}");
}

/// Panics if `text` has a character that ends a line, or that a terminal obeys.
pub(crate) fn check_characters(text: &str) {
    let harmful = |character: char| character.is_control() || ['\u{2028}', '\u{2029}'].contains(&character);
    assert!(!text.contains(harmful), "a message with control characters: {text:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn what_is_no_message() {
        check_line("f:1: is not UTF-8 text");
        for text in ["", "a\nb", "a\rb", "\u{1b}[2J", "a\u{85}b", "a\u{2028}b", &"x".repeat(LONGEST)] {
            assert!(catch_unwind(|| check_line(text)).is_err(), "{text:?}");
        }
    }
}
