//! Mounts that a killed run left: no process answers them any more, and each look there gets ENOTCONN.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::statvfs::statvfs;

/// What a mount of ours is called in the list of mounts.
pub(super) const SOURCE: &str = "etmem-fakeproc";
/// How the names of folders that were made for a mount begin.
pub(super) const FOLDER: &str = "etmem-fakeproc-";

/// Takes away what is left of earlier runs of ours.
///
/// # Errors
/// The list of mounts cannot be read, or a mount does not go.
pub(super) fn take_away() -> Result<()> {
    let list = "/proc/self/mountinfo";
    let text = std::fs::read_to_string(list).with_context(|| format!("cannot read {list}"))?;
    for path in ours(&text) {
        if statvfs(&path) == Err(Errno::ENOTCONN) {
            umount2(&path, MntFlags::MNT_DETACH).with_context(|| {
                format!("cannot take away what an earlier run left at {}", path.display())
            })?;
            remove_folder(&path);
        }
    }
    Ok(())
}

/// The folder was made for the mount, if it has the name of those.
fn remove_folder(path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(FOLDER) {
        // One that is not empty is not ours.
        let _ = std::fs::remove_dir(path);
    }
}

/// The mount points of ours in the text of `mountinfo` (proc_pid_mountinfo(5)).
fn ours(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let (before, behind) = line.split_once(" - ")?;
            let source = behind.split(' ').nth(1)?;
            let path = before.split(' ').nth(4)?;
            (source == SOURCE).then(|| PathBuf::from(path.replace("\\040", " ")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_ours_and_no_others() {
        let text = "22 1 0:20 / /proc rw - proc proc rw\n\
            40 1 0:40 / /tmp/a\\040b rw,nosuid - fuse etmem-fakeproc rw,user_id=0\n\
            41 1 0:41 / /tmp/c rw shared:1 master:2 - fuse sshfs rw\n\
            42 1 0:42 / /tmp/d rw shared:1 - fuse etmem-fakeproc rw\nnonsense\n";
        assert_eq!(ours(text), [PathBuf::from("/tmp/a b"), PathBuf::from("/tmp/d")]);
    }
}
