//! Where the log goes: the journal, else syslog's socket, else standard error.
//!
//! An event is one entry: in the journal as it is, elsewhere as one [`mod@line`] without control characters.

mod line;
mod syslog;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use syslog::Syslog;
use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// Names the place of the log: `stderr`, or `syslog:PATH`; unset or empty for the choice by what the machine has.
const PLACE: &str = "ETMEMD_LOG";

/// Where the programs of a machine hand in their logs (syslog(3)).
const SYSLOG: &str = "/dev/log";

/// What the log calls this program.
const IDENTIFIER: &str = "etmemd";

/// The facility of system daemons (RFC 3164, section 4.1.1).
const FACILITY: u8 = 3;

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// systemd's journal.
    Journal,
    /// A syslog daemon.
    Syslog,
    /// Standard error.
    StandardError,
}

/// What the environment asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    None,
    StandardError,
    Syslog(PathBuf),
}

/// Starts logging at `level`; says where to.
///
/// # Errors
/// When the environment asks for what is not there, or something else in this process logs already.
pub(crate) fn init(level: LevelFilter) -> Result<Place, String> {
    let (place, layer) = match wish(std::env::var_os(PLACE).as_deref())? {
        Wish::StandardError => to_standard_error(),
        Wish::Syslog(path) => to_syslog(&path)
            .map_err(|error| format!("{PLACE}=syslog:{}: nobody listens there: {error}", path.display()))?,
        Wish::None => {
            to_journal().or_else(|_| to_syslog(Path::new(SYSLOG))).unwrap_or_else(|_| to_standard_error())
        }
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(level));
    tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())?;
    Ok(place)
}

fn wish(value: Option<&OsStr>) -> Result<Wish, String> {
    let value = value.unwrap_or_default();
    match value.as_bytes() {
        b"" => Ok(Wish::None),
        b"stderr" => Ok(Wish::StandardError),
        bytes => match bytes.strip_prefix(b"syslog:/") {
            Some(_) => Ok(Wish::Syslog(PathBuf::from(OsStr::from_bytes(&bytes[b"syslog:".len()..])))),
            None => Err(format!(
                "{PLACE}={}: is neither stderr nor syslog:/PATH/OF/A/SOCKET; unset it, and the log goes to the \
                 journal, syslog or standard error, whatever there is",
                value.display()
            )),
        },
    }
}

type Destination = (Place, Box<dyn Layer<Registry> + Send + Sync>);

fn to_journal() -> io::Result<Destination> {
    let priorities =
        PriorityMappings { info: Priority::Informational, debug: Priority::Debug, ..PriorityMappings::new() };
    let journal = tracing_journald::layer()?
        .with_field_prefix(None)
        .with_priority_mappings(priorities)
        .with_syslog_identifier(IDENTIFIER.to_owned())
        .with_custom_fields([("SYSLOG_FACILITY", FACILITY.to_string())]);
    Ok((Place::Journal, Box::new(journal)))
}

fn to_syslog(path: &Path) -> io::Result<Destination> {
    Ok((Place::Syslog, Box::new(Syslog::connect(path)?)))
}

fn to_standard_error() -> Destination {
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_writer(|| line::Lines(io::stderr()));
    (Place::StandardError, Box::new(layer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_may_ask_for() {
        let wish = |value: &str| super::wish(Some(OsStr::new(value)));
        assert_eq!(super::wish(None), Ok(Wish::None));
        assert_eq!(wish(""), Ok(Wish::None));
        assert_eq!(wish("stderr"), Ok(Wish::StandardError));
        assert_eq!(wish("syslog:/run/log"), Ok(Wish::Syslog(PathBuf::from("/run/log"))));
        for wrong in ["syslog", "syslog:", "syslog:log", "STDERR", "file:/x"] {
            let reason = wish(wrong).unwrap_err();
            assert!(reason.contains(wrong) && reason.contains("stderr"), "{reason}");
        }
    }
}
