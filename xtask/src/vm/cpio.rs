//! An archive in the form the kernel unpacks at boot: "newc" of cpio, uncompressed.
//! Source: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.
//!
//! Written here rather than by the program cpio, which would want a copy of everything in a folder first.

use anyhow::Context;
use std::collections::BTreeSet;

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_777;
const TRAILER: &str = "TRAILER!!!";

/// An archive being written: names are absolute, and folders come by themselves.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    names: BTreeSet<String>,
}

impl Archive {
    /// Adds the file `name` with `permissions`; one that is there already stays as it is.
    pub(crate) fn file(&mut self, name: &str, permissions: u32, contents: &[u8]) -> anyhow::Result<()> {
        self.entry_below_its_folders(name, FILE | permissions, contents)
    }

    /// Adds a symbolic link at `name` to `target`; what is there already stays as it is.
    pub(crate) fn link(&mut self, name: &str, target: &str) -> anyhow::Result<()> {
        self.entry_below_its_folders(name, LINK, target.as_bytes())
    }

    /// Adds the folder `name` and those above it.
    pub(crate) fn folder(&mut self, name: &str) -> anyhow::Result<()> {
        if name.is_empty() || name == "/" || self.names.contains(name) {
            return Ok(());
        }
        self.entry_below_its_folders(name, FOLDER, &[])
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> anyhow::Result<Vec<u8>> {
        self.entry(TRAILER, 0, &[])?;
        Ok(self.bytes)
    }

    fn entry_below_its_folders(&mut self, name: &str, mode: u32, contents: &[u8]) -> anyhow::Result<()> {
        let (above, _) =
            name.rsplit_once('/').with_context(|| format!("{name:?} is not an absolute path"))?;
        self.folder(above)?;
        if self.names.insert(name.to_owned()) { self.entry(name, mode, contents) } else { Ok(()) }
    }

    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) -> anyhow::Result<()> {
        let size = u32::try_from(contents.len()).with_context(|| format!("{name} is larger than 4 GiB"))?;
        let name_size = u32::try_from(name.len() + 1).context("a name is larger than 4 GiB")?;
        self.entries += 1;
        // Number, mode, user, group, links, time, size, four device numbers, size of the name, checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(contents);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode and contents of each entry, read as the kernel does.
    fn read(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut at = 0;
        loop {
            let header = &bytes[at..at + 110];
            assert_eq!(&header[..6], b"070701");
            let field = |number: usize| {
                let text = std::str::from_utf8(&header[6 + 8 * number..14 + 8 * number]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (size, name_size) = (field(6) as usize, field(11) as usize);
            let name = std::str::from_utf8(&bytes[at + 110..at + 109 + name_size]).unwrap().to_owned();
            let start = (at + 110 + name_size).next_multiple_of(4);
            at = (start + size).next_multiple_of(4);
            if name == TRAILER {
                assert_eq!(at, bytes.len());
                return entries;
            }
            entries.push((name, field(1), bytes[start..start + size].to_vec()));
        }
    }

    #[test]
    fn entries_come_back_and_folders_once() {
        let mut archive = Archive::default();
        archive.file("/usr/bin/one", 0o755, b"12345").unwrap();
        archive.file("/usr/bin/two", 0o644, b"").unwrap();
        archive.link("/bin/sh", "busybox").unwrap();
        archive.folder("/usr").unwrap();
        archive.folder("/").unwrap();
        let entry = |name: &str, mode, contents: &[u8]| (name.to_owned(), mode, contents.to_vec());
        assert_eq!(
            read(&archive.finish().unwrap()),
            [
                entry("/usr", 0o040_755, b""),
                entry("/usr/bin", 0o040_755, b""),
                entry("/usr/bin/one", 0o100_755, b"12345"),
                entry("/usr/bin/two", 0o100_644, b""),
                entry("/bin", 0o040_755, b""),
                entry("/bin/sh", 0o120_777, b"busybox"),
            ]
        );
    }

    #[test]
    fn the_first_of_a_name_stays() {
        let mut archive = Archive::default();
        archive.file("/bin/sh", 0o755, b"a real shell").unwrap();
        archive.link("/bin/sh", "busybox").unwrap();
        let entries = read(&archive.finish().unwrap());
        assert_eq!(entries.len(), 2, "{entries:?}");
        assert_eq!(entries[1].2, b"a real shell");
    }

    #[test]
    fn a_relative_name_is_refused() {
        assert!(Archive::default().file("init", 0o755, b"").is_err());
    }
}
