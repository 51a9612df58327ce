//! `/proc/PID/stat`: which process it is.
//!
//! Parsed from bytes by hand: `comm` may hold spaces, parentheses and bytes that are not UTF-8, and the table
//! reads this file of every process on the machine. Fields: proc_pid_stat(5).

use crate::root::ProcRoot;
use crate::small_file;
use crate::unavailable::Unavailable;
use etmem_core::kernel::process::{Pid, ProcessError, ProcessId};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

/// PF_KTHREAD (`include/linux/sched.h`).
const KERNEL_THREAD: u32 = 0x0020_0000;

/// PF_EXITING (`include/linux/sched.h`): set before the process gives up its memory (`do_exit`, kernel/exit.c).
const EXITING: u32 = 0x0000_0004;

/// What is used of a process's `stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat<'a> {
    /// Its number.
    pub(crate) pid: Pid,
    /// The first 15 bytes of its program's name.
    pub(crate) comm: &'a [u8],
    state: u8,
    /// The process that started it, or the one that took it over; 0 for none.
    pub(crate) parent: u32,
    flags: u32,
    major_faults: u64,
    threads: u64,
    start_time: u64,
}

impl<'a> Stat<'a> {
    /// Reads the text of a `stat` file; `None` if it is not one.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let open = text.iter().position(|&byte| byte == b'(')?;
        let close = text.iter().rposition(|&byte| byte == b')')?;
        let comm = text.get(open + 1..close)?;
        let mut fields =
            text.get(close + 1..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        // Field 3 is the first after the name.
        let state = *fields.next()?.first()?;
        let parent = number(fields.next()?)?;
        let flags = number(fields.nth(4)?)?;
        // Field 12 here, 20 and 22 next.
        let major_faults = number(fields.nth(2)?)?;
        let threads = number(fields.nth(7)?)?;
        let start_time = number(fields.nth(1)?)?;
        let pid = Pid::new(u32::try_from(number(text.get(..open)?.trim_ascii())?).ok()?)?;
        Some(Self {
            pid,
            comm,
            state,
            parent: u32::try_from(parent).ok()?,
            flags: u32::try_from(flags).ok()?,
            major_faults,
            threads,
            start_time,
        })
    }

    /// The process for as long as it lives.
    pub(crate) fn id(&self) -> ProcessId {
        ProcessId { pid: self.pid, start_time: self.start_time }
    }

    /// Whether it is a thread of the kernel's own, without memory.
    pub(crate) fn is_kernel_thread(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }

    /// Whether it has ended and only waits for its parent to notice. A process whose first thread has ended runs for as long as
    /// another of its threads does.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_zombie() && self.threads <= 1
    }

    /// Whether its first thread has ended: then its memory is found by another thread only, if there is one.
    pub(crate) fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Whether it is on its way out: it has given up its memory, or is about to, and may not be a zombie yet.
    fn is_exiting(&self) -> bool {
        self.flags & EXITING != 0
    }
}

/// A number for the program of the process whose `stat` is `text`: where its code begins and ends, and its stack begins. `None` if the
/// kernel does not tell, as for a process that the caller may not trace.
pub(crate) fn program(text: &[u8]) -> Option<u64> {
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let fields = text.get(close + 1..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    // Fields 26 to 28; the first after the name is 3.
    let addresses: Vec<u64> = fields.skip(23).take(3).map_while(number).collect();
    if addresses.len() < 3 || addresses.contains(&0) {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    addresses.hash(&mut hasher);
    Some(hasher.finish())
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether an error of a file of a process means that the process is gone.
pub(crate) fn means_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// What an error of a process's file or call is to its caller.
pub(crate) fn process_error(call: impl Into<String>, error: &io::Error) -> ProcessError {
    if means_gone(error) {
        ProcessError::Exited
    } else {
        ProcessError::Refused { call: call.into(), reason: error.to_string() }
    }
}

/// Checks that `proc` numbers processes as system calls do: not so in a container that was given the host's procfs.
///
/// # Errors
/// Says what to do.
pub(crate) fn check_own_pid(proc: &ProcRoot) -> Result<(), Unavailable> {
    let path = proc.own("stat");
    let call = path.display().to_string();
    let text = small_file::read_record(&path)
        .map_err(|error| Unavailable::Refused { call: call.clone(), reason: error.to_string() })?;
    if Stat::parse(&text).is_some_and(|stat| stat.pid.get() == std::process::id()) {
        return Ok(());
    }
    let reason = "is of another pid namespace than this program; run both in the same".to_owned();
    Err(Unavailable::Refused { call, reason })
}

/// Checks that `process` still lives under its pid.
///
/// A pid that still has its process has had it all the time since `process` was made: what was opened by number
/// in between belongs to it.
///
/// # Errors
/// [`ProcessError::Exited`] where it ended or its pid belongs to another process.
pub(crate) fn check_alive(proc: &ProcRoot, process: ProcessId) -> Result<(), ProcessError> {
    alive(proc, process).map(drop)
}

/// The same; gives the major faults of the process since its start.
///
/// # Errors
/// As `check_alive`.
pub(crate) fn alive(proc: &ProcRoot, process: ProcessId) -> Result<u64, ProcessError> {
    with_stat(
        proc,
        process,
        |stat| {
            if stat.has_ended() { Err(ProcessError::Exited) } else { Ok(stat.major_faults) }
        },
    )
}

/// What has become of `process`, whose memory is not that which it had: it has ended or is about to, or runs another program.
pub(crate) fn after_loss(proc: &ProcRoot, process: ProcessId) -> ProcessError {
    let lost = with_stat(proc, process, |stat| {
        Ok(if stat.has_ended() || stat.is_exiting() { ProcessError::Exited } else { ProcessError::Replaced })
    });
    lost.unwrap_or_else(|error| error)
}

/// What `read` makes of the `stat` of `process`.
fn with_stat<T>(
    proc: &ProcRoot,
    process: ProcessId,
    read: impl FnOnce(&Stat<'_>) -> Result<T, ProcessError>,
) -> Result<T, ProcessError> {
    let path = proc.process(process.pid, "stat");
    let text =
        small_file::read_record(&path).map_err(|error| process_error(path.display().to_string(), &error))?;
    let stat = Stat::parse(&text).ok_or_else(|| ProcessError::Refused {
        call: path.display().to_string(),
        reason: "is not a process's stat as proc_pid_stat(5) describes it".into(),
    })?;
    if stat.id() == process { read(&stat) } else { Err(ProcessError::Exited) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(comm: &str, state: &str) -> String {
        format!("4711 ({comm}) {state} 17 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 100 200\n")
    }

    #[test]
    fn a_program_is_known_by_its_addresses() {
        let with = |addresses: &str| {
            program(format!("{} 300 {addresses} 0\n", line("a) b", "S").trim_end()).as_bytes())
        };
        assert!(with("4096 8192 77").is_some());
        assert_eq!(with("4096 8192 77"), with("4096 8192 77"));
        for other in ["4095 8192 77", "4096 8193 77", "4096 8192 78"] {
            assert_ne!(with(other), with("4096 8192 77"), "{other}");
        }
        // Hidden, or no such fields.
        assert_eq!((with("0 0 0"), program(line("sh", "S").as_bytes()), program(b"")), (None, None, None));
    }

    #[test]
    fn survives_any_name() {
        for comm in ["sh", "a b", "a) S 1 (b", "((", "))", "", "\u{fc}\n1 2 3"] {
            let text = line(comm, "S");
            let stat = Stat::parse(text.as_bytes()).unwrap();
            assert_eq!(stat.comm, comm.as_bytes());
            assert_eq!((stat.pid.get(), stat.parent, stat.start_time), (4711, 17, 987_654));
            assert!(!stat.is_kernel_thread() && !stat.has_ended());
        }
        assert!(Stat::parse(line("z", "Z").as_bytes()).unwrap().has_ended());
        let others_run = line("z", "Z").replace(" 20 0 1 0 ", " 20 0 2 0 ");
        let stat = Stat::parse(others_run.as_bytes()).unwrap();
        assert!(stat.is_zombie() && !stat.has_ended(), "its first thread has ended, not the process");
        let mut bytes = line("xx", "S").into_bytes();
        bytes[6] = 0xff;
        assert_eq!(Stat::parse(&bytes).unwrap().comm, [0xff, b'x']);
    }

    #[test]
    fn knows_kernel_threads() {
        let text =
            b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 6 0 0 20 0 1 0 33 0 0 18446744073709551615\n";
        assert!(Stat::parse(text).unwrap().is_kernel_thread());
    }

    #[test]
    fn refuses_what_is_cut_short() {
        let text = line("sh", "S");
        let end = text.find("987654").unwrap();
        for length in 0..end {
            assert_eq!(Stat::parse(&text.as_bytes()[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            if let Some(stat) = Stat::parse(&bytes) {
                prop_assert!(stat.comm.len() < bytes.len());
            }
        }
    }

    #[test]
    fn tells_a_later_process_of_the_same_pid() {
        let tree = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(tree.path());
        std::fs::create_dir(tree.path().join("4711")).unwrap();
        let pid = Pid::new(4711).unwrap();
        let alive = |start_time| check_alive(&proc, ProcessId { pid, start_time });
        assert_eq!(alive(987_654), Err(ProcessError::Exited));
        std::fs::write(tree.path().join("4711/stat"), line("sh", "S")).unwrap();
        assert_eq!(alive(987_654), Ok(()));
        assert_eq!(alive(987_653), Err(ProcessError::Exited));
        std::fs::write(tree.path().join("4711/stat"), line("sh", "Z")).unwrap();
        assert_eq!(alive(987_654), Err(ProcessError::Exited));
        let after_loss = |flags: &str| {
            let text = line("sh", "R").replace(" 4194560 ", flags);
            std::fs::write(tree.path().join("4711/stat"), text).unwrap();
            super::after_loss(&proc, ProcessId { pid, start_time: 987_654 })
        };
        assert_eq!(after_loss(" 4194560 "), ProcessError::Replaced);
        assert_eq!(after_loss(" 4194564 "), ProcessError::Exited, "killed, and not a zombie yet");
        std::fs::write(tree.path().join("4711/stat"), "nonsense").unwrap();
        assert!(matches!(alive(987_654), Err(ProcessError::Refused { .. })));
    }
}
