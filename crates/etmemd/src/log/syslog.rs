//! The log as datagrams to a syslog daemon on this machine (RFC 3164, without the host's name, as syslog(3) sends
//! them).
//!
//! ```text
//! <27>Nov 21 03:40:13 etmemd[4711]: socket @etmemd_socket: ...
//! ```
//!
//! Nothing waits for the syslog daemon. Lines that it does not take at once are lost and counted; when it takes lines
//! again, the first one says how many were lost. After a restart of that daemon, its new socket is found.

use super::line;
use jiff::ZonedDateTime;
use parking_lot::Mutex;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The log's name for this program.
pub(super) const IDENTIFIER: &str = "etmemd";

/// The facility of system daemons (RFC 3164, section 4.1.1).
pub(super) const FACILITY: u8 = 3;

/// Bytes of a line; syslog daemons cut at 8 KiB or earlier.
const LONGEST: usize = 8000;

/// A connection to a syslog daemon.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    connection: Mutex<Connection>,
}

#[derive(Debug)]
struct Connection {
    socket: Option<UnixDatagram>,
    lost: u64,
}

/// The severity of warnings (RFC 3164, section 4.1.1).
const WARNING: u8 = 4;

/// The severity of a line.
const fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => WARNING,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

impl Syslog {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// When no process listens there.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let socket = Some(open(path)?);
        Ok(Self { path: path.to_owned(), connection: Mutex::new(Connection { socket, lost: 0 }) })
    }

    fn log(&self, severity: u8, text: &str) {
        let mut connection = self.connection.lock();
        if connection.lost > 0 {
            let gap = format!("lines lost before this one, as syslog did not take them: {}", connection.lost);
            if !connection.send(&self.path, &packet(WARNING, &gap)) {
                connection.lost += 1;
                return;
            }
            connection.lost = 0;
        }
        if !connection.send(&self.path, &packet(severity, text)) {
            connection.lost += 1;
        }
    }
}

impl<S: Subscriber> Layer<S> for Syslog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.log(severity(*event.metadata().level()), &line::of(event));
    }
}

impl Connection {
    /// Whether the syslog daemon took `packet`. A broken connection is opened again, once.
    fn send(&mut self, path: &Path, packet: &[u8]) -> bool {
        if let Some(socket) = &self.socket {
            match socket.send(packet) {
                Ok(_) => return true,
                // The daemon is there, but does not keep up.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => self.socket = None,
            }
        }
        let Ok(socket) = open(path) else { return false };
        let taken = socket.send(packet).is_ok();
        self.socket = Some(socket);
        taken
    }
}

fn open(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

fn packet(severity: u8, text: &str) -> Vec<u8> {
    let priority = FACILITY << 3 | severity;
    // If there is no time, the syslog daemon sets its own.
    let time = ZonedDateTime::now().strftime("%b %e %H:%M:%S");
    let mut packet = format!("<{priority}>{time} {IDENTIFIER}[{}]: {text}", std::process::id());
    let end = (0..=LONGEST.min(packet.len())).rev().find(|end| packet.is_char_boundary(*end));
    packet.truncate(end.unwrap_or(0));
    packet.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{debug, error, info, warn};
    use tracing_subscriber::layer::SubscriberExt;

    /// A syslog daemon in a folder of its own.
    struct Daemon {
        folder: tempfile::TempDir,
        socket: UnixDatagram,
    }

    impl Daemon {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let socket = listen(&folder.path().join("log"));
            Self { folder, socket }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("log")
        }

        fn restart(&mut self) {
            self.stop();
            self.socket = listen(&self.path());
        }

        fn stop(&mut self) {
            std::fs::remove_file(self.path()).unwrap();
            self.socket = UnixDatagram::unbound().unwrap();
        }

        /// The text of the next packet after the time, whose form is checked.
        fn next(&self) -> String {
            let mut buffer = [0; 20_000];
            let length = self.socket.recv(&mut buffer).unwrap();
            let packet = std::str::from_utf8(&buffer[..length]).unwrap();
            let (priority, rest) = packet.split_once('>').unwrap();
            let (time, text) = rest.split_at("Nov 21 03:40:13 ".len());
            assert!(time.as_bytes()[3] == b' ' && time.as_bytes()[9] == b':', "{packet}");
            let sender = format!("etmemd[{}]: ", std::process::id());
            format!("{priority}> {}", text.strip_prefix(&sender).unwrap())
        }
    }

    fn listen(path: &Path) -> UnixDatagram {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        socket
    }

    #[test]
    fn each_level_has_its_severity_and_each_event_one_line() {
        let daemon = Daemon::start();
        let syslog = Syslog::connect(&daemon.path()).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(syslog), || {
            error!("bad");
            warn!("refused: a\nb\u{1b}");
            info!(task = "t", "done");
            debug!("seen");
        });
        assert_eq!(daemon.next(), "<27> bad");
        assert_eq!(daemon.next(), "<28> refused: a\\nb\\u{1b}");
        assert_eq!(daemon.next(), "<30> done task=\"t\"");
        assert_eq!(daemon.next(), "<31> seen");
    }

    #[test]
    fn a_daemon_that_restarts_is_found_and_receives_the_number_of_lost_lines() {
        let mut daemon = Daemon::start();
        let syslog = Syslog::connect(&daemon.path()).unwrap();
        daemon.restart();
        syslog.log(severity(Level::ERROR), "kept");
        assert_eq!(daemon.next(), "<27> kept");
        daemon.stop();
        syslog.log(severity(Level::ERROR), "lost");
        syslog.log(severity(Level::ERROR), "also lost");
        daemon.socket = listen(&daemon.path());
        syslog.log(severity(Level::ERROR), "back");
        assert_eq!(daemon.next(), "<28> lines lost before this one, as syslog did not take them: 2");
        assert_eq!(daemon.next(), "<27> back");
    }

    #[test]
    fn a_daemon_that_does_not_read_delays_nothing() {
        let daemon = Daemon::start();
        let syslog = Syslog::connect(&daemon.path()).unwrap();
        let mut sent = 0;
        while syslog.connection.lock().lost == 0 {
            syslog.log(severity(Level::ERROR), "more");
            sent += 1;
            assert!(sent < 1_000_000, "the queue has no end");
        }
        for _ in 1..sent {
            assert_eq!(daemon.next(), "<27> more");
        }
        syslog.log(severity(Level::ERROR), "last");
        assert_eq!(daemon.next(), "<28> lines lost before this one, as syslog did not take them: 1");
        assert_eq!(daemon.next(), "<27> last");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let daemon = Daemon::start();
        let syslog = Syslog::connect(&daemon.path()).unwrap();
        syslog.log(severity(Level::ERROR), &"é".repeat(10_000));
        let text = daemon.next();
        assert!(text.ends_with('é') && text.len() < LONGEST && text.len() > LONGEST - 100, "{}", text.len());
    }
}
