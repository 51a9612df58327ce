//! Trees of files in place of DAMON's, of nodes and of control groups. The kernel makes folders when a number is written; files do
//! not, so what is needed is there already, and `state` holds what was asked for last.

use super::*;
use crate::root::{ProcRoot, Roots, SysRoot};
use etmem_core::kernel::groups::GroupPattern;
use etmem_core::kernel::monitoring::{Bounds, Quota};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Kdamonds that a test may come to use, the sign among them.
const MADE: usize = 6;

struct Tree {
    folder: tempfile::TempDir,
    damon: SharedDamon,
    groups: MachineGroups,
    nodes: MachineNodes,
}

impl Tree {
    /// With two nodes, and control groups of these paths.
    fn new(groups: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sys = SysRoot::new(folder.path());
        let roots = Roots { proc: ProcRoot::new(folder.path().join("proc")), sys: sys.clone() };
        let (damon, nodes) = (SharedDamon::new(&sys), MachineNodes(sys));
        let tree = Self { folder, damon, groups: MachineGroups::new(roots), nodes };
        tree.write("fs/cgroup/cgroup.controllers", "memory");
        tree.write("fs/cgroup/memory.reclaim", "");
        for group in groups {
            for file in ["memory.current", "memory.stat", "memory.reclaim"] {
                tree.write(&format!("fs/cgroup/{group}/{file}"), "0");
            }
        }
        tree.write("devices/system/memory/block_size_bytes", "8000000");
        for block in ["node0/memory0", "node0/memory2", "node1/memory1"] {
            fs::create_dir_all(tree.folder.path().join("devices/system/node").join(block)).unwrap();
        }
        tree.write_damon("nr_kdamonds", "0");
        for number in 0..MADE {
            tree.write_damon(&format!("{number}/state"), "off");
            tree.write_damon(&format!("{number}/contexts/nr_contexts"), "0");
            let context = |file: &str, text: &str| {
                tree.write_damon(&format!("{number}/contexts/0/{file}"), text);
            };
            context("avail_operations", "vaddr\nfvaddr\npaddr");
            for file in ["intervals/update_us", "nr_regions/min"] {
                context(&format!("monitoring_attrs/{file}"), "");
            }
            for region in ["0/start", "1/start"] {
                context(&format!("targets/0/regions/{region}"), "");
            }
            for file in ["target_nid", "quotas/ms", "filters/0/type", "filters/1/type"] {
                context(&format!("schemes/0/{file}"), "");
            }
            for pattern in ["sz", "nr_accesses", "age"] {
                context(&format!("schemes/0/access_pattern/{pattern}/min"), "");
            }
            tree.count(number, [0; 4]);
        }
        tree
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("kernel/mm/damon/admin/kdamonds").join(file)
    }

    fn write_damon(&self, file: &str, text: &str) {
        self.write(&format!("kernel/mm/damon/admin/kdamonds/{file}"), text);
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// What the kernel counts of the scheme of the kdamond `number`.
    fn count(&self, number: usize, counts: [u64; 4]) {
        for (file, count) in ["nr_tried", "sz_tried", "sz_applied", "qt_exceeds"].into_iter().zip(counts) {
            self.write_damon(&format!("{number}/contexts/0/schemes/0/stats/{file}"), &count.to_string());
        }
        // It answers, and runs on.
        if self.path(&format!("{number}/state")).exists() && self.read(&format!("{number}/state")) != "off" {
            self.write_damon(&format!("{number}/state"), "on");
        }
    }

    fn find(&self, path: &str) -> Group {
        self.groups.find(&GroupPattern::new(path).unwrap()).unwrap().remove(0)
    }

    fn monitor(&self, action: Action, quota: Quota) -> MachineGroupMonitor {
        let attributes = Attributes {
            sample: Duration::from_micros(5000),
            aggregation: Duration::from_micros(100_000),
            update: Duration::from_secs(1),
            regions: Bounds { min: 10, max: 1000 },
        };
        let scheme = Scheme {
            action,
            size: Bounds { min: 4096, max: 1 << 40 },
            accesses: Bounds { min: 0, max: 1 },
            age: Bounds { min: 20, max: 1000 },
            quota,
        };
        let (from, to) = if action == Action::MigrateHot { (1, 0) } else { (0, 1) };
        let ways = [Way { from: NodeId(from), to: NodeId(to) }];
        let roots = Roots { proc: ProcRoot::new("proc"), sys: SysRoot::new(self.folder.path()) };
        MachineGroupMonitor::new(
            &self.damon,
            MachineGroups::new(roots),
            &self.nodes,
            (&attributes, &scheme),
            &ways,
        )
        .unwrap()
    }
}

/// A context of this kind is recognised as ours at any moment, as the mark stays where it was made.
#[test]
fn each_group_has_a_scheme_that_sees_no_other_memory() {
    let tree = Tree::new(&["a", "b.slice/c"]);
    for (action, young, target, regions) in [
        (Action::MigrateCold, "Y", "1", &[(0, 1 << 27), (2 << 27, 3 << 27)][..]),
        (Action::MigrateHot, "N", "0", &[(1 << 27, 2 << 27)][..]),
    ] {
        let mut monitor = tree.monitor(action, Quota::default());
        let groups = [tree.find("a"), tree.find("b.slice/c")];
        assert_eq!(monitor.watch(&groups).unwrap(), groups);
        assert_eq!(monitor.watch(&groups).unwrap(), groups, "and nothing else changes");
        for (number, path) in [(1, "/a"), (2, "/b.slice/c")] {
            let want = [
                ("operations", "paddr"),
                ("monitoring_attrs/intervals/sample_us", "5000"),
                ("monitoring_attrs/intervals/aggr_us", "100000"),
                ("monitoring_attrs/intervals/update_us", &crate::damon::claim::MARK.to_string()),
                ("monitoring_attrs/nr_regions/min", "10"),
                ("monitoring_attrs/nr_regions/max", "1000"),
                ("targets/nr_targets", "1"),
                ("schemes/nr_schemes", "1"),
                ("schemes/0/access_pattern/sz/min", "4096"),
                ("schemes/0/access_pattern/nr_accesses/max", "1"),
                ("schemes/0/access_pattern/age/min", "20"),
                ("schemes/0/quotas/bytes", "0"),
                ("schemes/0/filters/nr_filters", "2"),
                ("schemes/0/filters/0/type", "memcg"),
                ("schemes/0/filters/0/matching", "N"),
                ("schemes/0/filters/0/memcg_path", path),
                ("schemes/0/filters/1/type", "young"),
                ("schemes/0/filters/1/matching", young),
                ("schemes/0/target_nid", target),
                ("schemes/0/action", action.word()),
                ("targets/0/regions/nr_regions", &regions.len().to_string()),
            ];
            for (file, value) in want {
                assert_eq!(tree.read(&format!("{number}/contexts/0/{file}")), value, "{number} {file}");
            }
            for (region, (start, end)) in regions.iter().enumerate() {
                let bound =
                    |file| tree.read(&format!("{number}/contexts/0/targets/0/regions/{region}/{file}"));
                assert_eq!((bound("start"), bound("end")), (start.to_string(), end.to_string()));
            }
            assert_eq!(tree.read(&format!("{number}/state")), "on");
        }
        assert_eq!((tree.read("nr_kdamonds"), tree.read("3/state")), ("33".into(), "off".into()));
        drop(monitor);
        assert_eq!((tree.read("1/state"), tree.read("2/state")), ("off".into(), "off".into()));
        assert_eq!(tree.read("nr_kdamonds"), "0", "all is taken back");
    }
}

#[test]
fn groups_come_and_go_beside_each_other_and_share_the_quota() {
    let tree = Tree::new(&["a", "b"]);
    let quota = Quota { bytes_per_second: Some(1000), time_per_second: Some(Duration::from_millis(50)) };
    let mut monitor = tree.monitor(Action::MigrateCold, quota);
    let (a, b) = (tree.find("a"), tree.find("b"));
    let quotas = |number: usize| {
        ["bytes", "ms", "reset_interval_ms"]
            .map(|file| tree.read(&format!("{number}/contexts/0/schemes/0/quotas/{file}")))
    };
    monitor.watch(std::slice::from_ref(&a)).unwrap();
    assert_eq!((quotas(1), tree.read("1/state")), (["1000", "50", "1000"].map(String::from), "on".into()));
    monitor.watch(&[a.clone(), b.clone()]).unwrap();
    for number in [1, 2] {
        assert_eq!(quotas(number), ["500", "25", "1000"].map(String::from), "{number}");
    }
    assert_eq!((tree.read("1/state"), tree.read("2/state")), ("commit".into(), "on".into()));
    tree.write_damon("1/state", "on");
    monitor.watch(std::slice::from_ref(&b)).unwrap();
    assert_eq!((tree.read("1/state"), tree.read("1/contexts/nr_contexts")), ("off".into(), "0".into()));
    assert_eq!(
        (tree.read("2/state"), quotas(2)),
        ("commit".into(), ["1000", "50", "1000"].map(String::from))
    );
    assert_eq!(monitor.watch(&[]).unwrap(), []);
    assert_eq!(tree.read("2/contexts/nr_contexts"), "0");
}

#[test]
fn a_group_that_the_kernel_no_longer_watches_is_watched_again() {
    let tree = Tree::new(&["a"]);
    let mut monitor = tree.monitor(Action::MigrateCold, Quota::default());
    let a = [tree.find("a")];
    monitor.watch(&a).unwrap();
    tree.write_damon("1/state", "off");
    assert_eq!(monitor.watch(&a).unwrap(), a);
    assert_eq!(tree.read("1/state"), "on");
}

#[test]
fn a_group_that_was_removed_meanwhile_is_no_error() {
    let tree = Tree::new(&["a", "b"]);
    let mut monitor = tree.monitor(Action::MigrateCold, Quota::default());
    let groups = [tree.find("b"), tree.find("a")];
    fs::rename(tree.folder.path().join("fs/cgroup/a"), tree.folder.path().join("fs/cgroup/c")).unwrap();
    // The kernel refuses its path when the watching begins.
    fs::remove_file(tree.path("2/state")).unwrap();
    fs::create_dir(tree.path("2/state")).unwrap();
    assert_eq!(monitor.watch(&groups).unwrap(), groups[..1]);
    // The same of a group that is there is one.
    let error = monitor.watch(&[groups[0].clone(), tree.find("c")]).unwrap_err().to_string();
    assert!(error.contains("state: writing on"), "{error}");
}

#[test]
fn each_group_has_counts_of_its_own_while_the_scheme_acts() {
    let tree = Tree::new(&["a", "b"]);
    let mut monitor = tree.monitor(Action::MigrateCold, Quota::default());
    let groups = [tree.find("a"), tree.find("b")];
    monitor.watch(&groups).unwrap();
    let mut done = |counts: [[u64; 4]; 2]| {
        (1..).zip(counts).for_each(|(number, counts)| tree.count(number, counts));
        let done = monitor.done().unwrap();
        assert!(done.iter().map(|(group, _)| group).eq(&groups));
        let counts = |done: &Done| [done.tried_regions, done.tried, done.applied, done.quota_exceeded];
        [0, 1].map(|at| counts(&done[at].1))
    };
    assert_eq!(done([[1, 4096, 0, 0], [2, 8192, 4096, 1]]), [[1, 4096, 0, 0], [2, 8192, 4096, 1]]);
    assert_eq!(done([[1, 4096, 0, 0], [5, 9000, 8192, 1]]), [[0; 4], [3, 808, 4096, 0]]);
    let action = |number| tree.read(&format!("{number}/contexts/0/schemes/0/action"));
    tree.count(1, [7; 4]);
    tree.count(2, [7; 4]);
    monitor.set_acting(false).unwrap();
    assert_eq!((action(1), action(2), tree.read("1/state")), ("stat".into(), "stat".into(), "commit".into()));
    assert_eq!(monitor.done().unwrap(), []);
    tree.count(1, [8; 4]);
    tree.count(2, [8; 4]);
    monitor.set_acting(true).unwrap();
    assert_eq!((action(1), tree.read("1/state")), ("migrate_cold".into(), "commit".into()));
}

#[test]
fn a_kernel_that_cannot_says_what_it_lacks() {
    let tree = Tree::new(&[]);
    can_migrate(&tree.damon, Action::MigrateHot).unwrap();
    assert_eq!((tree.read("nr_kdamonds"), tree.read("1/contexts/nr_contexts")), ("0".into(), "0".into()));
    assert_eq!(tree.read("1/state"), "off");
    tree.write_damon("1/contexts/0/avail_operations", "vaddr\nfvaddr");
    let lacks = |action| can_migrate(&tree.damon, action).unwrap_err().to_string();
    assert!(
        lacks(Action::MigrateHot).contains("needs CONFIG_DAMON_PADDR=y"),
        "{}",
        lacks(Action::MigrateHot)
    );
    tree.write_damon("1/contexts/0/avail_operations", "paddr");
    fs::remove_file(tree.path("1/contexts/0/schemes/0/target_nid")).unwrap();
    assert!(lacks(Action::MigrateCold).contains("Linux 6.11 and later do"), "{}", lacks(Action::MigrateCold));
    assert_eq!(tree.read("nr_kdamonds"), "0");
    // Another program's stays.
    tree.write_damon("nr_kdamonds", "1");
    tree.write_damon("0/contexts/nr_contexts", "0");
    assert!(lacks(Action::MigrateCold).starts_with("DAMON is in use by another program"));
    assert_eq!(tree.read("nr_kdamonds"), "1");
}
