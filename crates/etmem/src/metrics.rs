//! `metrics`, to standard output, to a file, or to those who ask over the network.

pub(crate) mod listen;
mod request;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use etmem_wire::{MetricsForm, Request, SocketName, Status};

use crate::connection::{ANSWER_LIMIT, ask};
use crate::failure::Failure;

/// How every answer begins. Another daemon takes the request for `project show`.
const BEGIN: &[u8] = b"# TYPE ";

/// The collector does not run as root.
const MODE: u32 = 0o644;

/// A request for metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) form: MetricsForm,
    /// Written instead of standard output.
    pub(crate) file: Option<PathBuf>,
}

impl Metrics {
    /// What is sent.
    pub(crate) const fn request(&self) -> Request {
        Request::Metrics(self.form)
    }

    /// Asks the daemon at `socket`, and prints its answer, or writes it.
    pub(crate) fn run(&self, socket: &SocketName, out: &mut dyn Write) -> Result<Status, Failure> {
        let (status, answer) = answer(socket, &self.request())?;
        match &self.file {
            Some(path) if status == Status::Success => {
                replace(path, &answer)
                    .map_err(|source| Failure::MetricsFile { path: path.clone(), source })?;
            }
            Some(_) | None => match out.write_all(&answer) {
                // The reader has closed the pipe.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                written => written.map_err(Failure::Output)?,
            },
        }
        Ok(status)
    }
}

/// What the daemon at `socket` answers.
pub(crate) fn answer(socket: &SocketName, request: &Request) -> Result<(Status, Vec<u8>), Failure> {
    let mut answer = Vec::new();
    let status = ask(socket, request, ANSWER_LIMIT, &mut answer)?;
    if status == Status::Success && !answer.starts_with(BEGIN) {
        return Err(Failure::Unknown { command: "metrics", socket: socket.clone() });
    }
    Ok((status, answer))
}

/// Replaces the file at `path` so that a reader finds the old content or the new one.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    // The collector reads all that ends with .prom.
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let written = write(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What could not be written is of no use; that it cannot be removed is no other news.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    // The umask of a service may leave less.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("etmem.prom");
        for content in [&b"old\n"[..], b"new\n"] {
            replace(&path, content).expect("written");
            assert_eq!(fs::read(&path).expect("read"), content);
        }
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, MODE);
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).expect("created");
        assert!(replace(&taken, b"x").is_err());
        assert!(replace(&folder.path().join("none/etmem.prom"), b"x").is_err());
        assert!(replace(Path::new("/"), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 2, "nothing is left behind");
    }
}
