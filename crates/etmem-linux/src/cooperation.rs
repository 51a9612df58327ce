//! The socket and the FIFO of a task, on which programs listen that give memory back when they are asked.
//!
//! They speak systemd's protocol for memory pressure (`$MEMORY_PRESSURE_WATCH`): a program connects to the socket, or opens the FIFO for
//! reading, and gives memory back whenever there is something to read. What it reads it may discard. It is a line
//! `wanted_bytes=NUMBER`, for programs that want to know how much would leave. What programs write is never read.
//!
//! No thread waits here: programs are accepted when they are to be asked, and until then wait in the kernel's queue.

use crate::unix_socket;
use etmem_core::kernel::cooperation::Cooperation;
use etmem_core::kernel::process::ProcessId;
use parking_lot::Mutex;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{SocketAddrUnix, connect};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use tracing::warn;

/// The folder of the sockets, in the folder of the daemon's records.
const FOLDER: &str = "pressure";

/// What the name of a FIFO has more than that of its socket.
const FIFO: &str = ".fifo";

/// Most programs that are asked for a task.
const MOST_PROGRAMS: usize = 4096;

/// Longest path of a socket (`sun_path` of unix(7) less its zero).
const PATH_LONGEST: usize = 107;

/// The socket and the FIFO of a task; removed when dropped.
#[derive(Debug)]
pub struct PressureSocket {
    path: PathBuf,
    /// Device and inode of the socket and of the FIFO: what is there under another number is another's.
    own: [(PathBuf, (u64, u64)); 2],
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    listener: UnixListener,
    /// The FIFO to write to, which stays open: a program that reads it sees its end with that of the task.
    fifo: File,
    programs: Vec<Program>,
    /// The log has said that there are too many.
    said_full: bool,
}

/// A program that listens.
#[derive(Debug)]
struct Program {
    stream: UnixStream,
    /// The process that has connected; `None` if the kernel shows none.
    pid: Option<u32>,
}

/// The path of the socket called `name` of the daemons whose records are in `folder`.
#[must_use]
pub fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(FOLDER).join(name)
}

/// The FIFO beside the socket at `path`.
fn fifo(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(FIFO);
    name.into()
}

/// Removes what a daemon that was killed left at `path`; whether nothing is left.
pub(crate) fn take_back(path: &Path) -> bool {
    let is_pipe = |path: &Path| {
        let kind = path.symlink_metadata().ok().map(|found| found.file_type());
        kind.is_some_and(|kind| kind.is_socket() || kind.is_fifo())
    };
    let removed = [path.to_owned(), fifo(path)].into_iter().all(|path| {
        let removed = if is_pipe(&path) { fs::remove_file(&path) } else { Ok(()) };
        removed.inspect_err(|error| warn!("{}: cannot be removed: {error}", path.display())).is_ok()
    });
    removed && !path.exists()
}

impl PressureSocket {
    /// Makes the socket at `path`, which programs of all users may connect to, and the FIFO beside it.
    ///
    /// # Errors
    /// Why not: another task has it, its path is too long, or it cannot be made.
    pub fn open(path: PathBuf) -> Result<Self, String> {
        let bytes = path.as_os_str().len();
        if bytes > PATH_LONGEST {
            return Err(format!(
                "the path of its pressure socket, {}, has {bytes} bytes and a socket's at most {PATH_LONGEST}: give the project \
                 or the task a shorter name",
                path.display()
            ));
        }
        Self::make(&path).map_err(|error| {
            if error.kind() == io::ErrorKind::AddrInUse {
                return format!(
                    "its pressure socket {} is that of another task that runs: give one another name",
                    path.display()
                );
            }
            format!("cannot make its pressure socket {}: {error}", path.display())
        })
    }

    fn make(path: &Path) -> io::Result<Self> {
        make_folder(path)?;
        if listens(path) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        take_back(path);
        let fifo = fifo(path);
        let listener = UnixListener::bind(path)?;
        let made = || {
            listener.set_nonblocking(true)?;
            fs::set_permissions(path, Permissions::from_mode(0o666))?;
            mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o644), 0)?;
            fs::set_permissions(&fifo, Permissions::from_mode(0o644))?;
            let own = [(path.to_owned(), number(path)?), (fifo.clone(), number(&fifo)?)];
            Ok((own, write_end(&fifo)?))
        };
        let (own, fifo) = made().inspect_err(|_: &io::Error| {
            take_back(path);
        })?;
        let open = Open { listener, fifo, programs: Vec::new(), said_full: false };
        Ok(Self { path: path.to_owned(), own, open: Mutex::new(Some(open)) })
    }
}

/// Whether something listens at `path`. Does not wait for it.
fn listens(path: &Path) -> bool {
    let connect =
        || -> rustix::io::Result<()> { connect(&unix_socket::stream()?, &SocketAddrUnix::new(path)?) };
    // A queue that is full is one of a task that runs.
    matches!(connect(), Ok(()) | Err(Errno::AGAIN))
}

/// Opens the FIFO at `path` to write to it, which the kernel allows only while it is open to read.
fn write_end(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.custom_flags(libc::O_NONBLOCK);
    let _read_end = options.clone().read(true).open(path)?;
    options.write(true).open(path)
}

/// Makes the folder of `path`, which programs of all users may pass.
fn make_folder(path: &Path) -> io::Result<()> {
    let (Some(folder), Some(above)) = (path.parent(), path.ancestors().nth(2)) else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o711).create(above)?;
    let mode = fs::metadata(above)?.permissions().mode();
    if mode & 0o111 != 0o111 {
        fs::set_permissions(above, Permissions::from_mode(mode | 0o111))?;
    }
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// Device and inode of what is at `path`.
fn number(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata().map(|found| (found.dev(), found.ino()))
}

impl Open {
    /// Accepts the programs that have connected since.
    fn accept(&mut self, path: &Path) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.programs.len() >= MOST_PROGRAMS {
                if !std::mem::replace(&mut self.said_full, true) {
                    warn!(
                        "{}: more than {MOST_PROGRAMS} programs connect; the others are not asked",
                        path.display()
                    );
                }
                continue;
            }
            if stream.set_nonblocking(true).is_ok() {
                let pid = socket_peercred(&stream)
                    .ok()
                    .and_then(|peer| u32::try_from(peer.pid.as_raw_nonzero().get()).ok());
                self.programs.push(Program { stream, pid });
            }
        }
    }
}

/// The line of a request.
fn line(bytes: u64) -> String {
    format!("wanted_bytes={bytes}\n")
}

/// Whether the request is there, or an earlier one that was not read yet: the buffer is full of them.
fn is_sent(written: &io::Result<usize>) -> bool {
    match written {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

impl Cooperation for PressureSocket {
    fn ask(&self, wanted: &[(ProcessId, u64)]) -> usize {
        let mut open = self.open.lock();
        let Some(open) = &mut *open else { return 0 };
        open.accept(&self.path);
        let all: u64 = wanted.iter().map(|(_, bytes)| bytes).sum();
        // Another than the targets, such as a helper that trims for them, learns the sum.
        let of = |pid: Option<u32>| {
            wanted.iter().find(|(process, _)| Some(process.pid.get()) == pid).map_or(all, |(_, bytes)| *bytes)
        };
        open.programs.retain_mut(|Program { stream, pid }| is_sent(&stream.write(line(of(*pid)).as_bytes())));
        let read_by_fifo = is_sent(&open.fifo.write(line(all).as_bytes()));
        open.programs.len() + usize::from(read_by_fifo)
    }

    fn close(&self) {
        let Some(_open) = self.open.lock().take() else { return };
        for (path, own) in &self.own {
            if number(path).is_ok_and(|number| number == *own) {
                // It is tried again by the next daemon.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Drop for PressureSocket {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::Pid;
    use std::io::{BufRead, BufReader, Read};

    fn socket(tree: &Path) -> PressureSocket {
        PressureSocket::open(path(tree, "p.t")).unwrap()
    }

    fn own(bytes: u64) -> (ProcessId, u64) {
        (ProcessId { pid: Pid::new(std::process::id()).unwrap(), start_time: 1 }, bytes)
    }

    fn other(bytes: u64) -> (ProcessId, u64) {
        (ProcessId { pid: Pid::new(1).unwrap(), start_time: 1 }, bytes)
    }

    #[test]
    fn each_program_learns_what_is_wanted_of_it() {
        let tree = tempfile::tempdir().unwrap();
        let socket = socket(tree.path());
        assert_eq!(socket.ask(&[own(7)]), 0, "no program listens");
        let client = UnixStream::connect(path(tree.path(), "p.t")).unwrap();
        assert_eq!(socket.ask(&[other(5), own(7)]), 1);
        assert_eq!(socket.ask(&[other(5)]), 1);
        let mut lines = BufReader::new(client).lines();
        let mut next = || lines.next().unwrap().unwrap();
        assert_eq!((next(), next()), ("wanted_bytes=7".to_owned(), "wanted_bytes=5".to_owned()));
    }

    #[test]
    fn a_fifo_is_as_good() {
        let tree = tempfile::tempdir().unwrap();
        let socket = socket(tree.path());
        let mut options = File::options();
        let mut fifo =
            options.read(true).custom_flags(libc::O_NONBLOCK).open(path(tree.path(), "p.t.fifo")).unwrap();
        assert_eq!(socket.ask(&[other(5), own(7)]), 1);
        let mut text = [0; 100];
        let length = fifo.read(&mut text).unwrap();
        assert_eq!(&text[..length], b"wanted_bytes=12\n");
    }

    /// What a program writes first (`$MEMORY_PRESSURE_WRITE`) does not matter.
    #[test]
    fn a_program_that_never_reads_or_has_ended_delays_no_request() {
        let tree = tempfile::tempdir().unwrap();
        let socket = socket(tree.path());
        let connect = || UnixStream::connect(path(tree.path(), "p.t")).unwrap();
        let mut silent: Vec<UnixStream> = (0..1000).map(|_| connect()).collect();
        silent[0].write_all(b"some 150000 2000000\0").unwrap();
        // Until every buffer is full, and beyond.
        let full = |stream: &UnixStream| {
            let mut left = Vec::new();
            stream.set_nonblocking(true).unwrap();
            let _ = BufReader::new(stream).read_to_end(&mut left);
            left.len()
        };
        for _ in 0..400 {
            assert_eq!(socket.ask(&[own(7)]), 1000);
        }
        assert!(full(&silent[999]) > 0);
        silent.truncate(3);
        assert_eq!(socket.ask(&[own(7)]), 3, "those that have ended are forgotten");
    }

    #[test]
    fn the_socket_goes_with_its_task_and_never_anothers() {
        let tree = tempfile::tempdir().unwrap();
        let path = path(tree.path(), "p.t");
        let first = socket(tree.path());
        let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&fifo(&path))), (0o666, 0o644));
        assert_eq!(mode(tree.path()) & 0o111, 0o111, "programs of other users find it");
        let refused = PressureSocket::open(path.clone()).unwrap_err();
        assert!(refused.contains("is that of another task"), "{refused}");
        // A restart does not wait until the task that was stopped has ended.
        first.close();
        assert!(!path.exists() && !fifo(&path).exists());
        let second = socket(tree.path());
        drop(first);
        assert!(path.exists() && fifo(&path).exists(), "what is removed is not the second's");
        assert_eq!(second.ask(&[]), 0);
        // As after kill -9: the files stay, and nothing listens.
        drop(second.open.lock().take());
        drop(second);
        assert!(path.exists() && fifo(&path).exists());
        let third = socket(tree.path());
        drop(third);
        assert!(!path.exists() && !fifo(&path).exists());
        let long = PressureSocket::open(super::path(tree.path(), &"n".repeat(120))).unwrap_err();
        assert!(long.contains("at most 107"), "{long}");
    }

    #[test]
    fn what_is_no_socket_stays() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("p.t");
        fs::write(&path, "precious").unwrap();
        assert!(!take_back(&path));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert!(take_back(&tree.path().join("gone")));
    }
}
