//! Notifications to the service manager (sd_notify(3)): ready, stopping, still alive. The manager asks for them by
//! `NOTIFY_SOCKET` and `WATCHDOG_USEC` in the environment; without these nothing is sent.

use etmem_wire::SocketName;
use nix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use tracing::warn;

/// How long to wait for a manager that does not keep up.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// The manager that started this daemon as a service, if it wants notifications.
#[derive(Debug, Default)]
pub(crate) struct ServiceManager {
    address: Option<OsString>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// As the environment names it.
    pub(crate) fn from_environment() -> Self {
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        // The variables are inherited: the watchdog may be meant for the process that started this one.
        let is_meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        Self {
            address: env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()),
            watchdog: number("WATCHDOG_USEC").filter(|_| is_meant).map(Duration::from_micros),
        }
    }

    /// Reports that the daemon listens on `socket`.
    pub(crate) fn ready(&self, socket: &SocketName) {
        // A line of the message is a statement: the name must not begin another one.
        let name = socket.to_string().replace(char::is_control, "\u{fffd}");
        self.notify(&format!("READY=1\nSTATUS=listening on @{name}\n"));
    }

    /// Reports that the daemon reads its files again.
    pub(crate) fn reloading(&self) {
        // The manager wants to know when, by this clock (sd_notify(3), MONOTONIC_USEC).
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        self.notify(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", now.as_micros()));
    }

    /// Reports that it has read them.
    pub(crate) fn reloaded(&self) {
        self.notify("READY=1\n");
    }

    /// Reports that the daemon stops.
    pub(crate) fn stopping(&self) {
        self.notify("STOPPING=1\nSTATUS=stopping\n");
    }

    /// Reports that the daemon is alive.
    pub(crate) fn alive(&self) {
        self.notify("WATCHDOG=1\n");
    }

    /// How often to report that the daemon is alive: twice within the time after which the manager takes it for hung.
    /// `None` without a watchdog.
    pub(crate) fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2).filter(|period| !period.is_zero() && self.address.is_some())
    }

    fn notify(&self, message: &str) {
        let Some(address) = &self.address else { return };
        if let Err(error) = send(address.as_bytes(), message) {
            warn!("cannot notify the service manager at NOTIFY_SOCKET={}: {error}", address.display());
        }
    }
}

/// Sends `message` to the datagram socket at `address`: a path, or `@` and an abstract name.
fn send(address: &[u8], message: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(ANSWER_LIMIT))?;
    let address = match address {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(address))?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "is neither /PATH nor @NAME")),
    };
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_name_cannot_add_a_statement() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = ServiceManager { address: Some(path.into()), watchdog: None };
        manager.ready(&SocketName::new(b"a\nMAINPID=1").unwrap());
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], "READY=1\nSTATUS=listening on @a\u{fffd}MAINPID=1\n".as_bytes());
    }

    #[test]
    fn the_period_is_half_of_the_watchdog_and_needs_a_socket() {
        let period = |address: Option<&str>, watchdog| {
            let watchdog = Some(Duration::from_micros(watchdog));
            ServiceManager { address: address.map(OsString::from), watchdog }.watchdog_period()
        };
        assert_eq!(period(Some("/run/notify"), 3_000_000), Some(Duration::from_millis(1500)));
        assert_eq!(period(Some("/run/notify"), 0), None);
        assert_eq!(period(None, 3_000_000), None);
    }

    #[test]
    fn bad_addresses_are_refused() {
        for address in ["relative", "vsock:2:1234", "/nobody/listens/here", "@nobody-listens-here"] {
            assert!(send(address.as_bytes(), "READY=1\n").is_err(), "{address}");
        }
    }
}
