//! The mover `madvise`: process_madvise(2) with MADV_PAGEOUT.
//!
//! Two things bind it to its process: a pidfd, so that a pid given away moves nothing, and an open
//! `/proc/PID/pagemap`, which belongs to the address space and reads nothing once that is gone: when the process
//! replaces its program, the old addresses are not used on the new one.

use super::pieces::Remaining;
use super::residence::Pagemap;
use crate::process::stat::{check_alive, process_error};
use crate::root::ProcRoot;
use crate::sys::pidfd::{self, PidFd};
use crate::unavailable::Unavailable;
use etmem_core::address::AddressRange;
use etmem_core::kernel::mover::{Moved, PageMover, Residence, SwapOut};
use etmem_core::kernel::process::{Pid, ProcessError, ProcessId};
use std::io;

const CALL: &str = "process_madvise(MADV_PAGEOUT)";

/// What advising another process needs.
const CAPABILITIES: &str = "CAP_SYS_NICE and CAP_SYS_PTRACE";

/// CAP_SYS_NICE (`include/uapi/linux/capability.h`).
const SYS_NICE: u64 = 1 << 23;

/// How often a call that was interrupted, or refused for now, is made again without progress.
const ATTEMPTS: usize = 8;

/// Makes movers.
#[derive(Debug, Clone)]
pub struct Madvise {
    proc: ProcRoot,
}

impl Madvise {
    /// Whether the kernel has the call; made on our own process, over nothing.
    ///
    /// # Errors
    /// Says why not.
    pub fn detect(proc: &ProcRoot) -> Result<Self, Unavailable> {
        let pagemap = proc.own("pagemap");
        if !pagemap.exists() {
            return Err(Unavailable::NotBuilt { path: pagemap, option: "CONFIG_PROC_PAGE_MONITOR" });
        }
        check_capability(proc)?;
        let own = Pid::new(std::process::id());
        let answer = own.map_or(Ok(0), |own| pidfd::page_out(&pidfd::open(own)?, &[]));
        match answer {
            Ok(_) => Ok(Self { proc: proc.clone() }),
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                Err(Unavailable::NoSystemCall { call: CALL, needed: "5.10" })
            }
            Err(error) => Err(Unavailable::from_io(CALL, &error, CAPABILITIES)),
        }
    }
}

/// Whether we may advise other processes; no error if the kernel does not say.
fn check_capability(proc: &ProcRoot) -> Result<(), Unavailable> {
    let text = std::fs::read_to_string(proc.own("status")).unwrap_or_default();
    let effective = text
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    match effective {
        Some(capabilities) if capabilities & SYS_NICE == 0 => {
            Err(Unavailable::Permission { call: CALL.into(), capabilities: CAPABILITIES })
        }
        Some(_) | None => Ok(()),
    }
}

impl PageMover for Madvise {
    fn name(&self) -> &'static str {
        "madvise"
    }

    fn attach(&self, process: ProcessId) -> Result<Box<dyn SwapOut>, ProcessError> {
        let address_space = Pagemap::open(&self.proc, process)?.ok_or_else(|| ProcessError::Refused {
            call: CALL.into(),
            reason: "the process has no pagemap, which alone tells what left".into(),
        })?;
        let descriptor = pidfd::open(process.pid).map_err(|error| process_error("pidfd_open", &error))?;
        // Alive under its number after both were opened by that number: both belong to this process.
        check_alive(&self.proc, process)?;
        Ok(Box::new(Advice { process: descriptor, address_space }))
    }
}

/// Pages out memory of one process.
#[derive(Debug)]
struct Advice {
    process: PidFd,
    address_space: Pagemap,
}

/// What the kernel said about the first piece of a call that got nowhere.
enum Answer {
    /// A part of it is not mapped; the rest of it was advised.
    Hole,
    /// A part of it cannot be paged out.
    Unsuitable,
    /// Not now.
    Again,
}

fn answer(error: &io::Error) -> Result<Answer, ProcessError> {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => Ok(Answer::Hole),
        Some(libc::EINVAL) => Ok(Answer::Unsuitable),
        Some(libc::EINTR | libc::EAGAIN) => Ok(Answer::Again),
        Some(libc::ESRCH) => Err(ProcessError::Exited),
        Some(libc::EPERM | libc::EACCES) => Err(ProcessError::Refused {
            call: CALL.into(),
            reason: format!("{error}; run as root, or with {CAPABILITIES}"),
        }),
        Some(libc::ENOSYS) => Err(ProcessError::Refused {
            call: CALL.into(),
            reason: format!("{error}; needs Linux 5.10 or later"),
        }),
        _ => Err(ProcessError::Refused { call: CALL.into(), reason: error.to_string() }),
    }
}

impl SwapOut for Advice {
    fn swap_out(&mut self, ranges: &[AddressRange]) -> Result<Moved, ProcessError> {
        move_all(ranges, |pieces, first| {
            self.address_space.check(first.start)?;
            Ok(pidfd::page_out(&self.process, pieces))
        })
    }

    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<bool, ProcessError> {
        out.clear();
        self.address_space.residence(ranges, out)?;
        Ok(true)
    }
}

/// Gets through `ranges`, call after call. `call` takes pieces, of which the first is given once more, and answers
/// how many bytes it got through, or what was wrong with the first piece.
fn move_all(
    ranges: &[AddressRange],
    mut call: impl FnMut(&[AddressRange], AddressRange) -> Result<io::Result<u64>, ProcessError>,
) -> Result<Moved, ProcessError> {
    let mut moved = Moved::default();
    let mut remaining = Remaining::new(ranges);
    let mut pieces = Vec::new();
    let mut attempts = 0;
    loop {
        remaining.next_call(&mut pieces);
        let Some(&first) = pieces.first() else { return Ok(moved) };
        let done = match call(&pieces, first)? {
            Ok(bytes) if bytes > 0 => {
                let asked: u64 = pieces.iter().map(AddressRange::bytes).sum();
                moved.applied += bytes.min(asked);
                bytes.min(asked)
            }
            Ok(_) => retry(&mut attempts, first, &mut moved.refused),
            Err(error) => match answer(&error)? {
                Answer::Hole => {
                    moved.vanished += first.bytes();
                    first.bytes()
                }
                Answer::Unsuitable => {
                    moved.refused += first.bytes();
                    first.bytes()
                }
                Answer::Again => retry(&mut attempts, first, &mut moved.refused),
            },
        };
        if done > 0 {
            attempts = 0;
            remaining.advance(done);
        }
    }
}

/// Bytes to go past: none while `first` is worth another attempt, then all of it, as refused.
fn retry(attempts: &mut usize, first: AddressRange, refused: &mut u64) -> u64 {
    *attempts += 1;
    if *attempts < ATTEMPTS {
        return 0;
    }
    *refused += first.bytes();
    first.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::address::PAGE_SIZE;
    use std::collections::VecDeque;

    const PAGE: u64 = PAGE_SIZE;

    fn pages(start: u64, end: u64) -> AddressRange {
        AddressRange::new(start * PAGE, end * PAGE)
    }

    /// Runs the mover against a kernel that gives these answers; returns what it made of them, and what it asked.
    fn against(
        ranges: &[AddressRange],
        answers: &[Result<u64, i32>],
    ) -> (Result<Moved, ProcessError>, Vec<Vec<AddressRange>>) {
        let mut answers: VecDeque<_> = answers.iter().copied().collect();
        let mut asked = Vec::new();
        let moved = move_all(ranges, |pieces, first| {
            assert_eq!(pieces[0], first);
            asked.push(pieces.to_vec());
            let answer = answers.pop_front().expect("asks no more than expected");
            Ok(answer.map(|pages| pages * PAGE).map_err(io::Error::from_raw_os_error))
        });
        assert!(answers.is_empty(), "asks as often as expected");
        (moved, asked)
    }

    fn moved(applied: u64, vanished: u64, refused: u64) -> Result<Moved, ProcessError> {
        Ok(Moved { applied: applied * PAGE, vanished: vanished * PAGE, refused: refused * PAGE })
    }

    #[test]
    fn short_counts_and_bad_ranges() {
        let ranges = [pages(0, 4), pages(10, 12), pages(20, 23)];
        assert_eq!(against(&[], &[]).0, moved(0, 0, 0));
        assert_eq!(against(&ranges, &[Ok(9)]).0, moved(9, 0, 0));
        // Stopped before the second range, which has a hole.
        let (outcome, asked) = against(&ranges, &[Ok(4), Err(libc::ENOMEM), Ok(3)]);
        assert_eq!(outcome, moved(7, 2, 0));
        assert_eq!(asked[1..], [ranges[1..].to_vec(), ranges[2..].to_vec()]);
        assert_eq!(against(&ranges, &[Err(libc::EINVAL), Ok(5)]).0, moved(5, 0, 4));
        // In the middle of a range.
        let (outcome, asked) = against(&ranges, &[Ok(5), Ok(4)]);
        assert_eq!(outcome, moved(9, 0, 0));
        assert_eq!(asked[1], [pages(11, 12), pages(20, 23)]);
        // More than asked for.
        assert_eq!(against(&ranges, &[Ok(99)]).0, moved(9, 0, 0));
    }

    #[test]
    fn attempts_are_bounded() {
        let ranges = [pages(0, 4), pages(10, 12)];
        assert_eq!(against(&ranges, &[Err(libc::EINTR), Err(libc::EAGAIN), Ok(0), Ok(6)]).0, moved(6, 0, 0));
        let mut answers = vec![Err(libc::EAGAIN); ATTEMPTS];
        answers.push(Ok(2));
        assert_eq!(against(&ranges, &answers).0, moved(2, 0, 4));
    }

    #[test]
    fn refusals_of_the_call_as_a_whole() {
        let ranges = [pages(0, 4)];
        assert_eq!(against(&ranges, &[Err(libc::ESRCH)]).0, Err(ProcessError::Exited));
        for (number, help) in
            [(libc::EPERM, "CAP_SYS_NICE"), (libc::ENOSYS, "5.10"), (libc::EBADF, "descriptor")]
        {
            let text = against(&ranges, &[Err(number)]).0.unwrap_err().to_string();
            assert!(text.contains(help) && text.starts_with(CALL), "{text}");
        }
    }
}
