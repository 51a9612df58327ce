//! One scan of one process, by the best probe of this machine.

use crate::chain::Chain;
use crate::failure::Failure;
use crate::listing::{self, Listed};
use etmem_abi::{PageRefs, SCAN_AS_HUGE, SCAN_IGN_HOST, VMA_SCAN_FLAG};
use etmem_core::address::AddressRange;
use etmem_core::kernel::process::Pid;
use etmem_core::kernel::wishes::{ScanWishes, Wishes};
use etmem_linux::choice::Interfaces;
use etmem_linux::mapping::Mappings;
use etmem_linux::process::table::Processes;
use etmem_linux::root::{ProcRoot, Roots, SysRoot};
use std::ffi::c_int;
use std::io::BufReader;

/// Takes the place of `/proc`, for tests.
const PROC_ROOT: &str = "ETMEM_PROC_ROOT";

/// The state from `etmemd_scan_init` to `etmemd_scan_exit`.
#[derive(Debug)]
pub(crate) struct Scanner {
    processes: Processes,
    interfaces: Interfaces,
}

/// Where procfs is mounted. In a program with more rights than its user, the user cannot choose it.
fn proc_root() -> ProcRoot {
    // SAFETY: returns a number that the kernel set when the program was started.
    let is_privileged = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    let named = std::env::var_os(PROC_ROOT).filter(|path| !is_privileged && !path.is_empty());
    named.map_or_else(ProcRoot::default, ProcRoot::new)
}

/// The pid in `text`.
pub(crate) fn pid(text: &str) -> Result<Pid, Failure> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).and_then(Pid::new).ok_or_else(|| Failure::Argument {
        what: "pid",
        value: text.to_owned(),
        rule: "the number of a process",
    })
}

/// The flag that `text` is: two characters, as `VmFlags` of proc_pid_smaps(5) has them.
pub(crate) fn flag(text: &[u8]) -> Result<[u8; 2], Failure> {
    let flag = <[u8; 2]>::try_from(text).ok();
    flag.filter(|flag| !flag.iter().any(u8::is_ascii_whitespace)).ok_or_else(|| Failure::Argument {
        what: "a flag",
        value: String::from_utf8_lossy(text).into_owned(),
        rule: "two characters without a space",
    })
}

/// The addresses of a mapping, which ends after its start.
pub(crate) fn range(start: u64, end: u64) -> Result<AddressRange, Failure> {
    let range = AddressRange::new(start, end);
    if range.is_empty() {
        let value = format!("{start:x}-{end:x}");
        return Err(Failure::Argument {
            what: "a mapping",
            value,
            rule: "a range that ends after its start",
        });
    }
    Ok(range)
}

/// The mappings of `pid` that have all of `flags`.
pub(crate) fn mappings(pid: Pid, flags: &[[u8; 2]], anonymous_only: bool) -> Result<Vec<Listed>, Failure> {
    let file = Mappings::new(proc_root()).listing(pid, !flags.is_empty())?;
    listing::read(&mut BufReader::with_capacity(1 << 16, file), flags, anonymous_only)
}

/// The ranges in ascending order, without overlaps, and without addresses where no process has pages.
fn apart(mut ranges: Vec<AddressRange>) -> Vec<AddressRange> {
    ranges.retain(|range| i64::try_from(range.end).is_ok());
    ranges.sort_unstable();
    let mut out: Vec<AddressRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut().filter(|last| last.end >= range.start) {
            Some(last) => last.end = last.end.max(range.end),
            None => out.push(range),
        }
    }
    out
}

impl Scanner {
    pub(crate) fn new() -> Self {
        let roots = Roots { proc: proc_root(), sys: SysRoot::default() };
        Self { processes: Processes::new(roots.proc.clone()), interfaces: Interfaces::new(roots) }
    }

    /// Scans `ranges` of `pid` once and adds the pages to the list at `into`. If it fails, the list stays as it was.
    ///
    /// # Safety
    /// As [`Chain::merge_into`].
    pub(crate) unsafe fn scan(
        &self,
        pid: Pid,
        ranges: Vec<AddressRange>,
        flags: c_int,
        into: &mut *mut PageRefs,
    ) -> Result<(), Failure> {
        let scan = ScanWishes {
            only_marked: flags & VMA_SCAN_FLAG != 0,
            as_huge: flags & SCAN_AS_HUGE != 0,
            ignore_host: flags & SCAN_IGN_HOST != 0,
        };
        let process = self.processes.identify(pid)?;
        let (source, _) = self.interfaces.probe(&Wishes { scan, ..Wishes::default() })?;
        let mut probe = source.attach(process)?;
        let ranges = apart(ranges);
        let mut chain = Chain::new();
        probe.check(&ranges, &mut chain)?;
        if chain.is_cut_short {
            return Err(Failure::Memory);
        }
        // The accesses that were reported are cleared, as the module does on each read.
        probe.prepare(&ranges)?;
        // SAFETY: as the caller promises.
        unsafe { chain.merge_into(into) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_is_a_decimal_number() {
        for (text, want) in [("1", Some(1)), ("4194304", Some(4_194_304)), ("007", Some(7))] {
            assert_eq!(pid(text).ok().map(Pid::get), want, "{text}");
        }
        for text in ["", "0", "-1", "+1", " 1", "1 ", "x", "self", "1/../2", "99999999999"] {
            assert!(pid(text).unwrap_err().to_string().contains("number of a process"), "{text}");
        }
    }

    #[test]
    fn flag_has_two_characters() {
        assert_eq!(flag(b"ht").unwrap(), *b"ht");
        for text in [&b""[..], b"h", b"hts", b" h", b"h ", b"h\t", b"\n\n"] {
            assert!(flag(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn mapping_ends_after_its_start() {
        assert_eq!(range(0x1000, 0x3000).unwrap(), AddressRange::new(0x1000, 0x3000));
        for (start, end) in [(0, 0), (0x3000, 0x3000), (0x3000, 0x1000), (u64::MAX, 0)] {
            let failure = range(start, end).unwrap_err();
            let want =
                format!("a mapping is \"{start:x}-{end:x}\"; it must be a range that ends after its start");
            assert_eq!(failure.to_string(), want);
        }
    }

    #[test]
    fn overlapping_ranges_are_merged() {
        let range = AddressRange::new;
        let given = vec![range(8, 9), range(1, 3), range(2, 4), range(4, 6), range(u64::MAX - 1, u64::MAX)];
        assert_eq!(apart(given), [range(1, 6), range(8, 9)]);
    }
}
