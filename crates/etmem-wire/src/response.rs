//! What the daemon answers: text, then one byte that says how it went and ends the answer.
//!
//! Out of the daemon goes a whole [`Response`]. Into the client come segments of it, cut anywhere, which
//! [`response_part`] takes apart one by one, so that text can be shown as it comes.

use std::fmt;

/// How a request went: the last byte of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// It was done.
    Success = 0xff,
    /// It was refused, or went wrong.
    Failure = 0xfe,
}

impl Status {
    /// The byte on the wire. Neither of the two occurs in UTF-8.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Success, Self::Failure].into_iter().find(|status| status.byte() == byte)
    }
}

/// What kind of failure it is. Scripts match on the texts, which are the original's to the letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, derive_more::Display)]
pub enum ErrorKind {
    /// The request, the file or the engine command is not acceptable.
    #[display("error: invalid parameters")]
    InvalidParameters,
    /// A project of that name is there already.
    #[display("error: project has been existed")]
    ProjectExists,
    /// No project has that name.
    #[display("error: project is not exist")]
    NoSuchProject,
    /// The project runs already.
    #[display("error: project has been started")]
    ProjectStarted,
    /// The project does not run.
    #[display("error: project has been stopped")]
    ProjectStopped,
    /// The project has that engine already.
    #[display("error: engine has been existed")]
    EngineExists,
    /// The project does not have that engine.
    #[display("error: engine is not exist")]
    NoSuchEngine,
    /// The engine has a task of that name already.
    #[display("error: task has been existed")]
    TaskExists,
    /// The engine has no task of that name.
    #[display("error: task is not exist")]
    NoSuchTask,
    /// Anything else.
    #[display("error: etmemd has internal error, see reason details in messages")]
    Internal,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: Status,
    text: String,
}

impl Response {
    /// Success, with `text` for the client to print; none if empty.
    ///
    /// A text gets a newline at its end if it has none, because clients print it as it is.
    #[must_use]
    pub fn success(text: impl Into<String>) -> Self {
        let mut text = printable(text.into());
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        Self { status: Status::Success, text }
    }

    /// Failure of a `kind`, with a line for each of the `reasons`: which key, which value, which limit, which file.
    ///
    /// The text has no newline at its end, because clients print one after a failure.
    #[must_use]
    pub fn failure<R: fmt::Display>(kind: ErrorKind, reasons: impl IntoIterator<Item = R>) -> Self {
        let mut text = kind.to_string();
        for reason in reasons {
            text.push('\n');
            text.push_str(printable(reason.to_string()).trim_end_matches('\n'));
        }
        Self { status: Status::Failure, text }
    }

    /// How it went.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The text alone.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes to send: the text and the final byte.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = self.text.into_bytes();
        bytes.push(self.status.byte());
        bytes
    }
}

/// `text` without the characters that harm the other end: the original's client stops printing a segment at a NUL, and
/// a terminal obeys control characters, which the names of files and processes may contain.
fn printable(text: String) -> String {
    // Long answers seldom contain any, and a scan of bytes takes a tenth of the time of a scan of characters.
    if !text.bytes().fold(false, |found, byte| found | may_be_control(byte)) {
        return text;
    }
    text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{fffd}")
}

/// Whether a control character may begin with this byte: one of ASCII, or one of U+0080 to U+009F.
const fn may_be_control(byte: u8) -> bool {
    byte < b' ' && byte != b'\n' && byte != b'\t' || byte == 0x7f || byte == 0xc2
}

/// Takes apart a segment of an answer: its text, and how the request went if the answer ends in this segment.
///
/// Bytes after the final byte are not part of the answer. The text may be cut within a character.
#[must_use]
pub fn response_part(segment: &[u8]) -> (&[u8], Option<Status>) {
    let end = segment.iter().position(|byte| Status::from_byte(*byte).is_some());
    match end {
        Some(end) => (&segment[..end], Status::from_byte(segment[end])),
        None => (segment, None),
    }
}
