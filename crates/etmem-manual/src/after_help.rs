//! The text behind a command's options, taken apart into sections of a manual page.
//!
//! ```text
//!  Examples:                                   a line that ends with ':' begins a section,
//!    etmem obj add -f FILE -s SOCKET           whose indented lines stay as they are
//!
//!  Exit status:
//!    0 done, 111 no etmemd listens at SOCKET,  a list of numbers becomes one,
//!    234 an option is missing or bad
//!
//!  Then: etmem obj add ...                     a block with indented lines goes on with the section before it,
//!        etmem project start ...
//!
//!  The log goes to the journal.                and text goes to the notes.
//! ```

/// A section, by its title in capitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextSection {
    pub(crate) title: String,
    pub(crate) body: Body,
}

/// What stands in a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// Lines that stay as they are, without the indent that they share; empty ones between blocks.
    Lines(Vec<String>),
    /// What each word means.
    List(Vec<(String, String)>),
    /// Text to be set.
    Text(String),
}

/// The sections of `text`, in its order.
pub(crate) fn sections(text: &str) -> Vec<TextSection> {
    let mut sections: Vec<TextSection> = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let lines: Vec<&str> = block.lines().filter(|line| !line.trim().is_empty()).collect();
        if let Some((title, rest)) = heading(&lines) {
            sections.push(TextSection { title: title.to_uppercase(), body: body(rest) });
        } else if lines.iter().any(|line| line.starts_with(' ')) {
            go_on(&mut sections, &lines);
        } else {
            let text = lines.join(" ");
            match sections.iter_mut().find(|section| section.title == "NOTES") {
                Some(TextSection { body: Body::Text(notes), .. }) => *notes = format!("{notes} {text}"),
                Some(_) | None => {
                    sections.push(TextSection { title: "NOTES".to_owned(), body: Body::Text(text) });
                }
            }
        }
    }
    sections
}

fn heading<'a>(lines: &'a [&'a str]) -> Option<(&'a str, &'a [&'a str])> {
    let (first, rest) = lines.split_first()?;
    let title = first.strip_suffix(':').filter(|title| !title.starts_with(' '))?;
    Some((if title == "Example" { "Examples" } else { title }, rest))
}

fn body(lines: &[&str]) -> Body {
    let text = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    let entries: Option<Vec<_>> = text.split(", ").map(numbered).collect();
    entries.filter(|entries| entries.len() > 1).map_or_else(|| Body::Lines(outdented(lines)), Body::List)
}

/// A number and what it means.
fn numbered(entry: &str) -> Option<(String, String)> {
    let (number, meaning) = entry.split_once(' ')?;
    number.parse::<u8>().is_ok().then(|| (number.to_owned(), meaning.to_owned()))
}

/// The lines without the indent that all of them have.
fn outdented(lines: &[&str]) -> Vec<String> {
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let shared = lines.iter().map(indent).min().unwrap_or(0);
    lines.iter().map(|line| line.get(shared..).unwrap_or_default().trim_end().to_owned()).collect()
}

fn go_on(sections: &mut Vec<TextSection>, lines: &[&str]) {
    match sections.last_mut() {
        Some(TextSection { body: Body::Lines(before), .. }) => {
            before.push(String::new());
            before.extend(outdented(lines));
        }
        Some(_) | None => {
            let body = Body::Lines(outdented(lines));
            sections.push(TextSection { title: "NOTES".to_owned(), body });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_block() {
        let text = "The log goes\nto the journal.\n\nExample:\n  a -b\n    c\n\nThen: d\n      e\n\n\
                    Exit status:\n  0 done, 1 not,\n  255 what?\n\nMore.";
        let section = |title: &str, body| TextSection { title: title.to_owned(), body };
        let lines = |lines: &[&str]| Body::Lines(lines.iter().map(ToString::to_string).collect());
        let list = [("0", "done"), ("1", "not,"), ("255", "what?")];
        let list = list.map(|(number, text)| (number.to_owned(), text.trim_end_matches(',').to_owned()));
        assert_eq!(
            sections(text),
            [
                section("NOTES", Body::Text("The log goes to the journal. More.".to_owned())),
                section("EXAMPLES", lines(&["a -b", "  c", "", "Then: d", "      e"])),
                section("EXIT STATUS", Body::List(list.to_vec())),
            ]
        );
        assert_eq!(sections(""), []);
    }

    #[test]
    fn prose_is_no_list() {
        assert_eq!(body(&["  2 things, and more"]), Body::Lines(vec!["2 things, and more".to_owned()]));
    }
}
