//! The project's Rust source, read as the compiler's tokens: what is code, what is a comment, what is for tests.

use anyhow::{Context, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where Rust source lies.
pub(crate) const SOURCES: [&str; 5] = ["crates", "xtask", "tests", "examples", "fuzz"];

/// A word of the code: an identifier, a keyword or a literal as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// The word.
    pub(crate) text: String,
    /// Where it begins, in bytes.
    pub(crate) at: usize,
    /// Inside an item that is `#[cfg(test)]`, or in a file of such items.
    pub(crate) in_test: bool,
}

/// One file of Rust source.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path below the project's top folder.
    pub(crate) file: String,
    /// All of it.
    pub(crate) text: String,
    /// Its tokens.
    pub(crate) stream: TokenStream,
    /// Its identifiers, keywords and literals, those of documentation left out.
    pub(crate) words: Vec<Word>,
    /// Every token that is no documentation.
    code: Vec<Range<usize>>,
    /// Items that are `#[cfg(test)]`, with the attribute.
    test_items: Vec<Range<usize>>,
    /// A file of tests.
    pub(crate) is_test: bool,
}

impl Source {
    /// Reads all Rust files below `folders` of `root`, in the order of their paths.
    pub(crate) fn read_all(root: &Path, folders: &[&str]) -> anyhow::Result<Vec<Self>> {
        let mut files = Vec::new();
        for folder in folders.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir()) {
            files_below(&folder, &|path| path.extension().is_some_and(|end| end == "rs"), &mut files)?;
        }
        let read = |path: &PathBuf| {
            let file = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).with_context(|| format!("read {file}"))?;
            Self::parse(&file, &text)
        };
        files.iter().map(read).collect()
    }

    /// Reads `text` as the content of `file`.
    pub(crate) fn parse(file: &str, text: &str) -> anyhow::Result<Self> {
        let stream: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| {
            anyhow!("{file}: line {}: {error}", error.span().start().line)
        })?;
        let is_test = file.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches"))
            || file.ends_with("_tests.rs");
        let mut source = Self {
            file: file.to_owned(),
            text: text.to_owned(),
            stream: stream.clone(),
            words: vec![],
            code: vec![],
            test_items: vec![],
            is_test,
        };
        source.collect(stream, is_test);
        Ok(source)
    }

    fn collect(&mut self, stream: TokenStream, in_test: bool) {
        // From the attribute to the end of its item: a block in braces or a semicolon.
        let mut item: Option<usize> = None;
        let mut last_hash = 0;
        for token in stream {
            let at = token.span().byte_range();
            let in_test = in_test || item.is_some();
            match token {
                TokenTree::Ident(ident) => self.push(ident.to_string(), at, in_test),
                TokenTree::Literal(literal) => self.push(literal.to_string(), at, in_test),
                TokenTree::Punct(punct) => {
                    self.code.push(at.clone());
                    match punct.as_char() {
                        '#' => last_hash = at.start,
                        ';' => self.end_item(&mut item, at.end),
                        _ => {}
                    }
                }
                TokenTree::Group(group) => {
                    let attribute = group.delimiter() == Delimiter::Bracket;
                    if attribute && is_documentation(&group.stream()) {
                        continue;
                    }
                    self.code.extend([group.span_open().byte_range(), group.span_close().byte_range()]);
                    if attribute && group.stream().to_string().replace(' ', "") == "cfg(test)" {
                        item.get_or_insert(last_hash);
                    }
                    self.collect(group.stream(), in_test || item.is_some());
                    if group.delimiter() == Delimiter::Brace {
                        self.end_item(&mut item, at.end);
                    }
                }
            }
        }
    }

    fn push(&mut self, text: String, at: Range<usize>, in_test: bool) {
        self.words.push(Word { text, at: at.start, in_test });
        self.code.push(at);
    }

    fn end_item(&mut self, item: &mut Option<usize>, end: usize) {
        self.test_items.extend(item.take().map(|start| start..end));
    }

    /// The line of the byte at `at`, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    /// The text with all code blanked out: what is left is comments and documentation, each on its line.
    pub(crate) fn comments(&self) -> String {
        blank(&self.text, &self.code)
    }

    /// The text without what is for tests only.
    pub(crate) fn product(&self) -> String {
        if self.is_test { String::new() } else { blank(&self.text, &self.test_items) }
    }
}

/// `text` with spaces in place of everything in `ranges` but the ends of lines.
fn blank(text: &str, ranges: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    // A documentation attribute's marks share the comment's own place: an empty `#` there would hide it.
    for range in ranges.iter().filter(|range| !text[range.start..range.end].starts_with("//")) {
        for byte in bytes[range.clone()].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Adds all files below `folder` that are `wanted` to `out`, in the order of their paths.
pub(crate) fn files_below(
    folder: &Path,
    wanted: &dyn Fn(&Path) -> bool,
    out: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    let context = || format!("list {}", folder.display());
    let mut entries =
        std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(context)?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().with_context(context)?.is_dir() {
            if entry.file_name() != "target" {
                files_below(&path, wanted, out)?;
            }
        } else if wanted(&path) {
            out.push(path);
        }
    }
    Ok(())
}

/// What a string literal holds, of any kind (raw, of bytes, of C); nothing for every other word.
pub(crate) fn literal(word: &str) -> &str {
    word.trim_start_matches(['b', 'c', 'r', '#'])
        .strip_prefix('"')
        .map_or("", |text| text.trim_end_matches('#').trim_end_matches('"'))
}

/// `doc = "..."`, which is what documentation is to the compiler.
fn is_documentation(attribute: &TokenStream) -> bool {
    let mut tokens = attribute.clone().into_iter();
    matches!((tokens.next(), tokens.next()), (Some(TokenTree::Ident(name)), Some(TokenTree::Punct(equals)))
        if name == "doc" && equals.as_char() == '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_what_is_left_of_the_code() {
        let text = "//! Head.\nconst A: &str = \"// no\"; // one\n/// Two.\nfn b() {} /* three */\n";
        let comments = Source::parse("a.rs", text).unwrap().comments();
        let lines: Vec<&str> = comments.lines().map(str::trim).collect();
        assert_eq!(lines, ["//! Head.", "// one", "/// Two.", "/* three */"]);
    }

    #[test]
    fn tests_are_no_product() {
        let text = "fn a() {}\n#[cfg(test)]\nuse x;\nfn b() {}\n#[cfg(test)]\nmod tests {\n  fn c() {}\n}\n// End.\n";
        let product = Source::parse("crates/a/src/a.rs", text).unwrap().product();
        let lines: Vec<&str> = product.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(lines, ["fn a() {}", "fn b() {}", "// End."]);
        assert_eq!(Source::parse("crates/a/src/a/tests.rs", text).unwrap().product(), "");
    }

    #[test]
    fn words_know_their_line_and_whether_they_are_for_tests() {
        let source =
            Source::parse("a.rs", "fn a() {}\n#[cfg(test)]\nmod t { fn b() {} }\nfn c() {}").unwrap();
        let at = |text: &str| source.words.iter().find(|word| word.text == text).unwrap();
        for (text, line, in_test) in [("a", 1, false), ("b", 3, true), ("c", 4, false)] {
            assert_eq!((source.line(at(text).at), at(text).in_test), (line, in_test), "{text}");
        }
    }
}
