//! KVM guests: what sees their memory, and whether they protect themselves.

use super::finding::{Finding, Severity};
use super::text::{line_of, numbered};
use crate::choice::Interfaces;
use crate::process::descriptors::runs_guest;
use crate::root::Roots;
use etmem_core::kernel::process::Pid;
use etmem_core::kernel::wishes::Wishes;
use std::fs;

const NAME: &str = "guests";

/// Properties of a balloon that QEMU leaves off, each with what it is good for.
const PROPERTIES: [&str; 2] = ["free-page-reporting", "deflate-on-oom"];

/// The guests that run now, if any does.
pub(super) fn guests(roots: &Roots) -> Option<Finding> {
    let guests: Vec<String> = numbered(roots.proc.path(), "")
        .into_iter()
        .filter_map(|(pid, folder)| {
            let number = Pid::new(pid)?;
            runs_guest(&roots.proc, number).then(|| {
                let command = fs::read(folder.join("cmdline")).unwrap_or_default();
                let name = line_of(&folder.join("comm")).unwrap_or_default();
                format!("pid {pid} ({name}): {}", balloon(&String::from_utf8_lossy(&command)))
            })
        })
        .collect();
    if guests.is_empty() {
        return None;
    }
    let state = |word: &str| format!("{} KVM guests run; {word}", guests.len());
    let lacks = guests.iter().any(|line| line.contains(" off"));
    let finding = match Interfaces::new(roots.clone()).probe(&Wishes { guest: true, ..Wishes::default() }) {
        Ok((_, probe)) => Finding::ok(NAME, state(&format!("tracker {} sees what they touch", probe.name))),
        Err(unavailable) => Finding::ok(NAME, state("nothing sees what they touch"))
            .but(Severity::Note, format!("tasks of slide and cslide refuse them: {unavailable}"))
            .helped_by(unavailable.remedy()),
    };
    let finding = finding.with(guests);
    if !lacks || finding.severity != Severity::Ok {
        return Some(finding);
    }
    let reason = "free page reporting gives the host what a guest has freed, at once and without a daemon; deflate-on-oom gives a \
                  guest back what is in its balloon before it kills a program";
    let remedy = "-device virtio-balloon-pci,free-page-reporting=on,deflate-on-oom=on, see docs/vm-hosts.md";
    Some(finding.but(Severity::Note, reason).helped_by(remedy))
}

/// What the command line of a QEMU says of its balloon.
fn balloon(command: &str) -> String {
    let Some(device) = command.split('\0').find(|word| word.contains("virtio-balloon")) else {
        return "no virtio-balloon by its command line".to_owned();
    };
    let is_on = |property: &str| {
        let plain = format!("{property}=on");
        let json = format!("\"{property}\":true");
        device.contains(&plain) || device.contains(&json) || device.contains(&format!("{property}=true"))
    };
    let each =
        PROPERTIES.map(|property| format!("{property} {}", if is_on(property) { "on" } else { "off" }));
    format!("balloon with {}", each.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{ProcRoot, SysRoot};
    use std::os::unix::fs::symlink;

    #[test]
    fn guests_are_listed_with_what_their_balloons_lack() {
        let tree = tempfile::tempdir().unwrap();
        let proc = tree.path().join("proc");
        let roots = Roots { proc: ProcRoot::new(&proc), sys: SysRoot::new(tree.path().join("sys")) };
        let process = |pid: &str, file: &str, command: &str| {
            let fd = proc.join(pid).join("fd");
            fs::create_dir_all(&fd).unwrap();
            symlink(file, fd.join("9")).unwrap();
            fs::write(proc.join(pid).join("comm"), "qemu-system-x86\n").unwrap();
            fs::write(proc.join(pid).join("cmdline"), command.replace(' ', "\0")).unwrap();
        };
        process("7", "/dev/null", "qemu -device virtio-balloon-pci");
        assert_eq!(guests(&roots), None);
        process("8", "anon_inode:kvm-vm", "qemu -device virtio-balloon-pci,id=b,deflate-on-oom=on -m 1G");
        process("9", "/dev/kvm", "qemu -m 1G");
        process(
            "10",
            "/dev/kvm",
            r#"qemu -device {"driver":"virtio-balloon-pci","free-page-reporting":true}"#,
        );
        let finding = guests(&roots).unwrap();
        assert_eq!(
            finding.details,
            [
                "pid 8 (qemu-system-x86): balloon with free-page-reporting off, deflate-on-oom on",
                "pid 9 (qemu-system-x86): no virtio-balloon by its command line",
                "pid 10 (qemu-system-x86): balloon with free-page-reporting on, deflate-on-oom off",
            ]
        );
        // Files are no procfs, so no probe is to be had.
        assert_eq!(finding.state, "3 KVM guests run; nothing sees what they touch");
        assert_eq!(finding.severity, Severity::Note);
    }
}
