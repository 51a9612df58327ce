//! `/proc/PID/fd`: what a process has open.

use crate::root::ProcRoot;
use etmem_core::kernel::process::Pid;
use std::fs;
use std::path::Path;

/// Whether process `pid` runs a KVM guest, or has made ready to: it has `/dev/kvm` open, or a machine or processor of KVM
/// (`virt/kvm/kvm_main.c`). False if the kernel does not say.
pub(crate) fn runs_guest(proc: &ProcRoot, pid: Pid) -> bool {
    let Ok(entries) = fs::read_dir(proc.process(pid, "fd")) else { return false };
    let mut names = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    names.any(|name| is_of_kvm(&name))
}

fn is_of_kvm(name: &Path) -> bool {
    let text = name.as_os_str().as_encoded_bytes();
    text == b"/dev/kvm" || text.starts_with(b"anon_inode:kvm-")
}
