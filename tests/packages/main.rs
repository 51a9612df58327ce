//! The packages, as data: which files they have and with what modes, what the tools of the distributions say of them, and
//! that they are made again the same; and the manifests for Kubernetes. `tests/vm_systemd` installs them.

mod built;
mod deb;
mod kubernetes;
mod rpm;

use std::process::ExitCode;

use etmem_testkit::laboratory::trial;
use etmem_testkit::machine::Need;
use etmem_testkit::trial::{for_soak, run_in_turn, trial_or_skip};

/// All of them, most of which are for building the packages.
const MINUTES: u32 = 9;

fn main() -> ExitCode {
    let deb = [Need::Program("dpkg-deb"), Need::Program("objcopy")];
    let rpm = [&deb[..], &[Need::Program("rpmbuild")]].concat();
    let lintian = [&deb[..], &[Need::Program("lintian")]].concat();
    let rpmlint = [&rpm[..], &[Need::Program("rpmlint")]].concat();
    let root = [&rpm[..], &[Need::Root, Need::Program("busybox")]].concat();
    let manifests = kubernetes::lacks();
    let trials = vec![
        trial_or_skip(&for_soak("debian_packages_have_the_files_of_the_table", MINUTES), &deb, deb::files),
        trial_or_skip(&for_soak("lintian_finds_no_error", MINUTES), &lintian, deb::lintian),
        trial_or_skip(
            &for_soak("the_same_programs_give_the_same_debian_packages", MINUTES),
            &deb,
            deb::twice,
        ),
        trial_or_skip(&for_soak("the_rpm_package_has_the_files_of_openeuler", MINUTES), &rpm, rpm::files),
        trial_or_skip(&for_soak("rpmlint_finds_no_error", MINUTES), &rpmlint, rpm::lint),
        trial_or_skip(&for_soak("the_same_programs_give_the_same_rpm_packages", MINUTES), &rpm, rpm::twice),
        trial_or_skip(&for_soak("the_rpm_package_installs_and_leaves", MINUTES), &root, rpm::installs),
        trial(
            &for_soak("the_manifests_fit_the_schemas_of_kubernetes", MINUTES),
            manifests.as_deref(),
            kubernetes::schemas,
        ),
        trial_or_skip(&for_soak("kustomize_finds_all_manifests", MINUTES), &[], kubernetes::kustomization),
    ];
    run_in_turn(trials.into_iter().map(|trial| trial.with_ignored_flag(true)).collect())
}
