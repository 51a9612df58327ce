//! `may-use`: every crate uses only what its row of the table in ARCHITECTURE.md lists.
//!
//! Normal and build dependencies count; dev-dependencies are free. A dependency that the row does not list is a decision
//! to be taken in that table, where a reviewer sees it.

use super::table;
use super::verdict::Verdict;
use crate::project::{self, Package};
use anyhow::ensure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const DOCUMENT: &str = "ARCHITECTURE.md";
const HEADINGS: [&str; 4] = ["crate", "holds", "may use of this workspace", "may use of others"];

/// In both columns: part of no product, so it may use anything.
const ANYTHING: &str = "anything";

/// Crates that no part of the product may use, in any row: they are there for tests.
const FOR_TESTS_ONLY: [&str; 1] = ["etmem-testkit"];

const REMEDY: &str = "move the code to the crate that may, or change the row of the table \"Who may use whom\" in \
                      ARCHITECTURE.md and say why in the commit";

/// What a crate may use; without a list, anything.
type Row = Option<BTreeSet<String>>;

/// Compares the manifests with the table.
pub(crate) fn check(root: &Path) -> anyhow::Result<Verdict> {
    let packages = project::read(root)?.packages;
    let table = parse(&table::read(root, DOCUMENT, &HEADINGS)?)?;
    let looked_at = format!("{} crates keep to the table", table.len());
    Ok(Verdict::of(problems(&packages, &table), looked_at, REMEDY))
}

fn parse(rows: &[table::Row]) -> anyhow::Result<BTreeMap<String, Row>> {
    let mut table = BTreeMap::new();
    for row in rows {
        let may_use = if row.cells[2..] == [ANYTHING, ANYTHING] {
            None
        } else {
            let mut listed = BTreeSet::new();
            for name in table::names(row, 2)?.into_iter().chain(table::names(row, 3)?) {
                ensure!(
                    !FOR_TESTS_ONLY.contains(&name.as_str()),
                    "line {}: {name} is for tests only",
                    row.line
                );
                ensure!(listed.insert(name.clone()), "line {}: {name} is listed twice", row.line);
            }
            Some(listed)
        };
        for name in table::names(row, 0)? {
            let line = row.line;
            ensure!(
                table.insert(name.clone(), may_use.clone()).is_none(),
                "line {line}: {name} has two rows"
            );
        }
    }
    for row in rows.iter().filter(|row| row.cells[2..] != [ANYTHING, ANYTHING]) {
        for (column, of_this_workspace) in [(2, true), (3, false)] {
            for name in table::names(row, column)? {
                let right = table.contains_key(&name) == of_this_workspace;
                ensure!(right, "line {}: {name} belongs in the other column", row.line);
            }
        }
    }
    Ok(table)
}

fn problems(packages: &[Package], table: &BTreeMap<String, Row>) -> Vec<String> {
    let members: BTreeMap<&str, &Package> = packages
        .iter()
        .filter(|package| package.member)
        .map(|package| (package.name.as_str(), package))
        .collect();
    let mut problems = Vec::new();
    for (name, package) in &members {
        match table.get(*name) {
            None => problems.push(format!("{name} has no row in the table")),
            Some(None) => {}
            Some(Some(may)) => problems.extend(compare(package, may)),
        }
    }
    let gone = table.keys().filter(|name| !members.contains_key(name.as_str()));
    problems
        .extend(gone.map(|name| format!("{name} has a row in the table and is no crate of this workspace")));
    problems
}

/// What a package uses and may not, and what it may use and does not.
fn compare(package: &Package, may: &BTreeSet<String>) -> Vec<String> {
    let name = &package.name;
    let needs: BTreeSet<&String> = package.needs.iter().collect();
    let listed = if may.is_empty() {
        "nothing".to_owned()
    } else {
        may.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    let stray = needs.iter().filter(|need| !may.contains(**need)).map(|need| {
        if FOR_TESTS_ONLY.contains(&need.as_str()) {
            format!("{name} uses {need}, which is for dev-dependencies only")
        } else {
            format!("{name} uses {need}; it may use: {listed}")
        }
    });
    let unused = may.iter().filter(|used| !needs.contains(used));
    stray
        .chain(unused.map(|used| format!("{name} may use {used} and does not: take it out of the row")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> anyhow::Result<BTreeMap<String, Row>> {
        let head = format!("| {} |\n| --- | --- | --- | --- |\n", HEADINGS.join(" | "));
        parse(&table::parse(&format!("{head}{text}"), &HEADINGS)?)
    }

    const SMALL: &str = "| `core` | | nothing | `thiserror` |\n| `linux` | | `core` | `nix` |\n\
                         | `daemon` | | `core`, `linux` | nothing |\n| `etmem-testkit`, `tests` | | anything | anything |\n";

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
        let as_listed: [(&str, &[&str]); 5] = [
            ("core", &["thiserror"]),
            ("linux", &["core", "nix"]),
            ("daemon", &["core", "linux"]),
            ("etmem-testkit", &["core", "linux", "anything"]),
            ("tests", &[]),
        ];
        for (name, needs, want) in [
            ("core", &["thiserror"][..], &[][..]),
            ("core", &["thiserror", "nix"], &["core uses nix; it may use: thiserror"]),
            ("core", &["thiserror", "linux"], &["core uses linux; it may use: thiserror"]),
            ("core", &[], &["core may use thiserror and does not: take it out of the row"]),
            (
                "linux",
                &["core", "nix", "etmem-testkit"],
                &["linux uses etmem-testkit, which is for dev-dependencies only"],
            ),
            ("stray", &["core"], &["stray has no row in the table"]),
        ] {
            let others = as_listed.iter().filter(|(other, _)| *other != name);
            let mut packages: Vec<Package> = others.map(|(name, needs)| member(name, needs)).collect();
            packages.push(member(name, needs));
            assert_eq!(problems(&packages, &table(SMALL).unwrap()), want, "{name} with {needs:?}");
        }
        let without_daemon: Vec<Package> = as_listed
            .iter()
            .filter(|(name, _)| *name != "daemon")
            .map(|(name, needs)| member(name, needs))
            .collect();
        assert_eq!(
            problems(&without_daemon, &table(SMALL).unwrap()),
            ["daemon has a row in the table and is no crate of this workspace"]
        );
    }

    #[test]
    fn what_crates_from_outside_use_is_their_own_affair() {
        let outside = Package { member: false, ..member("tokio", &["libc"]) };
        assert!(problems(&[outside], &BTreeMap::new()).is_empty());
    }

    #[test]
    fn a_faulty_row_is_named_by_its_line() {
        for (row, reason) in [
            ("| `a` | | `b`, `b` | nothing |", "line 3: b is listed twice"),
            ("| `a` | | `libc` | nothing |", "line 3: libc belongs in the other column"),
            (
                "| `a` | | nothing | `b` |\n| `b` | | nothing | nothing |",
                "line 3: b belongs in the other column",
            ),
            ("| `a` | | nothing | nothing |\n| `a` | | nothing | nothing |", "line 4: a has two rows"),
            ("| `a` | | `etmem-testkit` | nothing |", "line 3: etmem-testkit is for tests only"),
            ("| `a` | | all of these | nothing |", "line 3: \"all of these\" is not a name in backticks"),
            ("| a | | nothing | nothing |", "line 3: \"a\" is not a name in backticks"),
        ] {
            let error = table(row).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn only_the_daemon_has_a_runtime_and_only_few_touch_the_system() {
        let table = parse(&table::read(&project::root(), DOCUMENT, &HEADINGS).unwrap()).unwrap();
        let users = |wanted: &str| -> Vec<&str> {
            let uses = |row: &Row| row.as_ref().is_some_and(|listed| listed.contains(wanted));
            table.iter().filter(|(_, row)| uses(row)).map(|(name, _)| name.as_str()).collect()
        };
        assert_eq!(users("tokio"), ["etmemd"]);
        assert_eq!(users("nix"), ["etmem", "etmem-config", "etmem-plugin", "etmemd"]);
        assert_eq!(users("aya"), ["etmem-linux"]);
        assert_eq!(users("libloading"), ["etmem-plugin", "etmem-plugin-sdk"]);
    }
}
