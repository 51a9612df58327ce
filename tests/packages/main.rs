//! The packages, as data: which files they have and with what modes, what the tools of the distributions say of them, and
//! that they are made again the same; and the manifests for Kubernetes. `tests/vm_systemd` installs them.

mod built;
mod deb;
mod kubernetes;
mod rpm;

use std::process::ExitCode;

use etmem_testkit::laboratory::trial;
use etmem_testkit::machine::Need;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

fn main() -> ExitCode {
    let deb = [Need::Program("dpkg-deb"), Need::Program("objcopy")];
    let rpm = [&deb[..], &[Need::Program("rpmbuild")]].concat();
    let lintian = [&deb[..], &[Need::Program("lintian")]].concat();
    let rpmlint = [&rpm[..], &[Need::Program("rpmlint")]].concat();
    let root = [&rpm[..], &[Need::Root, Need::Program("busybox")]].concat();
    let manifests = kubernetes::lacks();
    run_in_turn(vec![
        trial_or_skip("debian_packages_have_the_files_of_the_table", &deb, deb::files),
        trial_or_skip("lintian_finds_no_error", &lintian, deb::lintian),
        trial_or_skip("the_same_programs_give_the_same_debian_packages", &deb, deb::twice),
        trial_or_skip("the_rpm_package_has_the_files_of_openeuler", &rpm, rpm::files),
        trial_or_skip("rpmlint_finds_no_error", &rpmlint, rpm::lint),
        trial_or_skip("the_same_programs_give_the_same_rpm_packages", &rpm, rpm::twice),
        trial_or_skip("the_rpm_package_installs_and_leaves", &root, rpm::installs),
        trial("the_manifests_fit_the_schemas_of_kubernetes", manifests.as_deref(), kubernetes::schemas),
        trial_or_skip("kustomize_finds_all_manifests", &[], kubernetes::kustomization),
    ])
}
