//! A page, and its way into a file.

use clap_mangen::roff::{Roff, bold, roman};
use std::io::{self, Write};
use std::path::Path;

/// The part of the manual that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// 1: commands that anybody may try.
    Commands = 1,
    /// 5: formats of files.
    Files = 5,
    /// 8: what runs the machine.
    Administration = 8,
}

impl Section {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A manual page, to which sections are added in the order in which it shows them. A section without content is left out.
#[derive(Debug)]
pub struct Page {
    file_name: String,
    text: Vec<u8>,
}

impl Page {
    /// The page `name`, about what `about` says.
    #[must_use]
    pub fn new(name: &str, section: Section, about: &str) -> Self {
        let number = section.number();
        // It has no date, which would grow old. `.nh` keeps words of command lines whole.
        let version = env!("CARGO_PKG_VERSION");
        let head = format!(".TH {} {number} \"\" \"etmem {version}\" \"etmem\"\n.nh\n", name.to_uppercase());
        let page = Self { file_name: format!("{name}.{number}"), text: head.into_bytes() };
        page.text("NAME", &format!("{name} - {about}"))
    }

    /// Adds text, which is filled.
    #[must_use]
    pub fn text(self, title: &str, text: &str) -> Self {
        let mut roff = Roff::new();
        if !text.is_empty() {
            roff.control("SH", [title]).text([roman(text)]);
        }
        self.add(&roff)
    }

    /// Adds lines, which stay as they are.
    #[must_use]
    pub fn lines<T: AsRef<str>>(self, title: &str, lines: impl IntoIterator<Item = T>) -> Self {
        let mut roff = Roff::new();
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_some() {
            roff.control("SH", [title]).control("nf", []);
            lines.for_each(|line| _ = roff.text([roman(line.as_ref())]));
            roff.control("fi", []);
        }
        self.add(&roff)
    }

    /// Adds words, each with its meaning.
    #[must_use]
    pub fn list<T: AsRef<str>>(self, title: &str, rows: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut roff = Roff::new();
        for (number, (word, meaning)) in rows.into_iter().enumerate() {
            if number == 0 {
                roff.control("SH", [title]);
            }
            roff.control("TP", []).text([bold(word.as_ref())]).text([roman(meaning.as_ref())]);
        }
        self.add(&roff)
    }

    fn add(mut self, roff: &Roff) -> Self {
        self.text.extend(roff.render().into_bytes());
        self
    }

    /// Adds what `write` writes.
    pub(crate) fn written(
        mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Self> {
        write(&mut self.text)?;
        Ok(self)
    }
}

/// Writes each page into `folder` as `NAME.SECTION`, and makes the folder if it is missing.
///
/// # Errors
/// Names the file or folder that cannot be written.
pub fn write_pages(folder: &Path, pages: &[Page]) -> io::Result<()> {
    let named =
        |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
    for page in pages {
        let path = folder.join(&page.file_name);
        std::fs::write(&path, &page.text).map_err(|error| named(&path, error))?;
    }
    Ok(())
}

#[cfg(test)]
impl Page {
    /// What `man` reads, with plain hyphens, and without the definitions of an apostrophe.
    pub(crate) fn roff(&self) -> String {
        let text = String::from_utf8(self.text.clone()).unwrap().replace("\\-", "-");
        text.replace(".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_of_a_file_format_has_its_sections_in_order() {
        let page = Page::new("prog.conf", Section::Files, "what prog reads")
            .text("DESCRIPTION", ".This is text.")
            .list("KEYS", [("key", "means this")])
            .lines("EXAMPLES", ["[group]", "  key=1"])
            .list("FILES", [("", ""); 0])
            .lines("NOTES", [""; 0])
            .text("BUGS", "");
        let head = format!(".TH PROG.CONF 5 \"\" \"etmem {}\" \"etmem\"\n.nh\n", env!("CARGO_PKG_VERSION"));
        let sections = ".SH NAME\nprog.conf - what prog reads\n.SH DESCRIPTION\n\\&.This is text.\n\
                        .SH KEYS\n.TP\n\\fBkey\\fR\nmeans this\n.SH EXAMPLES\n.nf\n[group]\n  key=1\n.fi\n";
        assert_eq!(page.roff(), head + sections);
    }

    #[test]
    fn files_are_named_as_man_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let pages = ["prog", "prog-obj"].map(|name| Page::new(name, Section::Commands, "does it"));
        let man1 = folder.path().join("man/man1");
        write_pages(&man1, &pages).unwrap();
        assert!(man1.join("prog.1").is_file() && man1.join("prog-obj.1").is_file());
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = write_pages(&folder.path().join("file/below"), &pages).unwrap_err();
        assert!(error.to_string().contains("file/below: "), "{error}");
    }
}
