//! Where the log goes: the journal, else syslog's socket, else standard error.
//!
//! An event is one entry: in the journal as it is, elsewhere as one [`mod@line`] without control characters.

mod line;
mod syslog;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use syslog::{FACILITY, IDENTIFIER, Syslog};
use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// Names the place of the log: `stderr`, or `syslog:PATH`. If it is unset or empty, the machine decides.
const PLACE: &str = "ETMEMD_LOG";

/// The socket to which programs send their logs (syslog(3)).
const SYSLOG: &str = "/dev/log";

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

/// Starts logging at `level`; returns the place.
///
/// # Errors
/// When the place that the environment asks for is not there, or another part of this process logs already.
pub(crate) fn init(level: LevelFilter) -> Result<Place, String> {
    let (place, layer) = match wish(std::env::var_os(PLACE).as_deref())? {
        Wish::StandardError => to_standard_error(),
        Wish::Syslog(path) => to_syslog(&path).map_err(|error| {
            format!("{PLACE}=syslog:{}: no process listens there: {error}", path.display())
        })?,
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
                "{PLACE}={}: is neither stderr nor syslog:/PATH/OF/A/SOCKET; correct it, or unset it to log to the \
                 journal, else to syslog, else to standard error",
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
