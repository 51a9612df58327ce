//! Bytes of a request, in whatever pieces they arrive, to a [`Request`].
//!
//! A request has no terminator, so its end is known only from its grammar, and not always from that:
//!
//! ```text
//!              the value of task_name has no byte yet
//!   Incomplete ------------------------------------------+
//!       | it has one                                     |
//!       |                                                v
//!       |-- a task is needed, and no byte ended it --> MayGrow   "… task_name my" or "… task_name mytask"?
//!       v                                                | a byte that ends it, or one byte too many
//!    Settled <-------------------------------------------+
//! ```
//!
//! Only an engine command or a `task show` with a task can be [`Progress::MayGrow`]; every other request is settled by
//! its last byte, without a wait. Values are read as the original does: a value ends at the first space, one that begins
//! with `-` is absent, and everything after the last value (space, newline, NUL, anything) is ignored, as are values
//! that the request does not need.

use etmem_core::name::Name;

use crate::key::Key;
use crate::request::{
    DIFF, KEEP, MetricsForm, RELOAD, REQUEST_MAX, Request, STRICT, TaskForm, VERBOSE, Verb,
};
use crate::request_error::RequestError;
use crate::word::Word;

/// How much of a request has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More bytes must come. A client that sends none for long is not worth waiting for.
    Incomplete,
    /// The request is complete if no more bytes come: wait a short time (a sender writes its line with one call, so 50 ms
    /// are plenty) or for the sender to shut down its side, then [`RequestReader::finish`].
    MayGrow,
    /// No further byte can change what [`RequestReader::finish`] returns.
    Settled,
}

/// Collects the bytes of one request. Keeps at most one byte more than [`REQUEST_MAX`], whatever is fed.
#[derive(Debug, Clone, Default)]
pub struct RequestReader {
    arrived: Vec<u8>,
}

impl RequestReader {
    /// Takes the bytes that arrived next.
    pub fn feed(&mut self, bytes: &[u8]) -> Progress {
        let room = (REQUEST_MAX + 1).saturating_sub(self.arrived.len());
        self.arrived.extend_from_slice(&bytes[..bytes.len().min(room)]);
        match line(&self.arrived) {
            Line::Cut(_) => Progress::Incomplete,
            Line::Wrong(_) => Progress::Settled,
            Line::Whole { open: true, .. } => Progress::MayGrow,
            Line::Whole { open: false, .. } => Progress::Settled,
        }
    }

    /// The request, now that no more bytes come.
    ///
    /// # Errors
    /// Says what is wrong with the bytes that were fed.
    pub fn finish(&self) -> Result<Request, RequestError> {
        match line(&self.arrived) {
            Line::Cut(key) => Err(RequestError::Truncated(key)),
            Line::Wrong(error) => Err(error),
            Line::Whole { values, open: _ } => request(values),
        }
    }
}

impl Request {
    /// The request in `bytes`, which are all there are.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, RequestError> {
        let mut reader = RequestReader::default();
        reader.feed(bytes);
        reader.finish()
    }
}

/// The values of a line in the order of [`Key::ALL`]; `None` for `-`.
type Values<'a> = [Option<&'a [u8]>; 6];

/// A line taken apart, before its values are looked at.
enum Line<'a> {
    /// It ends before the value of this key does.
    Cut(Key),
    /// It breaks the grammar, whatever bytes follow.
    Wrong(RequestError),
    /// Every value is there.
    Whole {
        values: Values<'a>,
        /// The last value is needed, and reaches to the end of what arrived: it may go on in the next bytes.
        open: bool,
    },
}

/// Takes apart what arrived.
fn line(arrived: &[u8]) -> Line<'_> {
    let within = &arrived[..arrived.len().min(REQUEST_MAX)];
    let cut = |key| {
        if within.len() == REQUEST_MAX { Line::Wrong(RequestError::TooLong) } else { Line::Cut(key) }
    };
    let mut values = Values::default();
    let mut open = false;
    let mut at = 0;
    for (key, value) in Key::ALL.into_iter().zip(&mut values) {
        let rest = &within[at..];
        let want = format!("{key} ");
        let comparable = rest.len().min(want.len());
        if rest[..comparable] != want.as_bytes()[..comparable] {
            return Line::Wrong(RequestError::WrongKey { key, at });
        }
        let rest = &rest[comparable..];
        let last = key == Key::Task;
        let end = rest.iter().position(|byte| if last { ends_last_value(*byte) } else { *byte == b' ' });
        match (end, last) {
            (Some(0), _) => return Line::Wrong(RequestError::Empty(key)),
            (Some(_), _) => {}
            (None, true) if !rest.is_empty() => open = !rest.starts_with(b"-"),
            (None, _) => return cut(key),
        }
        let found = &rest[..end.unwrap_or(rest.len())];
        *value = (!found.starts_with(b"-")).then_some(found);
        at += want.len() + found.len() + " ".len();
    }
    open &= has_task(&values);
    match arrived.get(REQUEST_MAX) {
        Some(more) if open && !ends_last_value(*more) => Line::Wrong(RequestError::TooLong),
        Some(_) => Line::Whole { values, open: false },
        None => Line::Whole { values, open },
    }
}

/// Whether the request may name a task.
fn has_task(values: &Values<'_>) -> bool {
    let [_, _, command, _, engine_command, _] = *values;
    match verb(command) {
        Ok(Verb::Engine) => true,
        Ok(Verb::ProjectShow) => engine_command.and_then(TaskForm::from_word).is_some(),
        Ok(Verb::ObjAdd | Verb::ObjDel | Verb::ProjectStart | Verb::ProjectStop) | Err(_) => false,
    }
}

/// What may follow the line: a C program sends its NUL, a person at a terminal a newline.
const fn ends_last_value(byte: u8) -> bool {
    matches!(byte, b' ' | b'\0' | b'\n' | b'\r')
}

fn verb(value: Option<&[u8]>) -> Result<Verb, RequestError> {
    let text = String::from_utf8_lossy(value.unwrap_or(b"-"));
    text.parse()
        .ok()
        .and_then(Verb::from_number)
        .ok_or_else(|| RequestError::UnknownCommand(text.into_owned()))
}

fn request(values: Values<'_>) -> Result<Request, RequestError> {
    let [project, file, command, engine, engine_command, task] = values;
    let verb = verb(command)?;
    let words = verb.words();
    Ok(match verb {
        Verb::ObjAdd => match name(Key::Project, project)? {
            Some(name) => {
                Request::ProjectAdd { name, file: needed(Key::File, words, word(Key::File, file)?)? }
            }
            None if engine_command == Some(STRICT.as_bytes()) => {
                Request::ObjAddStrict(needed(Key::File, words, word(Key::File, file)?)?)
            }
            None if engine_command == Some(KEEP.as_bytes()) => {
                Request::ObjAddKeep(needed(Key::File, words, word(Key::File, file)?)?)
            }
            None if engine_command == Some(DIFF.as_bytes()) => {
                Request::ObjDiff(needed(Key::File, "obj diff", word(Key::File, file)?)?)
            }
            // With a file, the original's daemon adds it.
            None if engine_command == Some(RELOAD.as_bytes()) && file.is_none() => Request::Reload,
            None => Request::ObjAdd(needed(Key::File, words, word(Key::File, file)?)?),
        },
        Verb::ObjDel => match (word(Key::File, file)?, project) {
            (Some(file), _) => Request::ObjDel(file),
            (None, None) => return Err(RequestError::Missing { key: Key::File, words }),
            (None, project) => {
                Request::ProjectDel(needed(Key::Project, "project del", name(Key::Project, project)?)?)
            }
        },
        Verb::ProjectStart => {
            Request::ProjectStart(needed(Key::Project, words, name(Key::Project, project)?)?)
        }
        Verb::ProjectStop => Request::ProjectStop(needed(Key::Project, words, name(Key::Project, project)?)?),
        Verb::ProjectShow => match engine_command.and_then(TaskForm::from_word) {
            Some(form) => Request::TaskShow {
                project: needed(Key::Project, "task show", name(Key::Project, project)?)?,
                task: name(Key::Task, task)?,
                form,
            },
            None => match engine_command.and_then(MetricsForm::from_word) {
                Some(form) => Request::Metrics(form),
                None => Request::ProjectShow {
                    name: name(Key::Project, project)?,
                    verbose: engine_command == Some(VERBOSE.as_bytes()),
                },
            },
        },
        Verb::Engine => Request::Engine {
            project: needed(Key::Project, words, name(Key::Project, project)?)?,
            engine: needed(Key::Engine, words, name(Key::Engine, engine)?)?,
            command: needed(Key::EngineCommand, words, word(Key::EngineCommand, engine_command)?)?,
            task: name(Key::Task, task)?,
        },
    })
}

fn needed<T>(key: Key, words: &'static str, value: Option<T>) -> Result<T, RequestError> {
    value.ok_or(RequestError::Missing { key, words })
}

fn name(key: Key, value: Option<&[u8]>) -> Result<Option<Name>, RequestError> {
    let Some(value) = text(key, value)? else { return Ok(None) };
    Name::new(value).map(Some).map_err(|source| RequestError::Name { key, value: value.to_owned(), source })
}

fn word<const MOST: usize>(key: Key, value: Option<&[u8]>) -> Result<Option<Word<MOST>>, RequestError> {
    let Some(value) = text(key, value)? else { return Ok(None) };
    Word::new(value).map(Some).map_err(|source| RequestError::Word { key, value: value.to_owned(), source })
}

fn text(key: Key, value: Option<&[u8]>) -> Result<Option<&str>, RequestError> {
    value.map(str::from_utf8).transpose().map_err(|_| {
        let value = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        RequestError::NotUtf8 { key, value }
    })
}
