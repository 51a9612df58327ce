//! What is set up now, written down in `/run` before it is made and taken away after it is undone.
//!
//! If the file is there while nobody holds the lock, a run was killed, and what the file names is ours to take back.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::setup::Setup;

const MARKER: &str = "/run/etmem-test-swap";

/// Writes down what is about to be made.
///
/// # Errors
/// `/run` cannot be written.
pub fn remember(setup: &Setup) -> Result<()> {
    fs::write(MARKER, show(setup)).with_context(|| format!("cannot write {MARKER}"))
}

/// What was left, if anything.
///
/// # Errors
/// The marker cannot be read, or names what we never make: it is not ours to touch.
pub fn find() -> Result<Option<Setup>> {
    match fs::read_to_string(MARKER) {
        Ok(text) => parse(&text).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {MARKER}")),
    }
}

/// Nothing is left any more.
pub fn forget() {
    // Already gone is as good.
    let _ = fs::remove_file(MARKER);
}

fn show(setup: &Setup) -> String {
    match setup {
        Setup::Zram => String::from("zram\n"),
        Setup::File(path) => format!("file {}\n", path.display()),
    }
}

fn parse(text: &str) -> Result<Setup> {
    match text.trim_end().split_once(' ') {
        None if text.trim_end() == "zram" => Ok(Setup::Zram),
        Some(("file", path))
            if Path::new(path).file_name().is_some_and(|name| name == super::setup::FILE) =>
        {
            Ok(Setup::File(PathBuf::from(path)))
        }
        _ => bail!("{MARKER} says {text:?}, which no run of ours wrote: look what it is and remove it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_back() {
        for setup in [Setup::Zram, Setup::File(PathBuf::from("/var/tmp").join(super::super::setup::FILE))] {
            assert_eq!(parse(&show(&setup)).unwrap(), setup);
        }
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        for text in ["", "zram1", "file /swapfile", "file /dev/sda1\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
