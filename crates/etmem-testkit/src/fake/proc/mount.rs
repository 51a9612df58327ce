//! The scripted machine as a file system.
//!
//! Every file is opened for direct I/O: the kernel caches nothing, and lengths and offsets of reads arrive as they
//! were asked for. Where FUSE still differs from a kernel's own files:
//!
//! - The position of a file moves by the bytes read, not to the address that the walk reached. Readers give the offset
//!   with each read (pread(2)), or seek before it.
//! - Where the kernel says 1 and writes nothing (a buffer of 19 bytes), a byte of zero is written.
//! - A read or write of more than [`LARGEST`] bytes comes in pieces: a read ends with the first of them, and so walks
//!   no further than that one's span; a write may be cut within an address where the kernel would not cut it.
//! - The argument of an ioctl is fetched before it is looked at: it may not be a null pointer.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, IoctlFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyIoctl, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::faults::File;
use super::files::Node;
use super::machine::{Machine, Program};

/// The most bytes of one read or write that arrive in one piece: 256 pages.
pub const LARGEST: usize = 1 << 20;
/// Nothing may be remembered: processes come and go.
const AT_ONCE: Duration = Duration::ZERO;
/// What `self` leads to.
const ONESELF: &str = "/proc/self";
/// Numbers from here on stand for text files and folders; below, for files of the modules.
const FIRST_TEXT: u64 = 1 << 32;

/// The file system.
#[derive(Debug)]
pub(super) struct Tree {
    machine: Arc<Mutex<Machine>>,
    paths: Mutex<Paths>,
    texts: Mutex<HashMap<u64, Text>>,
}

/// A text file that is open.
#[derive(Debug)]
struct Text {
    /// What it said when it was opened.
    said: String,
    /// Of a list of mappings: whose, and which program's. It reads as empty once that has no memory any more.
    memory_of: Option<(u32, Program)>,
}

/// Inode numbers, given to paths when they are first asked for.
#[derive(Debug)]
struct Paths {
    by_number: HashMap<u64, Arc<str>>,
    by_path: HashMap<Arc<str>, u64>,
}

impl Paths {
    fn new() -> Self {
        let root: Arc<str> = "".into();
        let number = INodeNo::ROOT.0;
        Self { by_number: [(number, root.clone())].into(), by_path: [(root, number)].into() }
    }

    fn number(&mut self, path: &str) -> u64 {
        if let Some(number) = self.by_path.get(path) {
            return *number;
        }
        let (number, path) = (self.by_path.len() as u64 + INodeNo::ROOT.0, Arc::<str>::from(path));
        self.by_number.insert(number, path.clone());
        self.by_path.insert(path, number);
        number
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error of the machine as FUSE names it.
fn errno(error: nix::errno::Errno) -> Errno {
    #[expect(clippy::as_conversions, reason = "an errno is its number")]
    Errno::from_i32(error as i32)
}

impl Tree {
    pub(super) fn new(machine: Arc<Mutex<Machine>>) -> Self {
        Self { machine, paths: Mutex::new(Paths::new()), texts: Mutex::default() }
    }

    fn path(&self, number: INodeNo) -> Arc<str> {
        locked(&self.paths).by_number.get(&number.0).cloned().unwrap_or_else(|| "?".into())
    }

    fn attributes(&self, path: &str) -> Option<FileAttr> {
        let node = locked(&self.machine).node(path)?;
        let (kind, perm) = match node {
            Node::Folder => (FileType::Directory, 0o555),
            Node::Text => (FileType::RegularFile, 0o444),
            Node::IdlePages | Node::Pagemap => (FileType::RegularFile, 0o400),
            Node::SwapPages | Node::ClearRefs => (FileType::RegularFile, 0o200),
            Node::Oneself => (FileType::Symlink, 0o777),
        };
        Some(FileAttr {
            ino: INodeNo(locked(&self.paths).number(path)),
            size: 0,
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn opened(&self, path: &str, flags: OpenFlags) -> Result<u64, Errno> {
        let mut machine = locked(&self.machine);
        let pid = path.split('/').next().and_then(|pid| pid.parse().ok()).unwrap_or(0);
        machine.called(pid);
        let node = machine.node(path).ok_or(Errno::ENOENT)?;
        let nonblocking = flags.0 & nix::fcntl::OFlag::O_NONBLOCK.bits() != 0;
        match node {
            Node::IdlePages => machine.open(pid, File::IdlePages, nonblocking).map_err(errno),
            Node::SwapPages => machine.open(pid, File::SwapPages, nonblocking).map_err(errno),
            Node::Text | Node::ClearRefs | Node::Pagemap => {
                let said = machine.text(path).unwrap_or_default();
                let of_memory =
                    ["/maps", "/smaps", "/smaps_rollup", "/pagemap"].iter().any(|file| path.ends_with(file));
                let memory_of = machine.program(pid).filter(|_| of_memory).map(|program| (pid, program));
                let mut texts = locked(&self.texts);
                let free = (FIRST_TEXT..).find(|number| !texts.contains_key(number)).unwrap_or(FIRST_TEXT);
                texts.insert(free, Text { said, memory_of });
                Ok(free)
            }
            Node::Folder => Ok(FIRST_TEXT - 1),
            Node::Oneself => Err(Errno::ELOOP),
        }
    }

    fn read_from(&self, path: &str, handle: FileHandle, offset: u64, size: usize) -> Result<Vec<u8>, Errno> {
        if handle.0 < FIRST_TEXT - 1 {
            return match path.rsplit('/').next() {
                Some("idle_pages") => locked(&self.machine).read(handle.0, offset, size).map_err(errno),
                _ => Err(Errno::EINVAL),
            };
        }
        let texts = locked(&self.texts);
        let text = texts.get(&handle.0).ok_or(Errno::EBADF)?;
        if text.memory_of.is_some_and(|(pid, program)| locked(&self.machine).program(pid) != Some(program)) {
            return Ok(Vec::new());
        }
        if let Some((pid, _)) = text.memory_of.filter(|_| path.ends_with("/pagemap")) {
            return Ok(locked(&self.machine).pagemap(pid, offset, size));
        }
        let text = text.said.as_bytes();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        let to = from.saturating_add(size).min(text.len());
        Ok(text.get(from..to).unwrap_or_default().to_vec())
    }

    fn write_to(&self, path: &str, handle: FileHandle, data: &[u8]) -> Result<usize, Errno> {
        let mut machine = locked(&self.machine);
        match path.rsplit_once('/') {
            Some((_, "swap_pages")) => machine.write(handle.0, data).map_err(errno),
            Some((pid, "clear_refs")) => {
                if data.trim_ascii() != b"1" {
                    return Err(Errno::EINVAL);
                }
                let pid = pid.parse().map_err(|_| Errno::EINVAL)?;
                let (process, now) = machine.living(pid).ok_or(Errno::ESRCH)?;
                process.clear_refs(now);
                Ok(data.len())
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Filesystem for Tree {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let largest = u32::try_from(LARGEST).unwrap_or(u32::MAX);
        // A kernel that wants less says so with the number it takes.
        if let Err(nearest) = config.set_max_write(largest) {
            let _ = config.set_max_write(nearest);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let parent = self.path(parent);
        let path = name.to_str().map(|name| match &*parent {
            "" => name.to_owned(),
            parent => format!("{parent}/{name}"),
        });
        match path.and_then(|path| self.attributes(&path)) {
            Some(attributes) => reply.entry(&AT_ONCE, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(&self.path(number)) {
            Some(attributes) => reply.attr(&AT_ONCE, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    // Asked for before a file is opened with O_TRUNC; the files of procfs take no notice of it.
    fn setattr(
        &self,
        request: &Request,
        number: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        handle: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        self.getattr(request, number, handle, reply);
    }

    fn readlink(&self, _: &Request, _: INodeNo, reply: ReplyData) {
        reply.data(ONESELF.as_bytes());
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.opened(&self.path(number), flags) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        match self.read_from(&self.path(number), handle, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write_to(&self.path(number), handle, data) {
            Ok(length) => reply.written(u32::try_from(length).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    // Comes with close(2) and before it returns; release comes some time later.
    fn flush(&self, _: &Request, _: INodeNo, handle: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        locked(&self.machine).close(handle.0);
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        locked(&self.texts).remove(&handle.0);
        locked(&self.machine).release(handle.0);
        reply.ok();
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let folder = self.path(number);
        let names = locked(&self.machine).names(&folder);
        let names = [".".to_owned(), "..".to_owned()].into_iter().chain(names);
        for (next, name) in (1u64..).zip(names).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let (entry, kind) = match self.attributes(&path) {
                Some(attributes) => (attributes.ino, attributes.kind),
                None => (number, FileType::Directory),
            };
            if reply.add(entry, next, kind, &name) {
                break;
            }
        }
        reply.ok();
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: IoctlFlags,
        command: u32,
        argument: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        let argument = argument.first_chunk::<4>().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
        match locked(&self.machine).ioctl(handle.0, command, argument) {
            Ok(()) => reply.ioctl(0, &[]),
            Err(error) => reply.error(errno(error)),
        }
    }
}
