//! Which test programs run beside others.
//!
//! Most suites wait for cycles of a daemon for most of their time. Those that take this machine's swap, or judge how the
//! machine feels, run one at a time in the first lane. All others run in the second lane beside them; when the first lane is
//! through, it helps.

use super::programs::Program;
use std::collections::VecDeque;

/// A lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// One at a time among its own kind.
    First,
    /// Beside anything.
    Second,
}

/// Programs of the first lane, each with what only one at a time can have. What takes longest comes first.
const FIRST: &[(&str, &str)] = &[
    ("etmem-tests::slide", "swap"),
    ("etmem-tests::plugin_examples", "swap"),
    ("etmem-tests::killed", "swap, and kills at measured moments"),
    ("etmem-tests::faults", "swap, or none"),
    ("etmem-tests::redis", "swap, and a server that goes on as fast"),
    ("etmem-tests::limits", "the only swap there is"),
    ("etmem-tests::feedback", "swap, and rates"),
    ("etmem-tests::reused_pid", "swap"),
    ("etmem-tests::jumping", "swap, and what comes back from it"),
    ("etmem-tests::demo", "swap"),
    ("etmem-tests::task_show", "swap, or none"),
    ("etmem-tests::moved", "swap, and zram at its limit"),
    ("etmem-tests::targets", "swap"),
    ("etmem-tests::many", "swap"),
    ("etmem-tests::cooperation", "swap"),
    ("etmem-tests::memdcd", "swap"),
    ("etmem-tests::idle", "swap"),
    ("etmem-tests::record", "swap"),
    ("etmem-tests::survey", "swap"),
    ("etmem-tests::kept", "swap"),
    ("etmem-tests::ksm", "the settings of KSM"),
    ("etmem-tests::trials", "swap, and servers that go on as fast"),
    ("etmem-tests::vm_tiers", "a machine whose writes to a disk have a rate"),
    ("etmemd::service", "swap"),
    ("etmem-linux::machine", "swap"),
    ("etmem-testkit::machine", "swap"),
];

/// Programs that take longest in the second lane: these begin first.
const LONGEST: &[&str] = &[
    "etmem-tests::vm",
    "etmem-tests::vm_nodes",
    "etmem-tests::vm_psi",
    "etmem-tests::vm_systemd",
    "etmem-tests::triggers",
    "etmem-tests::thirdparty",
    "etmem-tests::fake",
    "documentation",
    "etmem-testkit::fakeproc",
    "etmem-tests::load",
];

/// What is not begun yet.
#[derive(Debug)]
pub(crate) struct Lanes {
    first: VecDeque<Program>,
    second: VecDeque<Program>,
}

impl Lanes {
    /// Puts each program into its lane.
    pub(crate) fn of(programs: Vec<Program>) -> Self {
        let (mut first, mut second): (Vec<_>, Vec<_>) =
            programs.into_iter().partition(|program| first_place(program.name()).is_some());
        first.sort_by_key(|program| first_place(program.name()));
        let longest = |name: &str| LONGEST.iter().position(|other| *other == name);
        second.sort_by_key(|program| longest(program.name()).unwrap_or(LONGEST.len()));
        Self { first: first.into(), second: second.into() }
    }

    /// What `lane` is to run next.
    pub(crate) fn next(&mut self, lane: Lane) -> Option<Program> {
        match lane {
            Lane::First => self.first.pop_front().or_else(|| self.second.pop_front()),
            Lane::Second => self.second.pop_front(),
        }
    }
}

/// The place in the first lane of the program called `name`.
fn first_place(name: &str) -> Option<usize> {
    FIRST.iter().position(|(other, _)| *other == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    fn lanes(names: &[&str]) -> Lanes {
        Lanes::of(names.iter().map(|name| Program::of(name, Command::new("true"))).collect())
    }

    fn names(lanes: &mut Lanes, lane: Lane) -> Vec<String> {
        std::iter::from_fn(|| lanes.next(lane)).map(|program| program.name().to_owned()).collect()
    }

    #[test]
    fn the_second_lane_begins_with_what_takes_longest() {
        let all = ["etmem-core::etmem_core", "etmem-tests::killed", "etmem-tests::vm", "etmem-tests::slide"];
        let mut lanes = lanes(&all);
        assert_eq!(names(&mut lanes, Lane::Second), ["etmem-tests::vm", "etmem-core::etmem_core"]);
        assert_eq!(names(&mut lanes, Lane::First), ["etmem-tests::slide", "etmem-tests::killed"]);
    }

    #[test]
    fn the_first_lane_helps_the_second() {
        let all = ["etmem-tests::slide", "etmem-core::etmem_core"];
        let mut lanes = lanes(&all);
        assert_eq!(names(&mut lanes, Lane::First), all);
        assert!(names(&mut lanes, Lane::Second).is_empty());
    }

    /// All sources below a folder or file.
    fn text(path: &Path) -> String {
        if path.is_dir() {
            let entries = fs::read_dir(path).unwrap().map(|entry| text(&entry.unwrap().path()));
            return entries.collect();
        }
        if path.extension().is_some_and(|extension| extension == "rs") {
            return fs::read_to_string(path).unwrap();
        }
        String::new()
    }

    #[test]
    fn every_suite_that_takes_swap_here_is_in_the_first_lane() {
        // They take it inside a virtual machine.
        let inside = [
            "triggers",
            "vm",
            "vm_damon",
            "vm_guards",
            "vm_kvm",
            "vm_nodes",
            "vm_psi",
            "vm_systemd",
            "compare",
        ];
        let tests = project::root().join("tests");
        let manifest = fs::read_to_string(tests.join("Cargo.toml")).unwrap();
        let suites = manifest.split("[[test]]").skip(1).map(|section| {
            let value = |key: &str| {
                section.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim_matches('"')
            };
            (value("name = "), value("path = "))
        });
        let mut seen = 0;
        for (name, path) in suites.filter(|(name, _)| !inside.contains(name)) {
            let path = tests.join(path);
            let whole = if path.ends_with("main.rs") { path.parent().unwrap() } else { &path };
            let text = text(whole);
            if ["SwapGuard", "Need::Swap", "Need::NoSwap", "Stage::with_swap"]
                .iter()
                .any(|word| text.contains(word))
            {
                let full = format!("etmem-tests::{name}");
                assert!(FIRST.iter().any(|row| row.0 == full), "{full} is not in the first lane");
                seen += 1;
            }
        }
        assert!(seen > 8, "only {seen} suites take swap: the words have changed");
    }
}
