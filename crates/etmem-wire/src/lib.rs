//! What `etmem` and `etmemd` say to each other, as bytes.
//!
//! A client connects to an abstract socket ([`SocketName`]), sends one [`Request`], reads text until a final
//! byte says how it went ([`Status`]), and closes the connection:
//!
//! ```text
//!  etmem                                                    etmemd
//!  Request::encode  -- proj_name a file_name - cmd 2 … -->  RequestReader -> Request
//!  response_part    <-- text, text, 0xFF or 0xFE --         Response::encode
//! ```
//!
//! Both sides are those of etmem 1.x to the byte, so that either of our programs talks to either of the
//! original's. This crate opens no socket and waits for nothing: bytes come in as slices, cut anywhere, and
//! go out as text.

mod key;
mod project_show;
mod request;
mod request_error;
mod request_reader;
mod response;
mod socket_name;
mod word;

pub use key::Key;
pub use project_show::{ShownEngine, ShownProject, ShownTask, project_show};
pub use request::{
    CommandWord, FilePath, MetricsForm, ProjectFilePath, REQUEST_MAX, Request, StrictFilePath, TaskForm,
};
pub use request_error::RequestError;
pub use request_reader::{Progress, RequestReader};
pub use response::{ErrorKind, Response, Status, response_part};
pub use socket_name::{SOCKET_NAME_MAX, SocketName, SocketNameError};
pub use word::{Word, WordError};
