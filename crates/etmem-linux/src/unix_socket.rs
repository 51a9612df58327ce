//! Sockets of this machine's programs.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::os::fd::OwnedFd;

/// A stream that has no address yet. Nothing waits on it: a connection that would have to is refused with `EAGAIN` (unix(7)).
///
/// # Errors
/// What the system lacks.
pub fn stream() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}
