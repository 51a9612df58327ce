//! What is set up now, written down in `/run` before it is made and taken away after it is undone.
//!
//! If the file is there while no process holds the lock, a run was killed, and what the file names is ours to take back.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::setup::Setup;

const MARKER: &str = "/run/etmem-test-swap";

/// Writes down what is about to be made besides what is there.
///
/// # Errors
/// `/run` cannot be written.
pub fn remember(setup: &Setup) -> Result<()> {
    let mut all = find()?;
    all.push(setup.clone());
    write(&all)
}

/// What was left, newest last.
///
/// # Errors
/// The marker cannot be read, or names what we never make: it is not ours to touch.
pub fn find() -> Result<Vec<Setup>> {
    match fs::read_to_string(MARKER) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {MARKER}")),
    }
}

/// This is not left any more.
pub fn forget(setup: &Setup) {
    let mut all = find().unwrap_or_default();
    all.retain(|other| other != setup);
    // Already gone is as good; what cannot be written down is undone once more by the next run.
    let _ = if all.is_empty() { fs::remove_file(MARKER).map_err(Into::into) } else { write(&all) };
}

fn write(all: &[Setup]) -> Result<()> {
    let text: String = all.iter().map(show).collect();
    fs::write(MARKER, text).with_context(|| format!("cannot write {MARKER}"))
}

fn show(setup: &Setup) -> String {
    match setup {
        Setup::Zram(path) => format!("zram {}\n", path.display()),
        Setup::File(path) => format!("file {}\n", path.display()),
    }
}

fn parse(text: &str) -> Result<Vec<Setup>> {
    ensure!(!text.is_empty(), "{}", not_ours(text));
    text.lines().map(|line| parse_line(line).with_context(|| not_ours(text))).collect()
}

fn not_ours(text: &str) -> String {
    format!("{MARKER} says {text:?}, which no run of ours wrote: look what it is and remove it")
}

fn parse_line(line: &str) -> Option<Setup> {
    let (kind, path) = line.split_once(' ')?;
    let path = Path::new(path);
    let name = path.file_name()?.to_str()?;
    let is_zram = || path.parent() == Some(Path::new("/dev")) && name.starts_with("zram");
    match kind {
        "zram" if is_zram() => Some(Setup::Zram(path.to_owned())),
        "file" if super::setup::FILES.contains(&name) => Some(Setup::File(path.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn what_is_written_down_is_read_back() {
        let file = |name| Setup::File(PathBuf::from("/var/tmp").join(name));
        let mut all = vec![Setup::Zram(PathBuf::from("/dev/zram0"))];
        all.extend(super::super::setup::FILES.map(file));
        let text: String = all.iter().map(show).collect();
        assert_eq!(parse(&text).unwrap(), all);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        for text in ["", "zram1", "zram /dev/sda1", "zram /tmp/zram0", "file /swapfile", "file /dev/sda1\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
