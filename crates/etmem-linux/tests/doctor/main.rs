//! What is found on machines that are folders of files.
//!
//! Each folder of `cases` is laid over `cases/base`, a stock machine, of which its file `gone` names what it lacks. Its
//! file `expected` holds the findings that differ from those of the base, whose own file holds all of them. After a change
//! that is meant, `ETMEM_WRITE_EXPECTED=1 cargo test -p etmem-linux --test doctor` writes them again, to be read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use etmem_linux::doctor::{DoctorReport, examine};
use etmem_linux::root::{ProcRoot, Roots, SysRoot};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const BASE: &str = "base";

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/cases")
}

fn lay_over(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            lay_over(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What is found in `case`, its paths as if it was the machine itself.
fn found(case: &str) -> (DoctorReport, Vec<String>) {
    let tree = tempfile::tempdir().unwrap();
    lay_over(&cases().join(BASE), tree.path());
    let folder = cases().join(case);
    for gone in fs::read_to_string(folder.join("gone")).unwrap_or_default().lines() {
        let path = tree.path().join(gone);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    lay_over(&folder, tree.path());
    let root = |name: &str| tree.path().join(name);
    let roots = Roots { proc: ProcRoot::new(root("proc")), sys: SysRoot::new(root("sys")) };
    let report = examine(&roots);
    let top = tree.path().to_str().unwrap();
    // If no file says otherwise, the processors are this machine's.
    let shown = |text: String| text.replace(top, "").replace(std::env::consts::ARCH, "x86_64");
    let texts = report.findings.iter().map(|finding| shown(finding.to_string()));
    let texts = texts.collect();
    (report, texts)
}

fn expected(case: &str) -> String {
    fs::read_to_string(cases().join(case).join("expected")).unwrap_or_default()
}

#[test]
fn every_case() {
    let (_, base) = found(BASE);
    let mut wrong = Vec::new();
    let mut names: Vec<String> = fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    for case in names {
        let (_, texts) = found(&case);
        let differing = texts.iter().filter(|text| case == BASE || !base.contains(text));
        let text: String = differing.map(|text| format!("{text}\n")).collect();
        if std::env::var_os("ETMEM_WRITE_EXPECTED").is_some() {
            fs::write(cases().join(&case).join("expected"), &text).unwrap();
        }
        if text != expected(&case) {
            wrong.push(format!("{case}: found\n{text}instead of\n{}", expected(&case)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_tell_findings_apart() {
    for case in [BASE, "openeuler", "nothing"] {
        let (report, _) = found(case);
        let names: BTreeSet<&str> = report.findings.iter().map(|finding| finding.name.as_str()).collect();
        assert_eq!(names.len(), report.findings.len(), "{names:?}");
    }
}

#[test]
fn whatever_is_wrong_has_a_reason() {
    for entry in fs::read_dir(cases()).unwrap() {
        let (report, _) = found(entry.unwrap().file_name().to_str().unwrap());
        for finding in report.findings {
            let is_well = finding.severity == etmem_linux::doctor::Severity::Ok;
            assert_eq!(finding.reason.is_none(), is_well, "{finding}");
        }
    }
}

/// The real one: whatever it lacks, what is always there is found.
#[test]
fn this_machine() {
    let report = examine(&Roots::default());
    let state = |name: &str| &report.findings.iter().find(|finding| finding.name == name).unwrap().state;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(state("kernel").contains(release.trim()), "{report}");
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    assert_eq!(state("swap") == "none", swaps.lines().count() < 2, "{report}");
    assert!(report.to_string().ends_with(&format!("error {}\n", report.counts().iter().last().unwrap().1)));
}
