//! The files of the scripted machine that are text, in the kernel's own words (proc(5)), and which there are.

use std::fmt::Write;

use super::machine::Machine;
use super::process::Process;
use super::script::{Modules, Moment, PAGE, PageSize, ScriptedMapping};

/// The kernel that the machine says it has.
const RELEASE: &str = "6.6.0-72.0.0.76.oe2403.x86_64";
/// Files of the machine.
const MACHINE: [&str; 6] = ["meminfo", "stat", "swaps", "uptime", "version", "vmstat"];
/// Settings of the machine, and their values.
const SETTINGS: [(&str, &str); 4] = [
    ("sys/kernel/osrelease", RELEASE),
    ("sys/kernel/pid_max", "4194304"),
    ("sys/vm/overcommit_memory", "0"),
    ("sys/vm/swappiness", "60"),
];
/// Text files of a process, and of each of its threads.
const OF_THREADS: [&str; 5] = ["children", "comm", "stat", "statm", "status"];
/// Text files of a process alone.
const OF_PROCESSES: [&str; 4] = ["cmdline", "maps", "smaps", "smaps_rollup"];

/// What is at a path below the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Folder,
    /// A text file.
    Text,
    /// `clear_refs`.
    ClearRefs,
    /// `idle_pages`.
    IdlePages,
    /// `pagemap`.
    Pagemap,
    /// `swap_pages`.
    SwapPages,
    /// `self`: the process that asks is none of the script's, so it is led to what the real kernel says of it.
    Oneself,
}

impl Machine {
    /// What is at `path`, if anything is.
    pub(super) fn node(&self, path: &str) -> Option<Node> {
        let settings = |path: &str| SETTINGS.iter().any(|(name, _)| name.starts_with(&format!("{path}/")));
        if path.is_empty() || settings(path) {
            return Some(Node::Folder);
        }
        if path == "self" {
            return Some(Node::Oneself);
        }
        if MACHINE.contains(&path) || SETTINGS.iter().any(|(name, _)| *name == path) {
            return Some(Node::Text);
        }
        let (pid, rest) = path.split_once('/').unwrap_or((path, ""));
        let number: u32 = pid.parse().ok().filter(|number: &u32| number.to_string() == pid)?;
        let process = self.processes.get(&number)?;
        if process.has_exited(self.moment(process)) {
            return None;
        }
        let modules = self.modules != Modules::Unknown;
        match rest {
            "" | "task" => Some(Node::Folder),
            "idle_pages" => modules.then_some(Node::IdlePages),
            "swap_pages" => modules.then_some(Node::SwapPages),
            "clear_refs" => Some(Node::ClearRefs),
            "pagemap" => Some(Node::Pagemap),
            "children" => None,
            file if OF_PROCESSES.contains(&file) || OF_THREADS.contains(&file) => Some(Node::Text),
            other => {
                let (thread, file) =
                    other.strip_prefix("task/")?.split_once('/').unwrap_or((&other[5..], ""));
                let known = file.is_empty() || OF_THREADS.contains(&file);
                let node = if file.is_empty() { Node::Folder } else { Node::Text };
                (thread == pid && known).then_some(node)
            }
        }
    }

    /// The names in the folder at `path`.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        if path.is_empty() {
            names.extend(MACHINE.map(String::from));
            names.extend(["self".into(), "sys".into()]);
            names.extend(self.pids().iter().map(u32::to_string));
            return names;
        }
        for (setting, _) in SETTINGS {
            if let Some(rest) = setting.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) {
                let name = rest.split('/').next().unwrap_or(rest);
                if !names.iter().any(|known| known == name) {
                    names.push(name.into());
                }
            }
        }
        let candidates = ["task", "idle_pages", "swap_pages", "clear_refs", "pagemap"];
        let own = path.split('/').next().unwrap_or(path);
        for name in candidates.iter().chain(&OF_THREADS).chain(&OF_PROCESSES).chain([&own]) {
            if self.node(&format!("{path}/{name}")).is_some() {
                names.push((*name).into());
            }
        }
        names
    }

    /// The text of the file at `path`; `None` if it is gone.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        if let Some((_, value)) = SETTINGS.iter().find(|(name, _)| *name == path) {
            return Some(format!("{value}\n"));
        }
        if MACHINE.contains(&path) {
            return Some(self.machine_text(path));
        }
        let (pid, rest) = path.split_once('/')?;
        let number: u32 = pid.parse().ok()?;
        let file = rest.rsplit('/').next()?;
        if file == "children" {
            let children = self.pids().into_iter().filter(|child| {
                self.processes.get(child).is_some_and(|process| process.script.parent == number)
            });
            return Some(children.map(|child| format!("{child} ")).collect());
        }
        let (process, now) = self.living(number)?;
        Some(process_text(process, file, now))
    }

    fn machine_text(&mut self, file: &str) -> String {
        let seconds = self.clock.now().as_secs_f64() + 1000.0;
        let mut resident = 0;
        let (mut moved, mut back) = (0, 0);
        for pid in self.pids() {
            let Some((process, now)) = self.living(pid) else { continue };
            resident += process.memory(now).0;
            moved += process.counts.paged_out;
            back += process.counts.came_back;
        }
        let swap_free = self.swap_free();
        let free = self.memory.saturating_sub(resident);
        let kib = |bytes: u64| bytes / 1024;
        match file {
            "meminfo" => {
                let mut text = String::new();
                for (name, bytes) in [
                    ("MemTotal", self.memory),
                    ("MemFree", free),
                    ("MemAvailable", free),
                    ("Buffers", 0),
                    ("Cached", 0),
                    ("SwapCached", self.swap_cached),
                    ("Active", resident),
                    ("Inactive", 0),
                    ("SwapTotal", self.swap),
                    ("SwapFree", swap_free),
                    ("AnonPages", resident),
                ] {
                    let _ = writeln!(text, "{:<15} {:>8} kB", format!("{name}:"), kib(bytes));
                }
                text
            }
            "swaps" => {
                let mut text = String::from("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
                if self.swap > 0 {
                    let used = self.swap - swap_free;
                    let _ = writeln!(
                        text,
                        "/dev/scripted                           partition\t{}\t\t{}\t\t-2",
                        kib(self.swap),
                        kib(used)
                    );
                }
                text
            }
            "vmstat" => {
                let pages = free / PAGE;
                format!("nr_free_pages {pages}\npswpin {back}\npswpout {moved}\npgmajfault {back}\n")
            }
            "uptime" => format!("{seconds:.2} {seconds:.2}\n"),
            "version" => format!("Linux version {RELEASE} (scripted)\n"),
            _ => {
                "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\nctxt 0\nbtime 1700000000\nprocesses 1\n"
                    .into()
            }
        }
    }
}

fn process_text(process: &Process, file: &str, now: Moment) -> String {
    let script = &process.script;
    let kib = |bytes: u64| bytes / 1024;
    let size: u64 = script.mappings.iter().map(|mapping| mapping.range().end - mapping.start).sum();
    let memory = || process.memory(now);
    match file {
        "comm" => format!("{}\n", script.comm),
        "cmdline" => format!("{}\0", script.comm),
        "maps" => script.mappings.iter().map(|mapping| line(mapping) + "\n").collect(),
        "smaps" => script.mappings.iter().map(|mapping| smaps(process, mapping, now)).collect(),
        "smaps_rollup" => {
            let (resident, out) = memory();
            format!(
                "{:08x}-{:08x} ---p 00000000 00:00 0                          [rollup]\n\
                 Rss:            {:>8} kB\nSwap:           {:>8} kB\n",
                script.mappings.first().map_or(0, |mapping| mapping.start),
                script.mappings.last().map_or(0, |mapping| mapping.range().end),
                kib(resident),
                kib(out)
            )
        }
        "statm" => {
            let (resident, _) = memory();
            format!("{} {} 0 0 0 {} 0\n", size / PAGE, resident / PAGE, size / PAGE)
        }
        "status" => {
            let (resident, out) = memory();
            format!(
                "Name:\t{}\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t{pid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{}\n\
                 TracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nVmPeak:\t{size:>8} kB\nVmSize:\t{size:>8} kB\n\
                 VmLck:\t       0 kB\nVmHWM:\t{:>8} kB\nVmRSS:\t{:>8} kB\nRssAnon:\t{:>8} kB\n\
                 RssFile:\t       0 kB\nRssShmem:\t       0 kB\nVmSwap:\t{:>8} kB\nThreads:\t1\n",
                script.comm,
                script.parent,
                kib(resident),
                kib(resident),
                kib(resident),
                kib(out),
                pid = script.pid,
                size = kib(size),
            )
        }
        // Field 12 counts the faults that had to fetch a page, 23 and 24 are its size and what of it is in memory.
        _ => format!(
            "{pid} ({}) S {} {pid} {pid} 0 -1 4194304 0 0 {} 0 0 0 0 0 20 0 1 0 {} {size} {} \
             18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
            script.comm,
            script.parent,
            process.counts.came_back,
            script.start_time,
            memory().0 / PAGE,
            pid = script.pid,
        ),
    }
}

/// A line of `maps`, without its end.
fn line(mapping: &ScriptedMapping) -> String {
    let range = mapping.range();
    let device = if mapping.inode == 0 { "00:00" } else { "fe:00" };
    let text = format!(
        "{:08x}-{:08x} {} 00000000 {device} {}",
        range.start, range.end, mapping.permissions, mapping.inode
    );
    if mapping.name.is_empty() { text + " " } else { format!("{text:<73}{}", mapping.name) }
}

fn smaps(process: &Process, mapping: &ScriptedMapping, now: Moment) -> String {
    let range = mapping.range();
    let out = process.swapped(mapping);
    let resident = process.present(mapping, now).saturating_sub(out);
    let largest = mapping.segments.iter().map(|segment| segment.size).find(|size| *size != PageSize::Base);
    let pool = mapping.is_of_pool();
    let page = if pool { largest.map_or(PAGE, PageSize::bytes) } else { PAGE };
    let huge: u64 = mapping
        .laid_out()
        .filter(|(_, segment)| segment.size == PageSize::Huge)
        .map(|(range, segment)| {
            let there: Vec<bool> = segment.texture.lives().iter().map(|life| life.is_there(now)).collect();
            let split: u64 = process.split_bytes(range);
            (segment.pages_of(&there) * segment.size.bytes()).saturating_sub(split)
        })
        .sum();
    let anonymous = if mapping.inode == 0 && !pool { resident } else { 0 };
    let mut text = line(mapping) + "\n";
    for (name, bytes) in [
        ("Size", range.end - range.start),
        ("KernelPageSize", page),
        ("MMUPageSize", page),
        ("Rss", if pool { 0 } else { resident }),
        ("Pss", if pool { 0 } else { resident }),
        ("Private_Dirty", if pool { 0 } else { resident }),
        ("Referenced", resident),
        ("Anonymous", anonymous),
        ("AnonHugePages", huge),
        ("Private_Hugetlb", if pool { resident } else { 0 }),
        ("Swap", out),
        ("SwapPss", out),
        ("Locked", if mapping.pinned { resident } else { 0 }),
    ] {
        let _ = writeln!(text, "{:<15} {:>8} kB", format!("{name}:"), bytes / 1024);
    }
    let permissions = mapping.permissions.as_bytes();
    let mut flags = String::new();
    for (at, letter, flag) in [(0, b'r', "rd "), (1, b'w', "wr "), (2, b'x', "ex "), (3, b's', "sh ")] {
        if permissions.get(at) == Some(&letter) {
            flags += flag;
        }
    }
    flags += "mr mw me ac ";
    flags += if pool { "ht " } else { "" };
    flags += if mapping.pinned { "lo " } else { "" };
    let _ = writeln!(text, "VmFlags: {flags}");
    text
}
