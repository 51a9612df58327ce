//! One request over one connection, and its answer to standard output as it comes.

use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use etmem_wire::{Request, SocketName, Status, response_part};
use nix::unistd::{getegid, geteuid};

use crate::failure::Failure;

/// How long to wait for a daemon to let us in, to take the request, and for each piece of its answer: the
/// original's 10 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Sends `request` to the daemon at `socket`, prints its answer to `out` and says how it went.
///
/// A closed `out` (such as a pipe into `head`) does not stop the daemon's work, nor is it a failure.
pub(crate) fn ask(
    socket: &SocketName,
    request: &Request,
    patience: Duration,
    out: &mut dyn Write,
) -> Result<Status, Failure> {
    let mut stream =
        connect(socket, patience).map_err(|source| Failure::Connect { socket: socket.clone(), source })?;
    let broken = |source: io::Error| {
        let socket = socket.clone();
        if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&source.kind()) {
            Failure::Silent { socket, seconds: patience.as_secs() }
        } else {
            Failure::Lost { socket, source }
        }
    };
    stream.set_write_timeout(Some(patience)).map_err(broken)?;
    stream.set_read_timeout(Some(patience)).map_err(broken)?;
    match stream.write_all(request.encode().as_bytes()) {
        // The daemon may have turned us away already; what it said, if anything, is still there to read.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        sent => sent.map_err(broken)?,
    }

    let mut segment = [0; 4096];
    let mut answered = false;
    let mut printed = Ok(());
    loop {
        let length = match stream.read(&mut segment) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // So the kernel reports a close that left our request unread.
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

/// Connects, or gives up when the daemon's queue stays full: a socket's own timeout cannot be set before it is
/// connected, so the attempt is made on a thread that ends with the program.
fn connect(socket: &SocketName, patience: Duration) -> io::Result<UnixStream> {
    let address = SocketAddr::from_abstract_name(socket.as_bytes())?;
    let (done, outcome) = mpsc::sync_channel(1);
    thread::Builder::new().spawn(move || done.send(UnixStream::connect_addr(&address)))?;
    outcome.recv_timeout(patience).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// What it means that the daemon closed the connection before its final byte.
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
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_silent_daemon_is_not_waited_for_forever() {
        let socket = SocketName::new(format!("etmem-silent-{}", std::process::id()).as_bytes()).unwrap();
        let _listener =
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(socket.as_bytes()).unwrap()).unwrap();
        let request = Request::ProjectShow { name: None };
        let failure = ask(&socket, &request, Duration::from_millis(30), &mut Vec::new()).unwrap_err();
        assert!(matches!(failure, Failure::Silent { .. }), "{failure}");
        assert_eq!(failure.number(), 186);
    }
}
