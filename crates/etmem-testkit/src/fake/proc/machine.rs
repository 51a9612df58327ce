//! The machine's state: processes, open files, faults to come, and what has happened. It knows no FUSE: the mounted
//! file system asks it, and tests do.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display};
use std::sync::Arc;

use etmem_core::kernel::pacer::Pacer;
use nix::errno::Errno;

use super::faults::{Call, Fault, Faults, File, Planned};
use super::hash::scatter;
use super::idle::{Flags, ONLY_MARKED, SCAN_AS_HUGE, SCAN_IGN_HOST};
use super::process::Process;
use super::script::{Modules, Moment, Script};

/// Told of everything that happens, a line at a time.
pub type Observer = Box<dyn Fn(&dyn Display) + Send>;

/// Which program a process runs: when it started, and how often it has replaced its program since.
pub(super) type Program = (u64, u64);

/// An open file of the modules.
#[derive(Debug)]
struct Open {
    pid: u32,
    file: File,
    /// The program that the process ran when the file was opened.
    program: Program,
    flags: Flags,
    used: bool,
    closed: bool,
}

/// The state.
pub struct Machine {
    pub(super) memory: u64,
    pub(super) swap: u64,
    pub(super) swap_cached: u64,
    pub(super) modules: Modules,
    pub(super) processes: BTreeMap<u32, Process>,
    pub(super) clock: Arc<dyn Pacer>,
    faults: Faults,
    /// Numbers that are to be given away: after how many more calls, and to which process.
    heirs: HashMap<u32, (u64, Process)>,
    /// Who had the numbers that were given away.
    pub(super) former: HashMap<u32, Process>,
    open: HashMap<u64, Open>,
    opened: u64,
    pub(super) violations: Vec<String>,
    pub(super) watermarks: Option<(u8, u8)>,
    pub(super) reclaims: u64,
    /// How often that was ended.
    pub(super) reclaim_ends: u64,
    /// It was begun, and not ended since.
    pub(super) reclaiming: bool,
    observer: Option<Observer>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Machine").field("processes", &self.processes.keys()).finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine at the beginning of `script`, whose time is that of `clock`.
    #[must_use]
    pub fn new(script: Script, clock: Arc<dyn Pacer>, observer: Option<Observer>) -> Self {
        let processes = script.processes.into_iter().map(|process| (process.pid, Process::new(process)));
        Self {
            memory: script.memory,
            swap: script.swap,
            swap_cached: 0,
            modules: script.modules,
            processes: processes.collect(),
            clock,
            faults: Faults::default(),
            heirs: HashMap::new(),
            former: HashMap::new(),
            open: HashMap::new(),
            opened: 0,
            violations: Vec::new(),
            watermarks: None,
            reclaims: 0,
            reclaim_ends: 0,
            reclaiming: false,
            observer,
        }
    }

    fn tell(&self, line: fmt::Arguments<'_>) {
        if let Some(observer) = &self.observer {
            observer(&line);
        }
    }

    /// This moment in the life of `process`.
    pub(super) fn moment(&self, process: &Process) -> Moment {
        process.moment(self.clock.now())
    }

    /// Process `pid`, if it lives, brought up to this moment.
    pub(super) fn living(&mut self, pid: u32) -> Option<(&mut Process, Moment)> {
        let time = self.clock.now();
        let process = self.processes.get_mut(&pid)?;
        let now = process.moment(time);
        if process.has_exited(now) {
            return None;
        }
        process.settle_soon(now);
        Some((process, now))
    }

    /// What process `pid` runs, if it lives.
    pub(super) fn program(&self, pid: u32) -> Option<Program> {
        let process = self.processes.get(&pid)?;
        let lives = !process.has_exited(self.moment(process));
        lives.then_some((process.script.start_time, process.programs))
    }

    /// The processes that live, ascending.
    pub(super) fn pids(&self) -> Vec<u32> {
        let lives = |process: &Process| !process.has_exited(self.moment(process));
        self.processes.iter().filter(|(_, process)| lives(process)).map(|(pid, _)| *pid).collect()
    }

    /// Bytes of swap that are free.
    pub(super) fn swap_free(&mut self) -> u64 {
        let used: u64 = self.pids().iter().filter_map(|pid| Some(self.living(*pid)?.0.out.bytes())).sum();
        self.swap.saturating_sub(used)
    }

    /// Plans a fault.
    pub fn plan(&mut self, fault: Planned) {
        self.faults.plan(fault);
    }

    /// Gives the number of `heir` to it before the call on a file of that number which comes behind `after` others.
    pub(super) fn give_away(&mut self, after: u64, heir: Process) {
        self.heirs.insert(heir.script.pid, (after, heir));
    }

    /// A call on a file of `pid` comes in: its number may be another's by now.
    pub(super) fn called(&mut self, pid: u32) {
        if let Some((left @ 1.., _)) = self.heirs.get_mut(&pid) {
            *left -= 1;
        } else if let Some((_, heir)) = self.heirs.remove(&pid) {
            self.tell(format_args!("{pid}: given to another process"));
            if let Some(former) = self.processes.insert(pid, heir) {
                self.former.insert(pid, former);
            }
        }
    }

    /// Opens a file of the modules: its number.
    ///
    /// # Errors
    /// ENODEV without the modules, ENOENT without the process, or a planned fault.
    pub fn open(&mut self, pid: u32, file: File, nonblocking: bool) -> Result<u64, Errno> {
        let program = self.program(pid).ok_or(Errno::ENOENT)?;
        if self.modules != Modules::Loaded {
            self.tell(format_args!("{pid}/{}: open refused, the modules are not loaded", file.name()));
            return Err(Errno::ENODEV);
        }
        match self.faults.strike(pid, file, Call::Open) {
            Some(Fault::Errno(number)) => return Err(self.fail(pid, file, "open", number)),
            Some(Fault::Short(_) | Fault::Torn(_) | Fault::Garbage(_) | Fault::Nothing) | None => {}
        }
        if file == File::IdlePages
            && let Some(process) = self.processes.get_mut(&pid)
        {
            process.counts.scans_opened += 1;
        }
        self.opened += 1;
        let flags = Flags { huge: nonblocking, ..Flags::default() };
        self.open.insert(self.opened, Open { pid, file, program, flags, used: false, closed: false });
        Ok(self.opened)
    }

    /// The process closes what it opened: no more scanning through it.
    pub fn close(&mut self, number: u64) {
        let Some(open) = self.open.get_mut(&number) else { return };
        open.closed = true;
        let (pid, file) = (open.pid, open.file);
        let time = self.clock.now();
        if file == File::IdlePages
            && let Some(process) = self.processes.get_mut(&pid)
        {
            process.flush(process.moment(time));
        }
    }

    /// The last descriptor is gone.
    pub fn release(&mut self, number: u64) {
        self.open.remove(&number);
    }

    fn fail(&self, pid: u32, file: File, call: &str, number: i32) -> Errno {
        let errno = Errno::from_raw(number);
        self.tell(format_args!("{pid}/{}: {call} fails as planned, {errno}", file.name()));
        errno
    }

    /// What is open under `number`, of a process that still runs what it ran then.
    fn used(&mut self, number: u64, file: File) -> Result<(u32, Flags), Errno> {
        if let Some(pid) = self.open.get(&number).map(|open| open.pid) {
            self.called(pid);
        }
        let open = self.open.get_mut(&number).filter(|open| open.file == file).ok_or(Errno::EBADF)?;
        (open.used, open.closed) = (true, false);
        let (pid, program, flags) = (open.pid, open.program, open.flags);
        let another = self.open.iter().any(|(other, open)| {
            *other != number && (open.pid, open.file) == (pid, file) && open.used && !open.closed
        });
        if another {
            let line = format!("{pid}/{}: used through two descriptors at once", file.name());
            self.tell(format_args!("violation: {line}"));
            if !self.violations.contains(&line) {
                self.violations.push(line);
            }
        }
        if self.program(pid) == Some(program) { Ok((pid, flags)) } else { Err(Errno::ESRCH) }
    }

    /// A read of `idle_pages`.
    ///
    /// # Errors
    /// EINVAL as the kernel has it, ESRCH where the process is gone, or a planned fault.
    pub fn read(&mut self, number: u64, offset: u64, room: usize) -> Result<Vec<u8>, Errno> {
        let (pid, flags) = self.used(number, File::IdlePages)?;
        let fault = self.faults.strike(pid, File::IdlePages, Call::Read);
        let room = match fault {
            Some(Fault::Errno(errno)) => return Err(self.fail(pid, File::IdlePages, "read", errno)),
            Some(Fault::Nothing) => return Ok(Vec::new()),
            Some(Fault::Short(length)) => room.min(length.max(20)),
            Some(Fault::Torn(_) | Fault::Garbage(_)) | None => room,
        };
        let time = self.clock.now();
        let process = self.processes.get_mut(&pid).ok_or(Errno::ESRCH)?;
        process.note_read(offset);
        let now = process.moment(time);
        // This read may have begun the pass in which it is gone.
        if process.has_exited(now) {
            return Err(Errno::ESRCH);
        }
        let mut answer = process.read_idle_pages(offset, room, flags, now).map_err(|_| Errno::EINVAL)?;
        match fault {
            Some(Fault::Torn(length)) => answer.bytes.truncate(length),
            Some(Fault::Garbage(seed)) => {
                for (at, byte) in (0u64..).zip(&mut answer.bytes) {
                    *byte = scatter(seed, at).to_le_bytes()[0];
                }
            }
            Some(Fault::Errno(_) | Fault::Short(_) | Fault::Nothing) | None => {}
        }
        process.counts.reads += 1;
        process.counts.bytes_read += answer.bytes.len() as u64;
        let (length, reached) = (answer.bytes.len(), answer.reached);
        self.tell(format_args!(
            "{pid}/idle_pages: pass {}, read of {room} bytes at {offset:#x} gives {length}, to {reached:#x}",
            now.pass
        ));
        Ok(answer.bytes)
    }

    /// A read of `pagemap`: whole words; none of a process that is gone.
    pub(super) fn pagemap(&mut self, pid: u32, offset: u64, room: usize) -> Vec<u8> {
        let Some((process, now)) = self.living(pid) else { return Vec::new() };
        let words = process.pagemap(offset / 8, room / 8, now);
        words.into_iter().flat_map(u64::to_ne_bytes).collect()
    }

    /// A write to `swap_pages`: how many bytes of it were taken.
    ///
    /// # Errors
    /// ESRCH where the process is gone, or a planned fault.
    pub fn write(&mut self, number: u64, text: &[u8]) -> Result<usize, Errno> {
        let (pid, _) = self.used(number, File::SwapPages)?;
        let text = match self.faults.strike(pid, File::SwapPages, Call::Write) {
            Some(Fault::Errno(errno)) => return Err(self.fail(pid, File::SwapPages, "write", errno)),
            Some(Fault::Nothing) => return Ok(0),
            Some(Fault::Short(length) | Fault::Torn(length)) => text.get(..length).unwrap_or(text),
            Some(Fault::Garbage(_)) | None => text,
        };
        let room = self.swap_free();
        let (process, now) = self.living(pid).ok_or(Errno::ESRCH)?;
        let before = process.counts;
        process.write_swap_pages(text, now, room);
        let after = process.counts;
        self.tell(format_args!(
            "{pid}/swap_pages: write of {} bytes, {} addresses: {} pages out, {} missing, {} skipped, {} lines nonsense",
            text.len(),
            after.addresses - before.addresses,
            after.paged_out - before.paged_out,
            after.missed - before.missed,
            after.skipped - before.skipped,
            after.nonsense - before.nonsense,
        ));
        Ok(text.len())
    }

    /// An ioctl with the number it points to. What the modules do not know of flags they ignore.
    ///
    /// # Errors
    /// EOPNOTSUPP for a command that the file does not know, EINVAL for watermarks that cannot be, a planned fault.
    pub fn ioctl(&mut self, number: u64, command: u32, argument: u32) -> Result<(), Errno> {
        let file = self.open.get(&number).ok_or(Errno::EBADF)?.file;
        let pid = self.open.get(&number).ok_or(Errno::EBADF)?.pid;
        if let Some(Fault::Errno(errno)) = self.faults.strike(pid, file, Call::Ioctl) {
            return Err(self.fail(pid, file, "ioctl", errno));
        }
        self.tell(format_args!("{pid}/{}: ioctl {command:#x} with {argument:#o}", file.name()));
        let flags = &mut self.open.get_mut(&number).ok_or(Errno::EBADF)?.flags;
        match (file, command) {
            (File::IdlePages, SCAN_ADD) => flags.scan |= argument & (SCAN_AS_HUGE | SCAN_IGN_HOST),
            (File::IdlePages, SCAN_REMOVE) => flags.scan &= !argument,
            (File::IdlePages, MAPPING_ADD) => flags.mapping |= argument & ONLY_MARKED,
            (File::IdlePages, MAPPING_REMOVE) => flags.mapping &= !argument,
            (File::SwapPages, RECLAIM_OFF) => {
                self.reclaim_ends += 1;
                self.reclaiming = false;
            }
            (File::SwapPages, RECLAIM_ON) => {
                self.reclaims += 1;
                self.reclaiming = true;
                let low = self.watermarks.map_or(0, |(low, _)| low);
                self.swap_cached = self.swap_cached.min(self.memory / 100 * u64::from(low));
            }
            (File::SwapPages, WATERMARKS) => {
                let [low, high, rest @ ..] = argument.to_le_bytes();
                if low >= high || high > 100 || rest != [0, 0] {
                    return Err(Errno::EINVAL);
                }
                self.watermarks = Some((low, high));
            }
            _ => return Err(Errno::EOPNOTSUPP),
        }
        Ok(())
    }
}

/// `_IOW(magic, number, unsigned int)` of `include/uapi/asm-generic/ioctl.h`.
const fn command(magic: u32, number: u32) -> u32 {
    1 << 30 | 4 << 16 | magic << 8 | number
}

/// Adds scan flags.
pub const SCAN_ADD: u32 = command(0x66, 0);
/// Takes scan flags back.
pub const SCAN_REMOVE: u32 = command(0x66, 1);
/// Adds mapping flags.
pub const MAPPING_ADD: u32 = command(0x66, 2);
/// Takes mapping flags back.
pub const MAPPING_REMOVE: u32 = command(0x66, 3);
/// No more reclaim of the swap cache.
pub const RECLAIM_OFF: u32 = command(0x77, 0);
/// Reclaims the swap cache now.
pub const RECLAIM_ON: u32 = command(0x77, 1);
/// Sets the swap cache's watermarks: `low | high << 8`, in percent.
pub const WATERMARKS: u32 = command(0x77, 2);
