//! Trees of files in place of the cgroup file system.

use super::MachineGroups;
use super::folder::Folder;
use crate::root::{ProcRoot, Roots, SysRoot};
use etmem_core::kernel::groups::{
    ControlGroups, Group, GroupError, GroupLimits, GroupPattern, GroupUse, Stall, Swappiness,
};
use etmem_core::kernel::pressure::Share;
use std::fs;
use std::path::PathBuf;

const MIB: u64 = 1 << 20;

struct Tree {
    folder: tempfile::TempDir,
    groups: MachineGroups,
}

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sys = SysRoot::new(folder.path());
        let groups = MachineGroups::new(Roots { proc: ProcRoot::new(folder.path().join("proc")), sys });
        let tree = Self { folder, groups };
        files.iter().for_each(|(file, text)| tree.write(file, text));
        tree
    }

    fn second(files: &[(&str, &str)]) -> Self {
        let tree = Self::new(&[("cgroup.controllers", "cpu io memory\n"), ("memory.reclaim", "")]);
        files.iter().for_each(|(file, text)| tree.write(file, text));
        tree
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("fs/cgroup").join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn find(&self, pattern: &str) -> Vec<Group> {
        self.groups.find(&GroupPattern::new(pattern).unwrap()).unwrap()
    }

    fn only(&self, pattern: &str) -> Group {
        let found = self.find(pattern);
        let [group] = &found[..] else { panic!("{found:?}") };
        group.clone()
    }
}

fn paths(groups: &[Group]) -> Vec<&str> {
    groups.iter().map(|group| &*group.path).collect()
}

#[test]
fn groups_are_found_by_pattern_and_the_upper_one_means_those_below() {
    let tree = Tree::second(&[
        ("a/x/memory.stat", ""),
        ("a/y/z/memory.stat", ""),
        ("b.slice/c.service/memory.stat", ""),
    ]);
    for (pattern, want) in [
        ("*", vec!["a", "b.slice"]),
        ("a/*", vec!["a/x", "a/y"]),
        ("a/**", vec!["a"]),
        ("**/z", vec!["a/y/z"]),
        ("{a/x,*.slice/*.service}", vec!["a/x", "b.slice/c.service"]),
        ("/", vec![""]),
        ("nothing/*", vec![]),
    ] {
        assert_eq!(paths(&tree.find(pattern)), want, "{pattern}");
    }
}

#[test]
fn groups_below_are_those_whose_memory_is_counted_apart() {
    let tree = Tree::second(&[
        ("a/memory.current", "1\n"),
        ("a/x/memory.current", "1\n"),
        ("a/x/y/cgroup.procs", ""),
        ("a/x.1/z/memory.current", "1\n"),
        ("b/memory.current", "1\n"),
        ("c/cgroup.procs", ""),
    ]);
    for (pattern, want) in [
        ("a", vec!["a", "a/x", "a/x.1/z"]),
        ("a/x", vec!["a/x"]),
        ("c", vec![]),
        ("/", vec!["", "a", "a/x", "a/x.1/z", "b"]),
    ] {
        let found = tree.groups.with_those_below(&tree.only(pattern)).unwrap();
        assert_eq!(paths(&found), want, "{pattern}");
    }
    let group = tree.only("a");
    fs::rename(tree.path("a"), tree.path("d")).unwrap();
    assert_eq!(tree.groups.with_those_below(&group), Ok(vec![]));
}

#[test]
fn the_figures_of_a_group() {
    let stat = "anon 1\nfile 2\ninactive_anon 1048576\nactive_anon 2097152\ninactive_file 4194304\nactive_file 8388608\n\
                file_dirty 1048576\nfile_writeback 1048576\nworkingset_refault_anon 3\nworkingset_refault_file 4\nzswpin 5\n\
                swpin_zero 6\npgsteal 100\npgdemote_direct 10\n";
    let tree = Tree::second(&[
        ("a/memory.low", "0\n"),
        ("a/memory.current", "99\n"),
        ("a/b/memory.stat", stat),
        ("a/b/memory.current", "20971520\n"),
        ("a/b/memory.max", "max\n"),
        ("a/b/memory.high", "31457280\n"),
        ("a/b/memory.min", "1048576\n"),
        ("a/b/memory.low", "2097152\n"),
        ("a/b/memory.swap.current", "7\n"),
        ("a/b/memory.zswap.current", "8\n"),
        ("a/b/memory.swap.max", "100\n"),
        ("a/b/memory.events", "low 1\nhigh 2\nmax 3\noom 4\n"),
    ]);
    let memory = tree.groups.memory(&tree.only("a/b")).unwrap();
    assert_eq!((memory.current, memory.limit, memory.promise), (20 * MIB, Some(30 * MIB), 2 * MIB));
    assert_eq!((memory.file, memory.anon), (10 * MIB, 3 * MIB), "what is to be written first does not count");
    assert_eq!((memory.active_file, memory.active_anon), (8 * MIB, 2 * MIB));
    assert_eq!((memory.swapped, memory.zswap), (7, Some(8)));
    let counters = memory.counters;
    assert_eq!((counters.refaulted_anon, counters.refaulted_file), (3 * 4096, 4 * 4096));
    assert_eq!((counters.swapped_in, counters.limit_events), (11 * 4096, 5));
    let use_of = |bound, used| Some(GroupUse { bound, used });
    let limits = GroupLimits { protection: use_of(2 * MIB, 20 * MIB), swap: use_of(100, 7) };
    assert_eq!(memory.limits, limits);
    tree.write("a/b/memory.current", "much\n");
    let error = tree.groups.memory(&tree.only("a/b")).unwrap_err().to_string();
    assert!(error.contains("a/b/memory.current") && error.contains("much"), "{error}");
}

#[test]
fn the_root_has_no_figure_of_its_own() {
    let tree = Tree::second(&[("memory.stat", "anon 100\nfile 20\nkernel 3\nsock 4\nactive_file 20\n")]);
    let root = tree.only("/");
    let memory = tree.groups.memory(&root).unwrap();
    assert_eq!((memory.current, memory.file, root.to_string().as_str()), (127, 20, "/"));
}

#[test]
fn a_group_without_the_controller() {
    let tree = Tree::second(&[("a/cgroup.procs", "")]);
    let group = tree.only("a");
    assert_eq!(tree.groups.memory(&group), Err(GroupError::NoMemory));
    assert_eq!(tree.groups.reclaim(&group, 4096, None), Err(GroupError::NoMemory));
    let nothing = tree.groups.pressure(&group).unwrap();
    assert_eq!((nothing.memory, nothing.io), (None, None));
}

#[test]
fn a_group_that_has_the_path_of_another_is_not_that_one() {
    let tree = Tree::second(&[
        ("a/memory.stat", "pgsteal 1\n"),
        ("a/memory.current", "5\n"),
        ("a/memory.reclaim", ""),
    ]);
    let group = tree.only("a");
    tree.groups.memory(&group).unwrap();
    // A folder that is there already has another number.
    tree.write("other/memory.stat", "");
    fs::rename(tree.path("a"), tree.path("gone")).unwrap();
    assert_eq!(tree.groups.memory(&group), Err(GroupError::Removed));
    fs::rename(tree.path("other"), tree.path("a")).unwrap();
    assert_eq!(tree.groups.memory(&group), Err(GroupError::Removed));
    assert_eq!(tree.groups.pressure(&group), Err(GroupError::Removed));
    assert_eq!(tree.groups.reclaim(&group, 4096, None), Err(GroupError::Removed));
}

#[test]
fn a_group_in_a_sandbox_is_refused_with_what_helps() {
    let tree = Tree::second(&[("a/memory.reclaim", "")]);
    let folder = Folder::open(tree.path("a"), None).unwrap();
    let refused = folder.refused("memory.reclaim", std::io::Error::from_raw_os_error(libc::EROFS));
    let GroupError::Refused { call, reason } = &refused else { panic!("{refused:?}") };
    assert!(call.ends_with("a/memory.reclaim"), "{call}");
    assert!(reason.contains("ProtectControlGroups=no"), "{reason}");
    assert_eq!(
        folder.refused("memory.stat", std::io::Error::from_raw_os_error(libc::ENODEV)),
        GroupError::Removed
    );
}

#[test]
fn a_request_is_written_as_the_kernel_reads_it() {
    let tree = Tree::second(&[("a/memory.stat", "pgsteal 1\n"), ("a/memory.reclaim", "")]);
    let group = tree.only("a");
    for (swappiness, want) in [(None, "8388608"), (Swappiness::new(60), "8388608 swappiness=60")] {
        fs::write(tree.path("a/memory.reclaim"), "").unwrap();
        let reclaimed = tree.groups.reclaim(&group, 8 * MIB, swappiness).unwrap();
        assert_eq!(fs::read_to_string(tree.path("a/memory.reclaim")).unwrap(), want);
        assert_eq!(
            (reclaimed.got, reclaimed.no_more),
            (0, false),
            "what left is counted, not what was asked for"
        );
    }
}

#[test]
fn how_long_programs_wait() {
    let stall =
        |avg10, avg60| Stall { avg10: Share::of_hundredths(avg10), avg60: Share::of_hundredths(avg60) };
    let text =
        "some avg10=1.20 avg60=0.07 avg300=0.00 total=4711\nfull avg10=9.00 avg60=9.00 avg300=9.00 total=9\n";
    let tree = Tree::second(&[("a/memory.pressure", text)]);
    let group = tree.only("a");
    let pressure = tree.groups.pressure(&group).unwrap();
    assert_eq!((pressure.memory, pressure.io), (Some(stall(120, 7)), None));
    for bad in [
        "",
        "some avg10=1.20\n",
        "some avg10=x avg60=0.00\n",
        "full avg10=0.00 avg60=0.00\n",
        "some avg10=NaN avg60=0\n",
    ] {
        tree.write("a/io.pressure", bad);
        let error = tree.groups.pressure(&group).unwrap_err().to_string();
        assert!(error.contains("a/io.pressure"), "{bad:?}: {error}");
    }
}

/// As openEuler's kernels have it.
#[test]
fn the_first_version() {
    let stat = "inactive_anon 1\ntotal_inactive_anon 1048576\ntotal_active_anon 1048576\ntotal_inactive_file 3145728\n\
                total_active_file 1048576\ntotal_dirty 1048576\ntotal_writeback 0\nworkingset_refault_file 2\n";
    let tree = Tree::new(&[
        ("memory/memory.reclaim", ""),
        ("memory/g/memory.reclaim", ""),
        ("memory/g/memory.stat", stat),
        ("memory/g/memory.usage_in_bytes", "10485760\n"),
        ("memory/g/memory.limit_in_bytes", "9223372036854771712\n"),
        ("memory/g/memory.memsw.limit_in_bytes", "20971520\n"),
        ("memory/g/memory.memsw.usage_in_bytes", "11534336\n"),
        ("memory/g/memory.min", "0\n"),
        ("memory/g/memory.low", "4096\n"),
        ("cpuacct/g/memory.pressure", "some avg10=0.50 avg60=0.00 avg300=0.00 total=1\n"),
    ]);
    let group = tree.only("g");
    let memory = tree.groups.memory(&group).unwrap();
    assert_eq!((memory.current, memory.limit, memory.promise), (10 * MIB, None, 4096));
    assert_eq!((memory.file, memory.anon, memory.swapped), (3 * MIB, 2 * MIB, MIB));
    assert_eq!((memory.active_file, memory.active_anon), (MIB, MIB));
    assert_eq!(memory.limits.swap, Some(GroupUse { bound: 20 * MIB, used: 11 * MIB }));
    let pressure = tree.groups.pressure(&group).unwrap();
    assert_eq!(pressure.memory.map(|stall| stall.largest()), Some(Share::of_hundredths(50)));
    tree.groups.reclaim(&group, MIB, None).unwrap();
    assert_eq!(fs::read_to_string(tree.path("memory/g/memory.reclaim")).unwrap(), MIB.to_string());
    assert!(tree.groups.detect().unwrap().contains("cgroup v1"));
}

#[test]
fn what_is_missing_is_said() {
    for (files, want) in [
        (&[][..], "no control groups with memory"),
        (&[("cgroup.controllers", "cpu\n")], "cgroup v2 without the memory controller"),
        (&[("cgroup.controllers", "memory\n")], "has no memory.reclaim, which Linux 5.19 and later have"),
        (&[("memory/memory.usage_in_bytes", "1\n")], "except on openEuler's kernels"),
    ] {
        let tree = Tree::new(files);
        let error = tree.groups.detect().unwrap_err().to_string();
        assert!(error.contains(want) && error.contains("boot with"), "{error}");
        assert!(tree.groups.find(&GroupPattern::new("*").unwrap()).is_err());
    }
}

#[test]
fn this_machine_can_or_says_why_not() {
    match MachineGroups::new(Roots::default()).detect() {
        Ok(by) => assert!(by.starts_with("memory.reclaim"), "{by}"),
        Err(error) => assert!(error.to_string().contains("boot with"), "{error}"),
    }
}
