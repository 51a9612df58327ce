//! What this machine can run, and for each thing it cannot: why, and what would help.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::size;
use crate::swap;

/// Something a test needs of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To be root with every privilege of it.
    Root,
    /// Reading page tables by BPF.
    Bpf,
    /// This many bytes of swap, there or to be set up.
    Swap(usize),
    /// Exactly this much swap in bytes, and how much is added later.
    SwapAlone(usize, usize),
    /// No swap at all.
    NoSwap,
    /// This much memory that is available, in bytes.
    Memory(usize),
    /// A pid namespace with a `/proc` of its own, in which it can be said which number comes next.
    PidNamespace,
    /// A kernel that can merge equal pages of whole programs, and does not.
    Ksm,
    /// Mounting a scripted `/proc`.
    FakeProc,
    /// A program that can be found.
    Program(&'static str),
    /// A library with its headers that pkg-config can find.
    Package(&'static str),
}

/// Why the first of `needs` that this machine lacks is lacking; nothing if all are there.
pub fn lacks(needs: &[Need]) -> Option<String> {
    needs.iter().find_map(|need| match need {
        Need::Root => root(),
        Need::Bpf => bpf(Path::new("/")),
        Need::Swap(bytes) => swap::lacks(*bytes),
        Need::SwapAlone(bytes, more) => swap::lacks_alone(*bytes, *more),
        Need::NoSwap => no_swap(),
        Need::Memory(bytes) => memory(*bytes),
        Need::PidNamespace => pid_namespace(),
        Need::Ksm => ksm(Path::new("/")),
        Need::FakeProc => crate::fake::proc::lacks(),
        Need::Program(name) => program(name),
        Need::Package(name) => package(name),
    })
}

/// Where `name` is: in `PATH`, or where administrators' programs are.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(sbin).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// What of root's powers the daemon and the set-up of swap need (capability.h).
const POWERS: [(u32, &str); 6] = [
    (1, "CAP_DAC_OVERRIDE"),
    (19, "CAP_SYS_PTRACE"),
    (21, "CAP_SYS_ADMIN"),
    (23, "CAP_SYS_NICE"),
    (38, "CAP_PERFMON"),
    (39, "CAP_BPF"),
];

fn root() -> Option<String> {
    let effective = nix::unistd::geteuid();
    if !effective.is_root() {
        return Some(format!("not root but user {effective}: run it with sudo"));
    }
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    powerless(&read("/proc/self/uid_map"), &read("/proc/self/status"))
}

/// Why this root is none, by the map of its user namespace and its `/proc/PID/status`.
fn powerless(uid_map: &str, status: &str) -> Option<String> {
    if uid_map.split_whitespace().ne(["0", "0", "4294967295"]) {
        return Some("root of a user namespace only: run it as the machine's root".to_owned());
    }
    let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(u64::MAX);
    let lacking: Vec<&str> =
        POWERS.iter().filter(|(number, _)| bits >> number & 1 == 0).map(|(_, name)| *name).collect();
    (!lacking.is_empty())
        .then(|| format!("root without {}: run it outside of the container", lacking.join(", ")))
}

/// The files that tell are below `top`.
fn bpf(top: &Path) -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return Some(String::from("reading page tables by BPF is made for x86-64 only"));
    }
    if !top.join("sys/kernel/btf/vmlinux").exists() {
        return Some(String::from(
            "the kernel has no /sys/kernel/btf/vmlinux: boot one with CONFIG_DEBUG_INFO_BTF",
        ));
    }
    let lockdown = fs::read_to_string(top.join("sys/kernel/security/lockdown")).unwrap_or_default();
    let locked = lockdown.contains("[confidentiality]");
    locked.then(|| {
        String::from("the kernel is locked down for confidentiality: boot it with lockdown=integrity or none")
    })
}

/// The files that say so are below `top`.
fn ksm(top: &Path) -> Option<String> {
    let Ok(run) = fs::read_to_string(top.join("sys/kernel/mm/ksm/run")) else {
        return Some("the kernel has no /sys/kernel/mm/ksm: boot one with CONFIG_KSM".to_owned());
    };
    if run.trim() != "0" {
        return Some("KSM runs for another's sake".to_owned());
    }
    let profit = top.join("sys/kernel/mm/ksm/general_profit");
    (!profit.exists())
        .then(|| "the kernel cannot merge the memory of whole programs: boot Linux 6.4 or later".to_owned())
}

fn no_swap() -> Option<String> {
    // What another run of ours has set up goes before this one gets its turn.
    let names = swap::guard::foreign();
    (!names.is_empty())
        .then(|| format!("the machine has swap ({}), and this is about having none", names.join(", ")))
}

fn memory(bytes: usize) -> Option<String> {
    let available = memory_available();
    (available < bytes)
        .then(|| format!("{} of memory are available of {}", size::show(available), size::show(bytes)))
}

/// Says which number comes next in the reader's pid namespace.
pub const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// What starts a program in a pid namespace of its own, with a `/proc` of that, and lets it not outlive who started it.
pub const IN_PID_NAMESPACE: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];

fn pid_namespace() -> Option<String> {
    if let Some(missing) = program("unshare") {
        return Some(missing);
    }
    if !Path::new(LAST_PID).exists() {
        return Some(format!("there is no {LAST_PID}: boot a kernel with CONFIG_CHECKPOINT_RESTORE"));
    }
    let tried = Command::new("unshare").args(IN_PID_NAMESPACE).arg("true").output();
    match tried {
        Ok(tried) if tried.status.success() => None,
        Ok(tried) => {
            let said = String::from_utf8_lossy(&tried.stderr);
            Some(format!("no pid namespace can be had: {}", said.trim()))
        }
        Err(error) => Some(format!("no pid namespace can be had: {error}")),
    }
}

fn program(name: &str) -> Option<String> {
    find_program(name).is_none().then(|| format!("there is no {name}: make setup installs it"))
}

fn package(name: &str) -> Option<String> {
    let asked = Command::new("pkg-config").args(["--exists", name]).status();
    let found = asked.is_ok_and(|status| status.success());
    (!found).then(|| format!("pkg-config finds no {name} to compile with: make setup installs it"))
}

/// Memory that can be had without pushing anything out, in bytes; from `/proc/meminfo`.
pub fn memory_available() -> usize {
    meminfo("MemAvailable")
}

/// A size of `/proc/meminfo` in bytes; 0 where it is missing.
pub fn meminfo(key: &str) -> usize {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = value.and_then(|value| value.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0) << 10
}

/// A counter of `/proc/vmstat`; 0 where it is missing.
pub fn counter(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// The machine in one line: kernel, processors, memory.
pub fn describe() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("Linux {}, {processors} processors, {}", kernel.trim(), size::show(meminfo("MemTotal")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_what_would_help() {
        let missing = lacks(&[Need::Program("sh"), Need::Program("no-such-program")]).unwrap();
        assert!(missing.contains("no-such-program") && missing.contains("make setup"), "{missing}");
        assert_eq!(lacks(&[Need::Program("sh")]), None);
    }

    #[test]
    fn ksm_has_to_be_there_and_at_rest() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("sys/kernel/mm/ksm");
        assert!(ksm(top.path()).unwrap().contains("CONFIG_KSM"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("run"), "1\n").unwrap();
        assert!(ksm(top.path()).unwrap().contains("runs"));
        fs::write(folder.join("run"), "0\n").unwrap();
        assert!(ksm(top.path()).unwrap().contains("6.4"));
        fs::write(folder.join("general_profit"), "0\n").unwrap();
        assert_eq!(ksm(top.path()), None);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn bpf_needs_type_information_and_no_lockdown() {
        let top = tempfile::tempdir().unwrap();
        let kernel = top.path().join("sys/kernel");
        assert!(bpf(top.path()).unwrap().contains("btf"));
        fs::create_dir_all(kernel.join("btf")).unwrap();
        fs::write(kernel.join("btf/vmlinux"), "").unwrap();
        assert_eq!(bpf(top.path()), None);
        fs::create_dir_all(kernel.join("security")).unwrap();
        fs::write(kernel.join("security/lockdown"), "none integrity [confidentiality]\n").unwrap();
        assert!(bpf(top.path()).unwrap().contains("locked down"));
        fs::write(kernel.join("security/lockdown"), "none [integrity] confidentiality\n").unwrap();
        assert_eq!(bpf(top.path()), None);
    }

    #[test]
    fn root_is_not_always_root() {
        let own = "         0          0 4294967295\n";
        let status = |bits: &str| format!("Name:\tdemo\nCapPrm:\t0\nCapEff:\t{bits}\n");
        assert_eq!(powerless(own, &status("000001ffffffffff")), None);
        let contained = powerless(own, &status("00000000a80425fb")).unwrap();
        assert!(contained.contains("CAP_SYS_ADMIN, CAP_SYS_NICE, CAP_PERFMON, CAP_BPF"), "{contained}");
        let mapped = powerless("0 1000 1\n", &status("000001ffffffffff")).unwrap();
        assert!(mapped.contains("user namespace"), "{mapped}");
    }

    #[test]
    fn the_machine_has_memory() {
        assert!(meminfo("MemTotal") > memory_available());
        assert_eq!(meminfo("NoSuchKey"), 0);
    }
}
