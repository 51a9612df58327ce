//! A daemon for one connection, played as the original does: it reads once, says its piece and closes.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

/// The name of a socket that nobody else has.
pub(crate) fn unused_socket() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("etmem-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Listens at a new socket; the thread serves one connection with `part` and returns what that returns.
pub(crate) fn serve<T: Send + 'static>(
    part: impl FnOnce(UnixStream) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let socket = unused_socket();
    let address = SocketAddr::from_abstract_name(&socket).expect("a short name");
    let listener = UnixListener::bind_addr(&address).expect("an unused name");
    (socket, thread::spawn(move || part(listener.accept().expect("a client").0)))
}

/// A server that answers with `answer` in one piece and returns the request it read.
pub(crate) fn answer(answer: &[u8]) -> (String, JoinHandle<String>) {
    let answer = answer.to_vec();
    serve(move |mut stream| {
        let request = read_once(&mut stream);
        stream.write_all(&answer).expect("a client that reads");
        request
    })
}

/// What one read of the original's buffer brings.
pub(crate) fn read_once(stream: &mut UnixStream) -> String {
    let mut buffer = [0; 512];
    let length = stream.read(&mut buffer).expect("a request");
    String::from_utf8(buffer[..length].to_vec()).expect("text")
}

/// The program with these arguments, without a socket from the environment.
pub(crate) fn etmem<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etmem"));
    command.args(arguments).env_remove("ETMEM_SOCKET");
    command
}

/// Runs the words of `line` with `-s socket` behind them.
pub(crate) fn run(line: &str, socket: &str) -> Output {
    etmem(line.split(' ').chain(["-s", socket])).output().expect("the program runs")
}

/// Standard output, standard error and exit number.
pub(crate) fn outcome(output: &Output) -> (String, String, i32) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr), output.status.code().expect("no signal"))
}
