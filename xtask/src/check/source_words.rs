//! `unsafe-address` and `proc-paths`: words of the source that belong in few places only.
//!
//! The files are read as the compiler's tokens, so that comments, documentation and longer words that happen to
//! hold one of these do not count.

use super::verdict::Verdict;
use crate::source::{SOURCES, Source, Word, literal};
use std::path::Path;

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

fn lies_in(file: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

fn check(root: &Path, is_stray: impl Fn(&str, &Word) -> bool, remedy: &str) -> anyhow::Result<Verdict> {
    let sources = Source::read_all(root, &SOURCES)?;
    let mut problems = Vec::new();
    for source in &sources {
        let stray = source.words.iter().filter(|word| is_stray(&source.file, word));
        problems.extend(stray.map(|word| format!("{}:{}: {}", source.file, source.line(word.at), word.text)));
    }
    Ok(Verdict::of(problems, format!("{} files hold none out of place", sources.len()), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, is_stray: impl Fn(&Word) -> bool) -> Vec<usize> {
        let source = Source::parse("crates/etmemd/src/a.rs", text).unwrap();
        source.words.iter().filter(|word| is_stray(word)).map(|word| source.line(word.at)).collect()
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
            let word = Word { text: format!("{path:?}"), at: 0, in_test: false };
            assert_eq!(is_stray_kernel_path(file, &word), stray, "{file}: {path}");
        }
    }
}
