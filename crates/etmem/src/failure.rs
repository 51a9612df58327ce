//! Why there is no answer to show, and the exit status for it.
//!
//! The exit statuses are those of the original, on which scripts rely: negative error codes cut to a byte.

use std::io::{self, Write, stderr};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use etmem_wire::SocketName;

/// The daemon answered with a failure, or did not answer as it should (the original's `-ECOMM`).
pub(crate) const SERVER_SAID_NO: u8 = 186;
/// Nothing is asked for, there is no such object, or an option is missing, unknown or has a bad value (`-EINVAL`).
pub(crate) const BAD_OPTION: u8 = 234;
/// There are more arguments than the command takes (`-E2BIG`).
const SURPLUS: u8 = 249;
/// The object has no such command, or an engine's command or name is missing (`-1`).
pub(crate) const UNKNOWN_COMMAND: u8 = 255;
/// `EAGAIN`, as the original ends when a busy daemon accepts no connection for 10 s.
const BUSY: u8 = 11;
/// There is no etmemd to run (`-ENOENT`).
const NO_PROGRAM: u8 = 254;
/// `EIO`: the result could not be printed or written. The original does not notice.
const NOT_PRINTED: u8 = 5;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments are no command, or ask for help.
    #[error("{error}")]
    CommandLine { error: Box<clap::Error>, number: u8 },
    /// A command needs an option that was not given.
    #[error("\"{command}\" needs {option}; see etmem help")]
    Missing { command: &'static str, option: &'static str, number: u8 },
    /// A value cannot be sent.
    #[error("{what} {value:?} {reason}")]
    Value { what: &'static str, value: String, reason: String },
    /// No socket was named, and it is not clear which one is meant.
    #[error("no -s SOCKET given, and {0}")]
    WhichSocket(String),
    /// No daemon listens at the socket, or it cannot be reached.
    #[error("cannot connect to etmemd at socket {socket}: {}", connect_reason(.source))]
    Connect { socket: SocketName, source: io::Error },
    /// The daemon accepts no connection.
    #[error(
        "cannot connect to etmemd at socket {socket}: it is busy and has accepted no connection for {seconds} s"
    )]
    Busy { socket: SocketName, seconds: u64 },
    /// The connection broke down.
    #[error("lost the connection to etmemd at socket {socket}: {source}")]
    Lost { socket: SocketName, source: io::Error },
    /// The daemon did not answer in time.
    #[error(
        "etmemd at socket {socket} has not answered for {seconds} s; the command may still be carried out"
    )]
    Silent { socket: SocketName, seconds: u64 },
    /// The daemon closed the connection without an answer, and the user is not root.
    #[error("the daemon closed the connection without an answer; it serves root only")]
    RootOnly,
    /// The daemon closed the connection without an answer.
    #[error("the daemon closed the connection without an answer; its log says why")]
    NoAnswer,
    /// The daemon closed the connection after a part of its answer.
    #[error("the daemon closed the connection before the end of its answer; its log says why")]
    HalfAnAnswer,
    /// The daemon took the request for another one.
    #[error(
        "the daemon at socket {socket} knows no {command}: it is openEuler's etmemd, or older than this etmem"
    )]
    Unknown { command: &'static str, socket: SocketName },
    /// The file for metrics could not be written.
    #[error("cannot write metrics to {}: {source}; FILE is a file in a folder that exists", .path.display())]
    MetricsFile { path: PathBuf, source: io::Error },
    /// The file of metrics could not be read.
    #[error("cannot read metrics from {}: {source}; etmemd --metrics-file writes it", .path.display())]
    MetricsSource { path: PathBuf, source: io::Error },
    /// Nothing can listen there.
    #[error("cannot listen at {address}: {source}; name an address of this machine and a port that is free")]
    Listen { address: SocketAddr, source: io::Error },
    /// The etmemd that would do it is missing or cannot be run.
    #[error("cannot run {}, which this command needs: {source}", .program.display())]
    NoEtmemd { program: PathBuf, source: io::Error },
    /// There is nothing to listen to.
    #[error("{0}")]
    Pressure(String),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
    /// The manual pages could not be written.
    #[error("cannot write the manual pages: {0}")]
    Manual(io::Error),
    /// The answer came, but could not be printed.
    #[error("the command was carried out, but its answer could not be printed: {0}")]
    Output(io::Error),
}

impl Failure {
    /// The arguments are no command, or ask for help. `known_object`: whether they name an object.
    pub(crate) fn command_line(mut error: clap::Error, known_object: bool) -> Self {
        if unknown_argument(&error).is_some_and(|argument| argument.starts_with('-')) {
            let tip = "a value cannot begin with '-', which the protocol takes for an absent value";
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        }
        let number = command_line_number(&error, known_object);
        Self::CommandLine { error: Box::new(error), number }
    }

    /// Shows what is wrong on standard error, and help that was asked for on standard output.
    pub(crate) fn print(&self) {
        // If standard error cannot be written, the exit status remains.
        let _unwritable = if let Self::CommandLine { error, .. } = self {
            error.print()
        } else {
            writeln!(stderr(), "etmem: {self}")
        };
    }

    /// The exit status.
    pub(crate) fn number(&self) -> u8 {
        match self {
            Self::CommandLine { number, .. } | Self::Missing { number, .. } => *number,
            Self::Value { .. } | Self::WhichSocket(_) | Self::Pressure(_) => BAD_OPTION,
            Self::Connect { source, .. } => {
                source.raw_os_error().and_then(|number| u8::try_from(number).ok()).unwrap_or(BUSY)
            }
            Self::Busy { .. } => BUSY,
            Self::Lost { .. }
            | Self::Silent { .. }
            | Self::RootOnly
            | Self::NoAnswer
            | Self::HalfAnAnswer
            | Self::Unknown { .. } => SERVER_SAID_NO,
            Self::NoEtmemd { .. } => NO_PROGRAM,
            Self::Manual(_)
            | Self::Listen { .. }
            | Self::MetricsSource { .. }
            | Self::Output(_)
            | Self::MetricsFile { .. }
            | Self::Signals(_) => NOT_PRINTED,
        }
    }
}

fn command_line_number(error: &clap::Error, known_object: bool) -> u8 {
    let kind = error.kind();
    if kind == ErrorKind::DisplayHelp || kind == ErrorKind::DisplayVersion {
        return 0;
    }
    if kind == ErrorKind::InvalidSubcommand {
        return if known_object { UNKNOWN_COMMAND } else { BAD_OPTION };
    }
    if unknown_argument(error).is_some_and(|argument| !argument.starts_with('-')) {
        SURPLUS
    } else {
        BAD_OPTION
    }
}

/// The argument that no command takes, if that is what is wrong.
fn unknown_argument(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) if error.kind() == ErrorKind::UnknownArgument => Some(argument),
        Some(_) | None => None,
    }
}

fn connect_reason(source: &io::Error) -> String {
    if source.kind() == io::ErrorKind::ConnectionRefused {
        "no etmemd listens there".to_owned()
    } else {
        source.to_string()
    }
}
