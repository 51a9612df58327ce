//! Where the files of a control group are.

use crate::root::SysRoot;
use etmem_core::kernel::trigger::GroupPath;
use std::io;
use std::path::{Path, PathBuf};

/// A file of a group of the second version.
///
/// # Errors
/// Why it is not there: no such version, no such group, or no such file in it.
pub(super) fn file_of(sys: &SysRoot, group: &GroupPath, file: &str) -> Result<PathBuf, String> {
    let folder = folder_of(sys, group)?;
    let path = folder.join(file);
    if path.exists() {
        return Ok(path);
    }
    Err(lacks(&folder, file))
}

/// The folder of a group of the second version.
///
/// # Errors
/// Why it is not there.
pub(super) fn folder_of(sys: &SysRoot, group: &GroupPath) -> Result<PathBuf, String> {
    let mounted = sys.second_version_groups();
    let root = mounted.ok_or("control groups of the second version (cgroup2) are not mounted")?;
    let folder = root.join(group.relative());
    if folder.is_dir() { Ok(folder) } else { Err(no_group(&folder)) }
}

/// The group of `folder` is not there.
pub(super) fn no_group(folder: &Path) -> String {
    format!("there is no control group {}", folder.display())
}

/// Why the file at `path`, which was there, is not: in the words of one that never was, so that it is said once.
pub(super) fn ended(path: &Path) -> String {
    let (folder, file) =
        (path.parent().unwrap_or(path), path.file_name().unwrap_or_default().to_string_lossy());
    if !folder.is_dir() {
        no_group(folder)
    } else if path.exists() {
        format!("the control group of {} was removed and made again", path.display())
    } else {
        lacks(folder, &file)
    }
}

/// Why a group has no such file.
fn lacks(folder: &Path, file: &str) -> String {
    let pressure_off = || {
        let switch = std::fs::read_to_string(folder.join("cgroup.pressure"));
        file == "memory.pressure" && switch.is_ok_and(|text| text.trim() == "0")
    };
    let folder = folder.display();
    if pressure_off() {
        return format!("PSI is switched off for the group ({folder}/cgroup.pressure is 0)");
    }
    format!(
        "there is no {folder}/{file}: the group has no memory controller, is the root group, or the kernel is older"
    )
}

/// The answer of the kernel about `path`.
pub(super) fn refused(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// The same after it could be read before.
pub(super) fn gone(path: &Path, error: &io::Error) -> String {
    if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENOENT)) {
        return ended(path);
    }
    refused(path, error)
}
