//! Which socket to connect to: that of `-s`, else of `ETMEM_SOCKET`, else that of the only etmemd that listens.
//!
//! An abstract socket does not name its owner. `/proc/net/unix` has its name and inode, and `/proc/PID/fd` of the processes
//! called etmemd has the inodes of their sockets.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use etmem_wire::SocketName;

use crate::failure::Failure;

/// The flag of a listening socket in `/proc/net/unix` (`__SO_ACCEPTCON`, `include/linux/net.h`).
const LISTENS: u32 = 1 << 16;

/// Takes the value of `what` as a socket name.
pub(crate) fn socket_name(what: &'static str, value: &OsStr) -> Result<SocketName, Failure> {
    SocketName::new(value.as_bytes()).map_err(|error| Failure::Value {
        what,
        value: value.to_string_lossy().into_owned(),
        reason: error.to_string(),
    })
}

/// The socket to connect to; `proc` is where procfs is mounted.
pub(crate) fn choose(
    given: Option<SocketName>,
    from_environment: Option<OsString>,
    proc: &Path,
) -> Result<SocketName, Failure> {
    if let Some(socket) = given {
        return Ok(socket);
    }
    if let Some(value) = from_environment.filter(|value| !value.is_empty()) {
        return socket_name("ETMEM_SOCKET", &value);
    }
    let (mut sockets, hidden) = sockets_of_etmemd(proc);
    match (sockets.len(), hidden) {
        (1, false) => Ok(sockets.remove(0)),
        (0, false) => Err(Failure::WhichSocket("no etmemd listens on this machine".to_owned())),
        (_, true) => Err(Failure::WhichSocket("only root can see where etmemd listens".to_owned())),
        (many, false) => {
            let names = sockets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Err(Failure::WhichSocket(format!("etmemd listens at {many} sockets; choose one of: {names}")))
        }
    }
}

/// The sockets at which processes called etmemd listen, and whether the sockets of any of them are hidden from this user.
fn sockets_of_etmemd(proc: &Path) -> (Vec<SocketName>, bool) {
    let mut theirs = BTreeSet::new();
    let mut hidden = false;
    for process in fs::read_dir(proc).into_iter().flatten().flatten() {
        if !process.file_name().as_bytes().iter().all(u8::is_ascii_digit)
            || !fs::read(process.path().join("comm")).is_ok_and(|comm| comm == b"etmemd\n")
        {
            continue;
        }
        match inodes(&process.path().join("fd")) {
            Ok(found) => theirs.extend(found),
            Err(error) => hidden |= error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    let table = fs::read(proc.join("net/unix")).unwrap_or_default();
    let sockets = table
        .split(|byte| *byte == b'\n')
        .filter_map(listener)
        .filter(|(inode, _)| theirs.contains(inode))
        .filter_map(|(_, name)| SocketName::new(name).ok())
        .collect();
    (sockets, hidden)
}

/// The inodes of the sockets that a process holds open.
fn inodes(descriptors: &Path) -> io::Result<Vec<u64>> {
    let targets = fs::read_dir(descriptors)?.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    Ok(targets
        .filter_map(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect())
}

/// The inode and the name of a line's socket, if it is abstract and listens
/// (`Num: RefCount Protocol Flags Type St Inode Path`, `unix_seq_show` in `net/unix/af_unix.c`).
fn listener(line: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = line;
    let mut fields = [""; 7];
    for field in &mut fields {
        let start = rest.trim_ascii_start();
        let (text, after) = start.split_at(start.iter().position(|byte| *byte == b' ')?);
        *field = str::from_utf8(text).ok()?;
        rest = after;
    }
    let [_number, _references, _protocol, flags, _kind, _state, inode] = fields;
    let name = rest.strip_prefix(b" @")?;
    let listens = u32::from_str_radix(flags, 16).ok()? & LISTENS != 0;
    listens.then_some((inode.parse().ok()?, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const TABLE: &str = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 20001 @etmemd_socket
0000000000000000: 00000003 00000000 00000000 0001 03 20002 @etmemd_socket
0000000000000000: 00000002 00000000 00010000 0001 01   203 @a b@
0000000000000000: 00000002 00000000 00010000 0001 01 20004 /run/etmemd.sock
0000000000000000: 00000002 00000000 00010000 0001 01 20005 @other
0000000000000000: 00000003 00000000 00000000 0001 03 20006
";

    /// A procfs with processes: pid, comm, inodes of their sockets.
    fn procfs(processes: &[(u32, &str, &[u64])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("net")).unwrap();
        fs::write(root.path().join("net/unix"), TABLE).unwrap();
        for (pid, comm, inodes) in processes {
            let process = root.path().join(pid.to_string());
            fs::create_dir_all(process.join("fd")).unwrap();
            fs::write(process.join("comm"), format!("{comm}\n")).unwrap();
            symlink("/dev/null", process.join("fd/0")).unwrap();
            for (number, inode) in inodes.iter().enumerate() {
                symlink(format!("socket:[{inode}]"), process.join(format!("fd/{}", number + 3))).unwrap();
            }
        }
        root
    }

    fn chosen(processes: &[(u32, &str, &[u64])]) -> Result<String, String> {
        let root = procfs(processes);
        match choose(None, None, root.path()) {
            Ok(socket) => Ok(socket.to_string()),
            Err(failure) => {
                assert_eq!(failure.number(), 234);
                Err(failure.to_string())
            }
        }
    }

    #[test]
    fn only_etmemd_is_found() {
        let one = [(7, "etmemd", &[20001, 20002, 20004, 99][..]), (8, "dbus-daemon", &[20005])];
        assert_eq!(chosen(&one), Ok("etmemd_socket".to_owned()));
        assert_eq!(chosen(&[(7, "etmemd", &[203])]), Ok("a b@".to_owned()));
    }

    #[test]
    fn no_etmemd_or_several_are_refused() {
        assert_eq!(
            chosen(&[(7, "etmemd2", &[20001])]),
            Err("no -s SOCKET given, and no etmemd listens on this machine".to_owned())
        );
        assert_eq!(
            chosen(&[(7, "etmemd", &[20005]), (8, "etmemd", &[20001])]),
            Err("no -s SOCKET given, and etmemd listens at 2 sockets; choose one of: etmemd_socket, other"
                .to_owned())
        );
    }

    #[test]
    fn named_socket_goes_before_found_socket() {
        let root = procfs(&[(7, "etmemd", &[20001])]);
        let given = || SocketName::new(b"given").ok();
        for (given, environment, want) in [
            (given(), Some("set"), "given"),
            (None, Some("set"), "set"),
            (None, Some(""), "etmemd_socket"),
            (None, None, "etmemd_socket"),
        ] {
            let socket = choose(given, environment.map(OsString::from), root.path()).unwrap();
            assert_eq!(socket.to_string(), want);
        }
        let long = choose(None, Some("n".repeat(108).into()), root.path()).unwrap_err();
        assert!(long.to_string().starts_with("ETMEM_SOCKET \"nnn"), "{long}");
    }
}
