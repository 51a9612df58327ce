//! What control groups promise and forbid: the files of a process's groups (cgroup v2), found by `/proc/PID/cgroup`.
//!
//! The first version has neither; if both are mounted, as in systemd's hybrid layout, only the second is read.

use crate::process::stat::{check_alive, process_error};
use crate::root::{Roots, SysRoot};
use crate::small_file;
use crate::zswap_max::zswap_is_on;
use etmem_core::kernel::groups::{GroupLimits, GroupUse};
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::path::{Component, Path, PathBuf};

/// The path of the group of the second version in the text of `/proc/PID/cgroup`.
fn group_path(text: &str) -> Option<&Path> {
    let path = Path::new(text.lines().find_map(|line| line.strip_prefix("0::/"))?);
    // A group outside of our namespace is shown with dots: its files cannot be found.
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

/// A figure of a group: `max` is no bound, and so is a file that is not there.
fn figure(folder: &Path, file: &str) -> Result<Option<u64>, ProcessError> {
    let path = folder.join(file);
    let Ok(text) = small_file::read_to_string(&path) else { return Ok(None) };
    match text.trim_end() {
        "max" => Ok(None),
        digits => digits.parse().map(Some).map_err(|_| {
            let reason = format!("says {digits:?}, which is neither bytes nor max");
            ProcessError::refused(path.display(), reason)
        }),
    }
}

/// What limits how much the group of `folder` may put in swap: each limit, and the file of what is used of it.
fn swap_limits(folder: &Path, zswap: bool) -> Result<Vec<GroupUse>, ProcessError> {
    let mut limits =
        vec![("memory.swap.max", "memory.swap.current"), ("memory.swap.high", "memory.swap.current")];
    // Where nothing may be written from zswap to a device, what zswap does not take stays in memory (Linux 6.8). A group above
    // decides for those below.
    if zswap && figure(folder, "memory.zswap.writeback")? == Some(0) {
        limits.push(("memory.zswap.max", "memory.zswap.current"));
    }
    let limit = |(bound, used)| -> Result<Option<GroupUse>, ProcessError> {
        let Some(bound) = figure(folder, bound)? else { return Ok(None) };
        Ok(Some(GroupUse { bound, used: figure(folder, used)?.unwrap_or(0) }))
    };
    limits.into_iter().filter_map(|files| limit(files).transpose()).collect()
}

/// Takes the group that has less: by `room`, what is left of the bound or beyond it.
fn tighter(one: Option<GroupUse>, other: Option<GroupUse>, room: fn(GroupUse) -> u64) -> Option<GroupUse> {
    [one, other].into_iter().flatten().min_by_key(|group| room(*group))
}

/// The group of a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OwnGroup {
    /// The root of its hierarchy.
    pub(super) root: PathBuf,
    /// Its path below that.
    pub(super) path: PathBuf,
}

/// The group of `process`; nothing if it has none of the second version.
pub(super) fn group_of(roots: &Roots, process: ProcessId) -> Result<Option<OwnGroup>, ProcessError> {
    let path = roots.proc.process(process.pid, "cgroup");
    let text = match small_file::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Gone, or a kernel without control groups.
            check_alive(&roots.proc, process)?;
            return Ok(None);
        }
        Err(error) => return Err(process_error(path.display().to_string(), &error)),
    };
    let Some(group) = group_path(&text) else { return Ok(None) };
    let mounted = roots.sys.second_version_groups();
    check_alive(&roots.proc, process)?;
    Ok(mounted.map(|root| OwnGroup { root, path: group.to_owned() }))
}

/// What the group at `path` below `root` and those above it promise and forbid.
pub(super) fn of_path(sys: &SysRoot, root: &Path, path: &Path) -> Result<GroupLimits, ProcessError> {
    let above = path.ancestors().filter(|part| !part.as_os_str().is_empty());
    let folders: Vec<PathBuf> = above.map(|part| root.join(part)).collect();
    let mut limits = GroupLimits::default();
    // The root group has no limits.
    let zswap = !folders.is_empty() && zswap_is_on(sys);
    for folder in folders {
        for swap in swap_limits(&folder, zswap)? {
            let room = |group: GroupUse| group.bound.saturating_sub(group.used);
            limits.swap = tighter(limits.swap, Some(swap), room);
        }
        // No bound where it says max: all of it is promised.
        let promised = |file| -> Result<Option<u64>, ProcessError> {
            let present = folder.join(file).exists();
            Ok(figure(&folder, file)?.or(present.then_some(u64::MAX)))
        };
        let bound = promised("memory.min")?.max(promised("memory.low")?).filter(|bound| *bound > 0);
        if let Some(bound) = bound {
            let used = figure(&folder, "memory.current")?.unwrap_or(0);
            let protection = Some(GroupUse { bound, used });
            let room = |group: GroupUse| group.used.saturating_sub(group.bound);
            limits.protection = tighter(limits.protection, protection, room);
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::super::MachineGroups;
    use super::*;
    use crate::root::ProcRoot;
    use etmem_core::kernel::groups::ControlGroups;
    use etmem_core::kernel::process::Pid;
    use std::fs;

    const STAT: &str = "7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n";

    fn machine(cgroup: &str, unified: bool, files: &[(&str, &str)]) -> (tempfile::TempDir, MachineGroups) {
        let tree = tempfile::tempdir().unwrap();
        let proc = tree.path().join("proc");
        fs::create_dir_all(proc.join("7")).unwrap();
        fs::write(proc.join("7/stat"), STAT).unwrap();
        fs::write(proc.join("7/cgroup"), cgroup).unwrap();
        let sys = tree.path().join("sys");
        let root = sys.join(if unified { "fs/cgroup/unified" } else { "fs/cgroup" });
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("cgroup.controllers"), "cpu memory\n").unwrap();
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let roots = Roots { proc: ProcRoot::new(proc), sys: SysRoot::new(sys) };
        (tree, MachineGroups::new(roots))
    }

    fn process() -> ProcessId {
        ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 }
    }

    fn limits(cgroup: &str, files: &[(&str, &str)]) -> GroupLimits {
        let (_tree, groups) = machine(cgroup, false, files);
        groups.limits(process()).unwrap()
    }

    #[test]
    fn the_tightest_of_all_groups_above() {
        let none = GroupLimits::default();
        let group = |bound, used| Some(GroupUse { bound, used });
        let in_group = "0::/a.slice/b.service\n";
        for (files, want) in [
            (&[][..], none),
            (&[("a.slice/memory.swap.max", "max\n"), ("a.slice/memory.low", "0\n")], none),
            (&[("a.slice/memory.swap.max", "0\n")], GroupLimits { swap: group(0, 0), ..none }),
            (
                &[
                    ("a.slice/memory.swap.max", "1000\n"),
                    ("a.slice/memory.swap.current", "900\n"),
                    ("a.slice/b.service/memory.swap.max", "500\n"),
                    ("a.slice/b.service/memory.swap.current", "100\n"),
                ],
                GroupLimits { swap: group(1000, 900), ..none },
            ),
            (
                &[
                    ("a.slice/memory.swap.max", "1000\n"),
                    ("a.slice/memory.swap.high", "800\n"),
                    ("a.slice/memory.swap.current", "900\n"),
                ],
                GroupLimits { swap: group(800, 900), ..none },
            ),
            // Zswap is not on: it does not matter that nothing is written from there.
            (&[("a.slice/memory.zswap.writeback", "0\n"), ("a.slice/memory.zswap.max", "7\n")], none),
            (
                &[
                    ("a.slice/b.service/memory.min", "100\n"),
                    ("a.slice/b.service/memory.low", "300\n"),
                    ("a.slice/b.service/memory.current", "700\n"),
                ],
                GroupLimits { protection: group(300, 700), ..none },
            ),
            (
                &[("a.slice/b.service/memory.min", "max\n"), ("a.slice/b.service/memory.current", "7\n")],
                GroupLimits { protection: group(u64::MAX, 7), ..none },
            ),
            // The root group has no such files, and a group next to it does not matter.
            (&[("memory.swap.max", "0\n"), ("c.slice/memory.swap.max", "0\n")], none),
        ] {
            assert_eq!(limits(in_group, files), want, "{files:?}");
        }
        let (_tree, groups) = machine(in_group, false, &[("a.slice/memory.swap.max", "much\n")]);
        let error = groups.limits(process()).unwrap_err().to_string();
        assert!(error.contains("a.slice/memory.swap.max") && error.contains("much"), "{error}");
    }

    #[test]
    fn zswap_is_a_limit_where_nothing_is_written_from_it() {
        for (enabled, writeback, want) in [
            ("Y\n", "0\n", Some(GroupUse { bound: 700, used: 500 })),
            ("Y\n", "1\n", Some(GroupUse { bound: 1000, used: 100 })),
            ("N\n", "0\n", Some(GroupUse { bound: 1000, used: 100 })),
        ] {
            let files = [
                ("a/memory.swap.max", "1000\n"),
                ("a/memory.swap.current", "100\n"),
                ("a/memory.zswap.writeback", writeback),
                ("a/memory.zswap.max", "700\n"),
                ("a/memory.zswap.current", "500\n"),
            ];
            let (tree, groups) = machine("0::/a/b\n", false, &files);
            let file = tree.path().join("sys/module/zswap/parameters/enabled");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, enabled).unwrap();
            assert_eq!(groups.limits(process()).unwrap().swap, want, "{enabled}{writeback}");
        }
    }

    #[test]
    fn a_group_is_looked_up_once_and_what_left_counts_at_once() {
        let files = [
            ("a/memory.swap.max", "1000\n"),
            ("a/memory.swap.current", "100\n"),
            ("a/memory.low", "50\n"),
            ("a/memory.current", "500\n"),
        ];
        let (tree, groups) = machine("0::/a\n", false, &files);
        let limits = |used_swap, used| GroupLimits {
            swap: Some(GroupUse { bound: 1000, used: used_swap }),
            protection: Some(GroupUse { bound: 50, used }),
        };
        assert_eq!(groups.limits(process()).unwrap(), limits(100, 500));
        fs::write(tree.path().join("sys/fs/cgroup/a/memory.swap.current"), "900\n").unwrap();
        assert_eq!(groups.limits(process()).unwrap(), limits(100, 500));
        groups.moved_out(process(), 200);
        assert_eq!(groups.limits(process()).unwrap(), limits(300, 300));
        groups.renew();
        assert_eq!(groups.limits(process()).unwrap(), limits(900, 500));
    }

    #[test]
    fn machines_without_it() {
        let zero = [("a/memory.swap.max", "0\n")];
        for cgroup in ["5:memory:/a\n0::/\n", "5:memory:/a\n", "", "0::/../../a\n", "0::/../a\n"] {
            assert_eq!(limits(cgroup, &zero), GroupLimits::default(), "{cgroup:?}");
        }
        let (_tree, hybrid) = machine("5:memory:/a\n0::/a\n", true, &zero);
        assert_eq!(hybrid.limits(process()).unwrap().swap, Some(GroupUse { bound: 0, used: 0 }));
        let later = ProcessId { start_time: 6, ..process() };
        assert_eq!(hybrid.limits(later), Err(ProcessError::Exited));
        let gone = ProcessId { pid: Pid::new(8).unwrap(), start_time: 5 };
        assert_eq!(hybrid.limits(gone), Err(ProcessError::Exited));
    }
}
