//! Swap devices, their room, and zswap, which compresses pages before they reach a device.

use super::finding::{Finding, Severity};
use super::text::{line_of, number, printable, size};
use crate::figures::bytes_of;
use crate::root::{ProcRoot, SysRoot};
use crate::swap_stuck::SwapStuck;
use std::fs;

/// From this percentage of swap in use on, it is nearly full.
const NEARLY_FULL: u64 = 80;

/// A line of `/proc/swaps`.
#[derive(Debug, PartialEq, Eq)]
struct Device {
    path: String,
    kind: String,
    /// In bytes.
    size: u64,
    used: u64,
    priority: String,
}

impl Device {
    /// Reads a line: path, kind, size and use in KiB, priority.
    fn parse(line: &[u8]) -> Option<Self> {
        let line =
            printable(&line.iter().map(|byte| if *byte == b'\t' { b' ' } else { *byte }).collect::<Vec<_>>());
        let mut words = line.split_whitespace();
        let [path, kind, size, used, priority] = std::array::from_fn(|_| words.next());
        let bytes = |kib: &str| kib.parse::<u64>().ok()?.checked_mul(1024);
        Some(Self {
            path: path?.to_owned(),
            kind: kind?.to_owned(),
            size: bytes(size?)?,
            used: bytes(used?)?,
            priority: priority?.to_owned(),
        })
    }

    /// Its name as a block device, if it is compressed memory.
    fn zram(&self) -> Option<&str> {
        let name = self.path.strip_prefix("/dev/")?;
        name.starts_with("zram").then_some(name)
    }

    fn show(&self, sys: &SysRoot) -> String {
        let Self { path, kind, size: bytes, used, priority } = self;
        let compressed = self.zram().map_or_else(String::new, |name| {
            let algorithms = line_of(&sys.file(&format!("block/{name}/comp_algorithm"))).unwrap_or_default();
            let chosen = algorithms.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            let state = line_of(&sys.file(&format!("block/{name}/mm_stat"))).unwrap_or_default();
            let mut state = state.split_whitespace().skip(2).map(|word| word.parse::<u64>().unwrap_or(0));
            let (used, limit) = (state.next().unwrap_or(0), state.next().unwrap_or(0));
            let limit = if limit == 0 {
                String::new()
            } else {
                format!(", takes {} of memory, mem_limit {}", size(used), size(limit))
            };
            let chosen = chosen.map_or_else(String::new, |(name, _)| format!(" by {name}"));
            format!(", compressed memory{chosen}{limit}")
        });
        let free = size(bytes.saturating_sub(*used));
        format!("{path}: {kind}{compressed}, {}, {free} free, priority {priority}", size(*bytes))
    }
}

/// The devices, and zswap.
pub(super) fn swap(proc: &ProcRoot, sys: &SysRoot) -> Vec<Finding> {
    let file = proc.machine("swaps");
    let Ok(text) = fs::read(&file) else {
        let finding = Finding::ok("swap", "none")
            .but(
                Severity::Error,
                format!("{}: missing; this kernel has no swap, so nothing can be moved out", file.display()),
            )
            .helped_by("a kernel built with CONFIG_SWAP=y");
        return vec![finding, zswap(sys, &[])];
    };
    let lines = text.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty());
    let devices: Vec<Device> = lines.filter_map(Device::parse).collect();
    vec![stuck(room(&devices, sys), proc), zswap(sys, &devices)]
}

/// `finding`, unless writes to swap fail.
fn stuck(finding: Finding, proc: &ProcRoot) -> Finding {
    let meminfo = fs::read(proc.machine("meminfo")).unwrap_or_default();
    let cached = bytes_of(&meminfo, "SwapCached").unwrap_or(0);
    match SwapStuck::new(proc.clone()).bytes(cached, 0) {
        0 => finding,
        bytes => finding
            .but(
                Severity::Warning,
                format!(
                    "writes to it fail: {} that were moved out are still in memory, in the swap cache",
                    size(bytes)
                ),
            )
            .helped_by(
                "see dmesg; mend the device or make room for its file, then swapoff and swapon, or add other swap",
            ),
    }
}

fn room(devices: &[Device], sys: &SysRoot) -> Finding {
    const NAME: &str = "swap";
    const MORE: &str = "add swap (swapon), or stop what fills it";
    if devices.is_empty() {
        return Finding::ok(NAME, "none")
            .but(Severity::Error, "without swap no page of a program's own memory can leave")
            .helped_by("add some: a partition or file (mkswap, swapon), or compressed memory (zram)");
    }
    let sum = |of: fn(&Device) -> u64| devices.iter().map(of).fold(0, u64::saturating_add);
    let (all, used) = (sum(|device| device.size), sum(|device| device.used));
    let free = all.saturating_sub(used);
    let finding = Finding::ok(
        NAME,
        format!("{} in {}, {} free", size(all), number(devices.len(), "device"), size(free)),
    )
    .with(devices.iter().map(|device| device.show(sys)).collect());
    let percent = used.saturating_mul(100).checked_div(all).unwrap_or(100);
    if free == 0 {
        finding
            .but(Severity::Warning, "it is full: nothing can be moved out until there is room")
            .helped_by(MORE)
    } else if percent >= NEARLY_FULL {
        finding
            .but(Severity::Warning, format!("{percent} % of it is used: little more can be moved out"))
            .helped_by(MORE)
    } else {
        finding
    }
}

/// The kernel's own compression before swap devices.
fn zswap(sys: &SysRoot, devices: &[Device]) -> Finding {
    const NAME: &str = "zswap";
    let switch = sys.file("module/zswap/parameters/enabled");
    match line_of(&switch).as_deref() {
        None => Finding::ok(NAME, "none: the kernel does not have it"),
        Some("Y" | "1") => {
            let finding = Finding::ok(NAME, "enabled");
            match devices.iter().find(|device| device.zram().is_some()) {
                Some(zram) => finding
                    .but(
                        Severity::Warning,
                        format!("it compresses pages before {}, which compresses them again", zram.path),
                    )
                    .helped_by(format!("echo N > {}, or boot with zswap.enabled=0", switch.display())),
                None if devices.is_empty() => finding,
                None => finding.but(
                    Severity::Note,
                    "pages that leave are compressed into memory first, so less memory becomes free than leaves",
                ),
            }
        }
        Some(_) => Finding::ok(NAME, "off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_swaps() {
        let line = b"/dev/zram0                              partition\t1048572\t\t512\t\t-2";
        let device = Device::parse(line).unwrap();
        assert_eq!((device.size, device.used, device.zram()), (1_048_572 << 10, 512 << 10, Some("zram0")));
        let file = Device::parse(b"/a\\040b file 8 4 5").unwrap();
        assert_eq!((file.path.as_str(), file.zram()), ("/a\\040b", None));
        for bad in [&b""[..], b"/dev/sda", b"/dev/sda partition x 0 1", b"/d p 99999999999999999999 0 1"] {
            assert_eq!(Device::parse(bad), None);
        }
    }
}
