//! `/proc/PID/maps`: the mappings of a process.
//!
//! Read line by line into one buffer: a process may have 60,000 mappings, and their names are of no use.

pub mod line;
pub(crate) mod numa_maps;

use crate::figures::bytes_of;
use crate::process::memory_files::{self, memory_file};
use crate::process::stat::{check_alive, process_error};
use crate::root::ProcRoot;
use etmem_core::address::AddressRange;
use etmem_core::kernel::mapping::{Mapping, MappingSource, VmFlag};
use etmem_core::kernel::process::{Pid, ProcessError, ProcessId};
use line::MapsLine;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// The mappings of the machine's processes.
#[derive(Debug, Clone)]
pub struct Mappings {
    proc: ProcRoot,
}

impl Mappings {
    /// The mappings of the processes whose procfs is at `proc`.
    #[must_use]
    pub fn new(proc: ProcRoot) -> Self {
        Self { proc }
    }

    /// The list of the mappings of `pid` as the kernel writes it, for those who need their names: `maps`, or `smaps`,
    /// which has their flags as well and takes the kernel much longer.
    ///
    /// # Errors
    /// What open(2) answers.
    pub fn listing(&self, pid: Pid, with_flags: bool) -> io::Result<File> {
        File::open(memory_file(&self.proc, pid, if with_flags { "smaps" } else { "maps" }))
    }

    /// The mappings of `process` with what they are called: a file, or what the kernel calls them in brackets, such as `[heap]`.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses.
    pub fn named(&self, process: ProcessId) -> Result<Vec<(Mapping, String)>, ProcessError> {
        let path = memory_file(&self.proc, process.pid, "maps");
        let failed = |error: &_| process_error(path.display().to_string(), error);
        let lines = BufReader::new(File::open(&path).map_err(|error| failed(&error))?).split(b'\n');
        let mut named = Vec::new();
        for line in lines {
            let line = line.map_err(|error| failed(&error))?;
            let name = MapsLine::parse(&line).map(|line| String::from_utf8_lossy(line.name).into_owned());
            named.extend(parse(&line).zip(name));
        }
        check_alive(&self.proc, process)?;
        Ok(named)
    }
}

impl MappingSource for Mappings {
    fn mappings(
        &self,
        process: ProcessId,
        flags: &[VmFlag],
        out: &mut Vec<Mapping>,
    ) -> Result<(), ProcessError> {
        // Both files begin a mapping with the same line; the second has more lines about each.
        let name = if flags.is_empty() { "maps" } else { "smaps" };
        // The first thread speaks for its process; only where it has no mappings, another is looked for.
        let first = self.proc.process(process.pid, name);
        let mut done = read(&first, flags, out);
        if out.is_empty() {
            let path = memory_file(&self.proc, process.pid, name);
            if path != first {
                done = read(&path, flags, out);
            }
        }
        done.and_then(|()| check_alive(&self.proc, process))
    }

    fn locked(&self, process: ProcessId, out: &mut Vec<AddressRange>) -> Result<(), ProcessError> {
        out.clear();
        let (path, status) = memory_files::status(&self.proc, process.pid);
        let status = status.map_err(|error| process_error(path.display().to_string(), &error))?;
        // The list with flags takes the kernel long: it is asked for only where there is anything to find.
        if bytes_of(&status, "VmLck").unwrap_or(0) > 0 {
            let mut mappings = Vec::new();
            self.mappings(process, &LOCKED, &mut mappings)?;
            out.extend(mappings.iter().map(|mapping| mapping.range));
        }
        Ok(())
    }
}

/// The mappings that the list at `path` has, of those with `flags`.
fn read(path: &Path, flags: &[VmFlag], out: &mut Vec<Mapping>) -> Result<(), ProcessError> {
    out.clear();
    let failed = |error: &_| process_error(path.display().to_string(), error);
    let mut lines = BufReader::new(File::open(path).map_err(|error| failed(&error))?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(|error| failed(&error))? == 0 {
            break;
        }
        if flags.is_empty() || !line::is_detail(&line) {
            out.push(parse(&line).ok_or_else(|| ProcessError::Refused {
                call: path.display().to_string(),
                reason: format!("line {number} is not a mapping as proc_pid_maps(5) describes it"),
            })?);
        } else if let Some(set) = line::flags(&line)
            && !flags.iter().all(|flag| line::has_flag(set, flag.letters()))
        {
            out.pop();
        }
    }
    Ok(())
}

/// The flag of locked mappings.
const LOCKED: [VmFlag; 1] = [VmFlag::LOCKED];

/// How the kernel names mappings of the pool of huge pages that have no file (`HUGETLB_ANON_FILE`, `include/linux/hugetlb.h`).
const HUGE_POOL: &[u8] = b"/anon_hugepage";

/// How the kernel names what a virtual machine monitor shares with each processor of its guest (`virt/kvm/kvm_main.c`,
/// `create_vcpu_fd`).
const GUEST_PROCESSOR: &[u8] = b"anon_inode:kvm-vcpu";

/// What the data path needs of a mapping's line.
fn parse(line: &[u8]) -> Option<Mapping> {
    let line = MapsLine::parse(line)?;
    Some(Mapping {
        range: line.range,
        writable: line.permissions[1] == b'w',
        executable: line.permissions[2] == b'x',
        shared: line.permissions[3] == b's',
        inode: line.inode,
        special: line::is_special(line.name),
        huge_pool: line.name.starts_with(HUGE_POOL),
        guest: line.name.starts_with(GUEST_PROCESSOR),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    #[test]
    fn lines() {
        let plain = Mapping {
            range: AddressRange::new(0x1000, 0x3000),
            writable: false,
            executable: false,
            shared: false,
            inode: 0,
            special: false,
            huge_pool: false,
            guest: false,
        };
        for (line, want) in [
            ("1000-3000 ---p 00000000 00:00 0 \n", plain),
            ("1000-3000 ---p 00000000 00:00 0\n", plain),
            (
                "1000-3000 rw-p 00000000 00:00 0                  [heap]\n",
                Mapping { writable: true, ..plain },
            ),
            ("1000-3000 rw-p 00000000 00:00 0   [anon:[vdso]]\n", Mapping { writable: true, ..plain }),
            (
                "1000-3000 r-xs 00001000 fe:01 4711  /a b/[vdso]\n",
                Mapping { executable: true, shared: true, inode: 4711, ..plain },
            ),
            (
                "1000-3000 rw-p 00000000 00:0f 35 /anon_hugepage (deleted)\n",
                Mapping { writable: true, inode: 35, huge_pool: true, ..plain },
            ),
            (
                "1000-3000 rw-s 00000000 00:0e 1 anon_inode:kvm-vcpu:0\n",
                Mapping { writable: true, shared: true, inode: 1, guest: true, ..plain },
            ),
            ("1000-3000 r--p 00000000 00:00 0  [vvar]\n", Mapping { special: true, ..plain }),
            ("1000-3000 r--p 00000000 00:00 0  [vvar_vclock]\n", Mapping { special: true, ..plain }),
            (
                "1000-3000 r-xp 00000000 00:00 0  [vdso]\n",
                Mapping { executable: true, special: true, ..plain },
            ),
            (
                "1000-3000 --xp 00000000 00:00 0  [uprobes]\n",
                Mapping { executable: true, special: true, ..plain },
            ),
            (
                "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n",
                Mapping {
                    range: AddressRange::new(0xffff_ffff_ff60_0000, 0xffff_ffff_ff60_1000),
                    executable: true,
                    special: true,
                    ..plain
                },
            ),
        ] {
            assert_eq!(parse(line.as_bytes()), Some(want), "{line:?}");
        }
        for bad in [
            "",
            "\n",
            "1000 rw-p 00000000 00:00 0\n",
            "1000-1000 rw-p 00000000 00:00 0\n",
            "3000-1000 rw-p 00000000 00:00 0\n",
            "1000-3000 rw- 00000000 00:00 0\n",
            "1000-3000 rw-p 00000000 00:00\n",
            "1000-3000 rw-p 00000000 00:00 x\n",
            "1000-10000000000000000 rw-p 00000000 00:00 0\n",
            "+1000-3000 rw-p 00000000 00:00 0\n",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(line: Vec<u8>) {
            if let Some(mapping) = parse(&line) {
                prop_assert!(!mapping.range.is_empty());
            }
        }
    }

    #[test]
    fn only_mappings_with_all_flags() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("7");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("stat"), "7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n").unwrap();
        let mut text = String::new();
        for (start, flags) in
            [(0x1000, "rd wr mr mw me ac "), (0x3000, "rd mr ht"), (0x5000, "wr ht rdx"), (0x7000, "")]
        {
            write!(
                text,
                "{start:x}-{:x} rw-p 00000000 00:00 0    /a: b\nSize:    4 kB\nRss:   4 kB\nVmFlags: {flags}\n",
                start + 0x1000
            )
            .unwrap();
        }
        std::fs::write(folder.join("smaps"), &text).unwrap();
        let source = Mappings::new(ProcRoot::new(tree.path()));
        let process = ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 };
        for (flags, want) in [
            (&["rd"][..], &[0x1000, 0x3000][..]),
            (&["rd", "ht"], &[0x3000]),
            (&["wr"], &[0x1000, 0x5000]),
            (&["ht", "wr"], &[0x5000]),
            (&["io"], &[]),
        ] {
            let wanted: Vec<VmFlag> = flags.iter().map(|flag| VmFlag::new(flag).unwrap()).collect();
            let mut out = Vec::new();
            source.mappings(process, &wanted, &mut out).unwrap();
            let starts: Vec<u64> = out.iter().map(|mapping| mapping.range.start).collect();
            assert_eq!(starts, want, "{flags:?}");
        }
        std::fs::write(folder.join("smaps"), "1000-2000 rw-p 0 0:0 0\nVmFlags: rd\nnonsense\n").unwrap();
        let error = source.mappings(process, &[VmFlag::new("rd").unwrap()], &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    }

    #[test]
    fn locked_ranges_are_looked_for_only_where_there_are_any() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("7");
        std::fs::create_dir(&folder).unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).unwrap();
        write("stat", "7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n");
        let source = Mappings::new(ProcRoot::new(tree.path()));
        let process = ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 };
        let mut out = vec![AddressRange::new(1, 2)];
        assert_eq!(source.locked(process, &mut out), Err(ProcessError::Exited));
        write("status", "VmLck:\t       0 kB\n");
        source.locked(process, &mut out).unwrap();
        assert_eq!(out, [], "and there is no smaps to read");
        write("status", "VmLck:\t       4 kB\n");
        write("smaps", "1000-2000 rw-p 0 0:0 0\nVmFlags: rd wr lo\n3000-4000 rw-p 0 0:0 0\nVmFlags: rd wr\n");
        source.locked(process, &mut out).unwrap();
        assert_eq!(out, [AddressRange::new(0x1000, 0x2000)]);
    }

    #[test]
    fn many_mappings_of_a_fixture() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("7")).unwrap();
        std::fs::write(tree.path().join("7/stat"), "7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n")
            .unwrap();
        let mut text = String::new();
        for number in 0..60_000u64 {
            let start = number * 0x3000;
            writeln!(text, "{start:x}-{:x} rw-p 00000000 00:00 0 ", start + 0x2000).unwrap();
        }
        std::fs::write(tree.path().join("7/maps"), &text).unwrap();
        let source = Mappings::new(ProcRoot::new(tree.path()));
        let process = ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 };
        let mut out = Vec::new();
        source.mappings(process, &[], &mut out).unwrap();
        assert_eq!(out.len(), 60_000);
        assert!(out.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
        let later = ProcessId { start_time: 6, ..process };
        assert_eq!(source.mappings(later, &[], &mut out), Err(ProcessError::Exited));
        std::fs::write(tree.path().join("7/maps"), "1000-2000 rw-p 0 0:0 0\nnonsense\n").unwrap();
        let error = source.mappings(process, &[], &mut out).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        std::fs::remove_dir_all(tree.path().join("7")).unwrap();
        assert_eq!(source.mappings(process, &[], &mut out), Err(ProcessError::Exited));
    }
}
