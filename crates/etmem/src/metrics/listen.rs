//! `metrics --listen`: a server of one page, for a Prometheus without node_exporter.
//!
//! It is a process of its own, so that the daemon needs no network. With a file as its source it needs no rights at all. Each
//! client has a thread, and limits in time and bytes; while too many are there, more are turned away.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write, stderr};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use etmem_wire::{MetricsForm, Request, SocketName, Status};

use super::answer;
use super::request::{self, LONGEST};
use crate::failure::Failure;

/// How long a client may take for each piece of its request, and to take the answer.
const LIMIT: Duration = Duration::from_secs(2);

/// In how many pieces a request may arrive: a client that sends byte by byte is cut off.
const PIECES: usize = 32;

/// Clients at once.
const CLIENTS: usize = 16;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const WORDS: &str = "text/plain; charset=utf-8";
const UNAVAILABLE: &str = "503 Service Unavailable";

/// What to answer with, and where.
#[derive(Debug)]
pub(crate) struct Listen {
    /// Where to listen.
    pub(crate) address: SocketAddr,
    /// The file to answer with, instead of what the daemon says.
    pub(crate) from: Option<PathBuf>,
}

/// Where the metrics are.
#[derive(Debug)]
pub(crate) enum Source {
    /// In a file that the daemon writes.
    File(PathBuf),
    /// With the daemon at this socket.
    Daemon(SocketName),
}

impl Listen {
    /// Answers with what is at `source` until the process is ended; says first where.
    pub(crate) fn run(&self, source: Source, out: &mut dyn Write) -> Result<Infallible, Failure> {
        let cannot = |source| Failure::Listen { address: self.address, source };
        let listener = TcpListener::bind(self.address).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        match source.text(false) {
            // These stay as they are.
            Err(failure @ (Failure::RootOnly | Failure::Unknown { .. })) => return Err(failure),
            // A daemon may start later.
            Err(failure) => drop(writeln!(stderr(), "etmem: {failure}; answering 503 until that changes")),
            Ok(_) => {}
        }
        let told = writeln!(out, "etmem: metrics are at http://{address}/metrics").and_then(|()| out.flush());
        told.map_err(Failure::Output)?;
        let source = Arc::new(source);
        loop {
            match listener.accept() {
                Ok((client, _)) => begin(client, &source),
                // A client that is gone already; or no descriptor is left, and those that are there end within their limits.
                Err(error) => drop(writeln!(stderr(), "etmem: cannot accept a client: {error}")),
            }
        }
    }
}

/// Serves `client` on a thread of its own. What fails is the client's: Prometheus asks again.
fn begin(mut client: TcpStream, source: &Arc<Source>) {
    let limits = client.set_read_timeout(Some(LIMIT)).and_then(|()| client.set_write_timeout(Some(LIMIT)));
    if limits.is_err() {
        return;
    }
    if Arc::strong_count(source) > CLIENTS {
        let _ = client.write_all(&response(UNAVAILABLE, "", WORDS, b"too many clients at once\n", false));
        return;
    }
    let source = Arc::clone(source);
    let _ = thread::Builder::new().name("etmem-client".to_owned()).spawn(move || serve(client, &source));
}

fn serve(mut client: TcpStream, source: &Source) {
    let mut bytes = Vec::new();
    let mut piece = [0; 1024];
    for _ in 0..PIECES {
        match client.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
        if request::is_whole(&bytes) || bytes.len() > LONGEST {
            break;
        }
    }
    let answer = match request::read(&bytes) {
        Ok(asked) => match source.text(asked.open_metrics) {
            Ok((form, text)) => response("200 OK", "", form, &text, asked.head),
            Err(failure) => response(UNAVAILABLE, "", WORDS, format!("{failure}\n").as_bytes(), asked.head),
        },
        Err(refusal) => {
            let (status, header, text) = refusal.answer();
            response(status, header, WORDS, text.as_bytes(), false)
        }
    };
    let _ = client.write_all(&answer);
}

fn response(status: &str, header: &str, form: &str, text: &[u8], head: bool) -> Vec<u8> {
    let length = text.len();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {form}\r\nContent-Length: {length}\r\n{header}Connection: close\r\n\r\n"
    )
    .into_bytes();
    if !head {
        answer.extend_from_slice(text);
    }
    answer
}

impl Source {
    /// The metrics, and their form.
    fn text(&self, open_metrics: bool) -> Result<(&'static str, Vec<u8>), Failure> {
        match self {
            Self::File(path) => match of_file(path) {
                Ok(text) => Ok((PROMETHEUS, text)),
                Err(source) => Err(Failure::MetricsSource { path: path.clone(), source }),
            },
            Self::Daemon(socket) => {
                let (form, content) = if open_metrics {
                    (MetricsForm::OpenMetrics, OPEN_METRICS)
                } else {
                    (MetricsForm::Prometheus, PROMETHEUS)
                };
                match answer(socket, &Request::Metrics(form))? {
                    (Status::Success, text) => Ok((content, text)),
                    (Status::Failure, _) => Err(Failure::NoAnswer),
                }
            }
        }
    }
}

/// The file, and when it was written: one that a daemon has left would look like a daemon that does nothing.
fn of_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let written = file.metadata()?.mtime();
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    writeln!(text, "# TYPE etmem_metrics_file_mtime_seconds gauge")?;
    writeln!(
        text,
        "# HELP etmem_metrics_file_mtime_seconds when etmemd wrote these metrics, in seconds since 1970"
    )?;
    writeln!(text, "etmem_metrics_file_mtime_seconds {written}")?;
    Ok(text)
}
