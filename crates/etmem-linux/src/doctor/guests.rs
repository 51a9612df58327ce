//! KVM guests: what sees their memory, and whether they protect themselves.

use super::finding::{Finding, Severity};
use super::text::{line_of, numbered};
use crate::choice::Interfaces;
use crate::process::descriptors::runs_guest;
use crate::root::Roots;
use etmem_core::kernel::process::Pid;
use etmem_core::kernel::wishes::Wishes;
use std::fmt;
use std::fs;

const NAME: &str = "guests";

/// Properties of a balloon that QEMU leaves off, each with what it is good for.
const PROPERTIES: [&str; 2] = ["free-page-reporting", "deflate-on-oom"];

/// The guests that run now, if any does.
pub(super) fn guests(roots: &Roots) -> Option<Finding> {
    let mut lacks = false;
    let guests: Vec<String> = numbered(roots.proc.path(), "")
        .into_iter()
        .filter_map(|(pid, folder)| {
            let number = Pid::new(pid)?;
            runs_guest(&roots.proc, number).then(|| {
                let command = fs::read(folder.join("cmdline")).unwrap_or_default();
                let name = line_of(&folder.join("comm")).unwrap_or_default();
                let balloon = Balloon::of(&String::from_utf8_lossy(&command));
                lacks |= balloon.lacks();
                format!("pid {pid} ({name}): {balloon}")
            })
        })
        .collect();
    if guests.is_empty() {
        return None;
    }
    let state = |word: &str| format!("{} KVM guests run; {word}", guests.len());
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

/// What the command line of a QEMU says of its balloon: whether each of [`PROPERTIES`] is on, if it has one.
struct Balloon(Option<[bool; PROPERTIES.len()]>);

impl Balloon {
    fn of(command: &str) -> Self {
        let device = command.split('\0').find(|word| word.contains("virtio-balloon"));
        Self(device.map(|device| {
            PROPERTIES.map(|property| {
                let ways =
                    [format!("{property}=on"), format!("{property}=true"), format!("\"{property}\":true")];
                ways.iter().any(|way| device.contains(way))
            })
        }))
    }

    fn lacks(&self) -> bool {
        self.0.is_some_and(|on| on.contains(&false))
    }
}

impl fmt::Display for Balloon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(on) = self.0 else { return f.write_str("no virtio-balloon by its command line") };
        f.write_str("balloon with ")?;
        for (number, (property, on)) in PROPERTIES.into_iter().zip(on).enumerate() {
            let (comma, state) = (if number == 0 { "" } else { ", " }, if on { "on" } else { "off" });
            write!(f, "{comma}{property} {state}")?;
        }
        Ok(())
    }
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
