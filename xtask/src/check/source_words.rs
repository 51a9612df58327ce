//! `unsafe-address` and `proc-paths`: words of the source that belong in few places only.
//!
//! The files are read as the compiler's tokens, so that comments, documentation and longer words that happen to
//! hold one of these do not count.

use super::verdict::Verdict;
use anyhow::{Context, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::path::Path;

/// Where Rust source lies.
const SOURCES: [&str; 5] = ["crates", "xtask", "tests", "examples", "fuzz"];

/// Where `unsafe` may be written.
const UNSAFE_ADDRESSES: [&str; 5] = [
    "crates/etmem-abi",
    "crates/etmem-linux/src/sys",
    "crates/etmem-plugin",
    "crates/etmem-plugin-sdk/src/sys",
    "crates/etmemd-scan",
];

/// Where paths of the kernel's file systems may be written: in the one crate that touches Linux, in what plugins from
/// outside are built with, and in tests.
const KERNEL_PATH_ADDRESSES: [&str; 5] =
    ["crates/etmem-linux", "crates/etmem-plugin-sdk", "crates/etmem-testkit", "tests", "xtask"];

/// The exception: where `-s` is left out, `etmem` looks for the one socket on which an etmemd listens, and it
/// may not use the crate that touches Linux. Its search takes the root, which is all that it writes.
const KERNEL_PATH_EXCEPTION: (&str, &str) = ("crates/etmem", "/proc");

/// `unsafe` is written only where its address is.
pub(crate) fn check_unsafe(root: &Path) -> anyhow::Result<Verdict> {
    check(
        root,
        |file, word| !lies_in(file, &UNSAFE_ADDRESSES) && word.text == "unsafe",
        "move it behind a safe function of crates/etmem-linux/src/sys, with a SAFETY comment",
    )
}

/// Literals that begin with /proc or /sys are written only where kernel paths are built.
pub(crate) fn check_kernel_paths(root: &Path) -> anyhow::Result<Verdict> {
    check(
        root,
        is_stray_kernel_path,
        "let crates/etmem-linux build the path from its injected root, behind a port of etmem-core",
    )
}

fn is_stray_kernel_path(file: &str, word: &Word) -> bool {
    let excepted =
        lies_in(file, &[KERNEL_PATH_EXCEPTION.0]) && literal(&word.text) == KERNEL_PATH_EXCEPTION.1;
    let for_tests = word.in_test || ["/tests/", "/benches/"].iter().any(|folder| file.contains(folder));
    !excepted && !for_tests && !lies_in(file, &KERNEL_PATH_ADDRESSES) && is_kernel_path(literal(&word.text))
}

fn is_kernel_path(text: &str) -> bool {
    ["/proc", "/sys"]
        .iter()
        .filter_map(|top| text.strip_prefix(top))
        .any(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a string literal holds, of any kind (raw, of bytes, of C); nothing for every other word.
fn literal(word: &str) -> &str {
    word.trim_start_matches(['b', 'c', 'r', '#'])
        .strip_prefix('"')
        .map_or("", |text| text.trim_end_matches('#').trim_end_matches('"'))
}

fn lies_in(file: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

/// A word of the source: an identifier, a keyword or a literal as it is written.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    line: usize,
    /// Inside an item that is `#[cfg(test)]`.
    in_test: bool,
}

fn check(root: &Path, is_stray: impl Fn(&str, &Word) -> bool, remedy: &str) -> anyhow::Result<Verdict> {
    let mut files = Vec::new();
    for folder in SOURCES.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir()) {
        rust_files(&folder, &mut files)?;
    }
    let mut problems = Vec::new();
    for path in &files {
        let file = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        let text = std::fs::read_to_string(path).with_context(|| format!("read {file}"))?;
        let words = words(&text).map_err(|reason| anyhow!("{file}: {reason}"))?;
        problems.extend(
            words
                .iter()
                .filter(|word| is_stray(&file, word))
                .map(|word| format!("{file}:{}: {}", word.line, word.text)),
        );
    }
    Ok(Verdict::of(problems, format!("{} files hold none out of place", files.len()), remedy))
}

fn rust_files(folder: &Path, out: &mut Vec<std::path::PathBuf>) -> anyhow::Result<()> {
    let context = || format!("list {}", folder.display());
    let mut entries =
        std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(context)?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().with_context(context)?.is_dir() {
            if entry.file_name() != "target" {
                rust_files(&path, out)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
    Ok(())
}

fn words(text: &str) -> Result<Vec<Word>, String> {
    let stream: TokenStream = text
        .parse()
        .map_err(|error: proc_macro2::LexError| format!("line {}: {error}", error.span().start().line))?;
    let mut words = Vec::new();
    collect(stream, false, &mut words);
    Ok(words)
}

fn collect(stream: TokenStream, in_test: bool, out: &mut Vec<Word>) {
    // From the attribute to the end of its item: a block in braces or a semicolon.
    let mut item_is_test = false;
    for token in stream {
        let line = token.span().start().line;
        let word = |text| Word { text, line, in_test: in_test || item_is_test };
        match token {
            TokenTree::Ident(ident) => out.push(word(ident.to_string())),
            TokenTree::Literal(literal) => out.push(word(literal.to_string())),
            TokenTree::Punct(punct) => item_is_test &= punct.as_char() != ';',
            TokenTree::Group(group) => {
                let attribute = group.delimiter() == Delimiter::Bracket;
                if attribute && is_documentation(&group.stream()) {
                    continue;
                }
                item_is_test |= attribute && group.stream().to_string().replace(' ', "") == "cfg(test)";
                collect(group.stream(), in_test || item_is_test, out);
                item_is_test &= group.delimiter() != Delimiter::Brace;
            }
        }
    }
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

    fn lines(text: &str, is_stray: impl Fn(&Word) -> bool) -> Vec<usize> {
        words(text).unwrap().iter().filter(|word| is_stray(word)).map(|word| word.line).collect()
    }

    #[test]
    fn only_the_word_itself_is_unsafe() {
        let text = "//! unsafe\n/// unsafe { }\nfn a() { unsafe { b() } }\nunsafe fn b() {}\n#![deny(unsafe_code)]\n\
                    const C: &str = \"unsafe\"; // unsafe\nm! { unsafe }\n/* unsafe */ #[unsafe(no_mangle)] fn d() {}";
        assert_eq!(lines(text, |word| word.text == "unsafe"), [3, 4, 7, 8]);
    }

    #[test]
    fn kernel_paths_are_literals_that_begin_with_one() {
        let text = "/// Reads \"/proc/PID/maps\".\nconst A: &str = \"/proc/self\";\nconst B: &[u8] = b\"/sys\";\n\
                    const C: &str = r#\"/proc\"#;\nconst D: &CStr = c\"/sys/kernel\";\nconst E: &str = \"/system\";\n\
                    const F: &str = \"read /proc/self\"; const G: char = '\"';\nf!(\"/proc/{pid}/maps\");";
        assert_eq!(lines(text, |word| is_stray_kernel_path("crates/etmemd/src/a.rs", word)), [2, 3, 4, 5, 8]);
    }

    #[test]
    fn tests_may_name_kernel_paths() {
        let text = "#[cfg(test)]\nmod tests { const A: &str = \"/proc/1\"; }\nconst B: &str = \"/proc/2\";\n\
                    #[cfg(test)]\nuse x; const C: &str = \"/proc/3\";\n#[cfg(not(test))]\nfn d() { f(\"/proc/4\") }";
        assert_eq!(lines(text, |word| is_stray_kernel_path("crates/etmemd/src/a.rs", word)), [3, 5, 7]);
    }

    #[test]
    fn kernel_paths_have_their_places() {
        for (file, path, stray) in [
            ("crates/etmem-linux/src/process.rs", "/proc", false),
            ("crates/etmem-testkit/src/lib.rs", "/sys/kernel", false),
            ("tests/src/demo.rs", "/proc/self", false),
            ("crates/etmemd/tests/start.rs", "/proc/self", false),
            ("crates/etmem/src/main.rs", "/proc", false),
            ("crates/etmem/src/socket.rs", "/proc/self", true),
            ("crates/etmemd/src/main.rs", "/proc", true),
            ("crates/etmem-core/src/lib.rs", "/sys/kernel", true),
        ] {
            let word = Word { text: format!("{path:?}"), line: 1, in_test: false };
            assert_eq!(is_stray_kernel_path(file, &word), stray, "{file}: {path}");
        }
    }
}
