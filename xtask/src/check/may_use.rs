//! `may-use`: every crate uses only what its row of [`may_use_table`](super::may_use_table) lists.

use super::may_use_table::{FOR_TESTS_ONLY, MayUse, Row, TABLE};
use super::verdict::Verdict;
use crate::project::{self, Package};
use std::collections::BTreeSet;
use std::path::Path;

const REMEDY: &str = "move the code to the crate that may, or change the row in xtask/src/check/may_use_table.rs \
                      and the table in ARCHITECTURE.md together, and say why in the commit";

/// Compares the manifests with the table.
pub(crate) fn check(root: &Path) -> anyhow::Result<Verdict> {
    let packages = project::read(root)?.packages;
    let members = packages.iter().filter(|package| package.member).count();
    let looked_at = format!("{members} crates keep to the table");
    Ok(Verdict::of(problems(&packages, &TABLE), looked_at, REMEDY))
}

fn problems(packages: &[Package], table: &[Row]) -> Vec<String> {
    let members: BTreeSet<&str> =
        packages.iter().filter(|package| package.member).map(|package| package.name.as_str()).collect();
    let mut problems = Vec::new();
    for package in packages.iter().filter(|package| package.member) {
        let Some(row) = table.iter().find(|row| row.name == package.name) else {
            problems.push(format!("{} has no row in the table", package.name));
            continue;
        };
        let MayUse::Listed { inside, outside } = row.may_use else { continue };
        for need in &package.needs {
            if FOR_TESTS_ONLY.contains(&need.as_str()) {
                problems.push(format!("{} uses {need}, which is for dev-dependencies only", package.name));
                continue;
            }
            let (listed, origin) =
                if members.contains(need.as_str()) { (inside, "crate") } else { (outside, "outside crate") };
            if !listed.contains(&need.as_str()) {
                let may = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
                problems.push(format!("{} uses the {origin} {need}; it may use: {may}", package.name));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: [Row; 4] = [
        Row { name: "core", may_use: MayUse::Listed { inside: &[], outside: &["thiserror"] } },
        Row { name: "linux", may_use: MayUse::Listed { inside: &["core"], outside: &["nix"] } },
        Row { name: "daemon", may_use: MayUse::Listed { inside: &["core", "linux"], outside: &["tokio"] } },
        Row { name: "etmem-testkit", may_use: MayUse::Anything },
    ];

    fn member(name: &str, needs: &[&str]) -> Package {
        Package {
            name: name.into(),
            version: "0.1.0".into(),
            licence: None,
            member: true,
            shipped: true,
            needs: needs.iter().map(|need| (*need).into()).collect(),
        }
    }

    #[test]
    fn each_crate_keeps_to_its_row() {
        for (name, needs, want) in [
            ("core", &["thiserror"][..], &[][..]),
            ("core", &[], &[]),
            ("core", &["nix"], &["core uses the outside crate nix; it may use: thiserror"]),
            ("core", &["linux"], &["core uses the crate linux; it may use: none"]),
            ("linux", &["core", "nix"], &[]),
            ("linux", &["core", "tokio"], &["linux uses the outside crate tokio; it may use: nix"]),
            ("linux", &["etmem-testkit"], &["linux uses etmem-testkit, which is for dev-dependencies only"]),
            ("daemon", &["core", "linux", "tokio"], &[]),
            ("daemon", &["nix"], &["daemon uses the outside crate nix; it may use: tokio"]),
            ("etmem-testkit", &["core", "linux", "anything"], &[]),
            ("stray", &["core"], &["stray has no row in the table"]),
        ] {
            let mut packages: Vec<Package> = SMALL
                .iter()
                .map(|row| row.name)
                .filter(|row| *row != name)
                .map(|row| member(row, &[]))
                .collect();
            packages.push(member(name, needs));
            assert_eq!(problems(&packages, &SMALL), want, "{name} with {needs:?}");
        }
    }

    #[test]
    fn what_crates_from_outside_use_is_their_own_affair() {
        let outside = Package { member: false, ..member("tokio", &["libc"]) };
        assert!(problems(&[outside], &SMALL).is_empty());
    }

    #[test]
    fn the_table_names_each_crate_once_and_only_crates_it_has_rows_for() {
        let names: BTreeSet<&str> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for row in TABLE {
            let MayUse::Listed { inside, outside } = row.may_use else { continue };
            for used in inside {
                assert!(names.contains(used) && *used != row.name, "{} may use {used}", row.name);
                assert!(!FOR_TESTS_ONLY.contains(used), "{} may use {used}", row.name);
            }
            assert!(outside.iter().all(|used| !names.contains(used)), "{}", row.name);
        }
    }

    #[test]
    fn only_the_daemon_has_a_runtime_and_only_few_touch_the_system() {
        let users = |wanted: &str| -> Vec<&str> {
            let uses = |row: &&Row| matches!(row.may_use, MayUse::Listed { outside, .. } if outside.contains(&wanted));
            TABLE.iter().filter(uses).map(|row| row.name).collect()
        };
        assert_eq!(users("tokio"), ["etmemd"]);
        assert_eq!(users("nix"), ["etmem-config", "etmem-plugin", "etmemd", "etmem"]);
        assert_eq!(users("aya"), ["etmem-linux"]);
        assert_eq!(users("libloading"), ["etmem-plugin", "etmem-plugin-sdk"]);
    }
}
