//! Reading small files of the kernel, and showing what they hold.

use std::fs;
use std::path::Path;

/// The first line of a file, or nothing where it cannot be read.
pub(super) fn line_of(path: &Path) -> Option<String> {
    let text = fs::read(path).ok()?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Some(printable(line.trim_ascii()))
}

/// `text` as one line that a terminal can be shown.
pub(super) fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace(char::is_control, "\u{fffd}")
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match bytes {
        0x4000_0000.. => format!("{:.1} GiB", bytes as f64 / MIB / 1024.0),
        0x10_0000.. => format!("{} MiB", bytes >> 20),
        _ => format!("{} KiB", bytes >> 10),
    }
}

/// A number of things.
pub(super) fn number(of: usize, thing: &str) -> String {
    format!("{of} {thing}{}", if of == 1 { "" } else { "s" })
}

/// The entries of a folder whose names begin with `prefix` and go on with a number, in its order.
pub(super) fn numbered(folder: &Path, prefix: &str) -> Vec<(u32, std::path::PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lines() {
        assert_eq!([0, 1, 2].map(|of| number(of, "node")), ["0 nodes", "1 node", "2 nodes"]);
        for (bytes, shown) in [(0, "0 KiB"), (4096, "4 KiB"), (5 << 20, "5 MiB"), (3 << 29, "1.5 GiB")] {
            assert_eq!(size(bytes), shown);
        }
        assert_eq!(printable(b"a\x1b[2Jb\xff"), "a\u{fffd}[2Jb\u{fffd}");
        let tree = tempfile::tempdir().unwrap();
        for name in ["node10", "node2", "nodes", "node", "other1"] {
            fs::write(tree.path().join(name), " x \ny\n").unwrap();
        }
        let numbers: Vec<u32> = numbered(tree.path(), "node").into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [2, 10]);
        assert_eq!(line_of(&tree.path().join("node2")).as_deref(), Some("x"));
        assert_eq!(line_of(&tree.path().join("missing")), None);
    }
}
