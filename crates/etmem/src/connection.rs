//! One request over one connection, and its answer, printed as it arrives.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use etmem_wire::{Request, SocketName, Status, response_part};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, socket};
use nix::unistd::{getegid, geteuid};

use crate::failure::Failure;

/// How long to wait until the daemon accepts the connection, until it takes the request, and for each piece of its answer.
/// The original waits as long.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Sends `request` to the daemon at `socket`, prints its answer to `out` and returns its status.
///
/// A closed `out`, such as a pipe into `head`, is no failure and does not stop the work of the daemon.
pub(crate) fn ask(
    socket: &SocketName,
    request: &Request,
    limit: Duration,
    out: &mut dyn Write,
) -> Result<Status, Failure> {
    let seconds = limit.as_secs();
    let mut stream = connect(socket, limit).map_err(|source| {
        let socket = socket.clone();
        if source.kind() == io::ErrorKind::WouldBlock {
            Failure::Busy { socket, seconds }
        } else {
            Failure::Connect { socket, source }
        }
    })?;
    let broken = |source: io::Error| {
        let socket = socket.clone();
        if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&source.kind()) {
            Failure::Silent { socket, seconds }
        } else {
            Failure::Lost { socket, source }
        }
    };
    stream.set_read_timeout(Some(limit)).map_err(broken)?;
    match stream.write_all(request.encode().as_bytes()) {
        // The daemon may have closed the connection already. What it answered can still be read.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        sent => sent.map_err(broken)?,
    }

    // As much as a pipe takes at once: each write wakes the reader of standard output.
    let mut segment = vec![0; 64 << 10];
    let mut answered = false;
    let mut printed = Ok(());
    loop {
        let length = match stream.read(&mut segment) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The kernel reports this if the daemon closed the connection before it read the request.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            read => read.map_err(broken)?,
        };
        if length == 0 {
            return Err(closed(answered));
        }
        answered = true;
        let (text, status) = response_part(&segment[..length]);
        let newline: &[u8] = if status == Some(Status::Failure) { b"\n" } else { b"" };
        printed = printed
            .and_then(|()| out.write_all(text))
            .and_then(|()| out.write_all(newline))
            .and_then(|()| out.flush());
        match (status, printed) {
            (None, so_far) => printed = so_far,
            (Some(Status::Success), Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(Failure::Output(error));
            }
            (Some(status), _) => return Ok(status),
        }
    }
}

/// Connects, or gives up if the daemon's queue of connections stays full for `limit`. The limit for sending also holds for
/// the wait in that queue, if it is set before (`unix_stream_connect` in `net/unix/af_unix.c`).
fn connect(name: &SocketName, limit: Duration) -> io::Result<UnixStream> {
    let unconnected = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let stream = UnixStream::from(unconnected);
    stream.set_write_timeout(Some(limit))?;
    socket::connect(stream.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
    Ok(stream)
}

/// Why the daemon closed the connection before its final byte.
fn closed(answered: bool) -> Failure {
    let root = geteuid().is_root() && getegid().as_raw() == 0;
    match (answered, root) {
        (true, _) => Failure::HalfAnAnswer,
        (false, false) => Failure::RootOnly,
        (false, true) => Failure::NoAnswer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    #[test]
    fn a_silent_daemon_is_not_waited_for_forever() {
        let socket = SocketName::new(format!("etmem-silent-{}", std::process::id()).as_bytes()).unwrap();
        let _listener =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(socket.as_bytes()).unwrap()).unwrap();
        let request = Request::ProjectShow { name: None, verbose: false };
        let failure = ask(&socket, &request, Duration::from_millis(30), &mut Vec::new()).unwrap_err();
        assert!(matches!(failure, Failure::Silent { .. }), "{failure}");
        assert_eq!(failure.number(), 186);
    }
}
