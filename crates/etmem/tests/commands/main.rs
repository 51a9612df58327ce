//! The real program: its command line, its help, and where its answers go. What it says to a server, and makes of the
//! answers, is in `tests/original_server.rs` of the workspace.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use etmem_testkit::original::OriginalServer;
use etmem_testkit::original::server::unused_socket;

/// The program with these arguments, without a socket from the environment.
fn etmem<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etmem"));
    command.args(arguments).env_remove("ETMEM_SOCKET");
    command
}

/// Runs the words of `line` with `-s socket` behind them.
fn run(line: &str, socket: &str) -> Output {
    etmem(line.split(' ').chain(["-s", socket])).output().expect("the program runs")
}

/// Standard output, standard error and exit number.
fn outcome(output: &Output) -> (String, String, i32) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr), output.status.code().expect("no signal"))
}

#[test]
fn no_daemon_listens() {
    let socket = unused_socket();
    let want = format!("etmem: cannot connect to etmemd at socket {socket}: no etmemd listens there\n");
    assert_eq!(outcome(&run("project show", &socket)), (String::new(), want, 111));
}

#[test]
fn the_socket_of_the_environment() {
    let server = OriginalServer::answering(b"\xff").unwrap();
    let status = etmem(["project", "show"]).env("ETMEM_SOCKET", server.socket()).status().unwrap();
    assert!(status.success());
    server.end().unwrap();

    let server = OriginalServer::answering(b"\xff").unwrap();
    let mut command = etmem(["project", "show", "-s", server.socket()]);
    let status = command.env("ETMEM_SOCKET", unused_socket()).status().unwrap();
    assert!(status.success(), "-s goes before the environment");
    server.end().unwrap();
}

#[test]
fn exit_statuses_are_those_of_the_table() {
    let socket = unused_socket();
    let mut rows = 0;
    for row in include_str!("exit_statuses.txt").lines() {
        if row.is_empty() || row.starts_with('#') {
            continue;
        }
        let mut words = row.split_whitespace();
        let status: i32 = words.next().expect("a status").parse().expect("a number");
        assert!(["original", "ours"].contains(&words.next().expect("original or ours")), "{row}");
        let arguments = words.map(|word| if word == "sock" { socket.as_str() } else { word });
        assert_eq!(etmem(arguments).output().unwrap().status.code(), Some(status), "{row}");
        rows += 1;
    }
    assert!(rows > 60, "{rows} rows");
}

#[test]
fn faults_of_the_command_line_appear_on_standard_error() {
    let socket = unused_socket();
    for (line, number, text) in [
        ("project start", 234, "etmem: \"project start\" needs -n|--name PROJECT; see etmem help\n"),
        (
            "project start -n -x",
            234,
            "error: unexpected argument '-x' found\n\n  tip: a value cannot begin with '-'",
        ),
        ("project start -n", 234, "error: a value is required for '--name <PROJECT>' but none was supplied"),
        ("project start -n t more", 249, "error: unexpected argument 'more' found"),
        ("project restart", 255, "error: unrecognized subcommand 'restart'"),
        ("obj add -f /a\tb", 234, "etmem: file \"/a\\tb\" has the character '\\t'"),
    ] {
        let (out, error, ended) = outcome(&run(line, &socket));
        assert_eq!((out.as_str(), ended), ("", number), "{line}");
        assert!(error.starts_with(text), "{line}: {error}");
    }
}

#[test]
fn help_is_an_answer() {
    for (line, text) in [
        ("help", "etmem project start -n test -s etmemd_socket"),
        ("--help", "186 etmemd refused"),
        ("obj help", "etmem obj del -f /etc/etmem/slide.yaml -s etmemd_socket"),
        ("obj add --help", "etmem obj add -f /etc/etmem/slide.yaml -s etmemd_socket"),
        ("obj del --help", "etmem obj del -f /etc/etmem/slide.yaml -s etmemd_socket"),
        ("project help", "etmem project stop -n test -s etmemd_socket"),
        ("project start --help", "etmem project start -n test -s etmemd_socket"),
        ("project stop --help", "etmem project stop -n test -s etmemd_socket"),
        ("project show --help", "etmem project show -n test -s etmemd_socket"),
        ("migrate help", "etmem migrate stop -n test -s etmemd_socket"),
        ("migrate start --help", "etmem migrate start -n test -s etmemd_socket"),
        ("migrate stop --help", "etmem migrate stop -n test -s etmemd_socket"),
        ("engine help", "etmem engine showhostpages -n test -e cslide -s etmemd_socket"),
        ("engine --help", "etmem engine showtaskpages -t task -n test -e cslide -s etmemd_socket"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let (out, error, number) = outcome(&etmem(line.split(' ')).output().unwrap());
        assert_eq!((error.as_str(), number), ("", 0), "{line}");
        assert!(out.contains(text), "{line}: {out}");
    }
}

#[test]
fn turned_away_without_a_word() {
    let own = fs::metadata("/proc/self").unwrap();
    let root = own.uid() == 0 && own.gid() == 0;
    let nobody = "etmem: the daemon closed the connection without an answer; it serves root only\n";
    let want = if root {
        "etmem: the daemon closed the connection without an answer; its log says why\n"
    } else {
        nobody
    };
    let server = OriginalServer::play(|_| Ok(())).unwrap();
    let output = run("project show", server.socket());
    server.end().unwrap();
    assert_eq!(outcome(&output), (String::new(), want.to_owned(), 186));
    if root {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("etmem");
        // Copied by another process: were the copy open for writing here, a child that another test starts
        // meanwhile would hold it open, too, and it could not be run (ETXTBSY).
        assert!(
            Command::new("cp").arg(env!("CARGO_BIN_EXE_etmem")).arg(&program).status().unwrap().success()
        );
        let server = OriginalServer::play(|_| Ok(())).unwrap();
        let output = Command::new(program)
            .args(["project", "show", "-s", server.socket()])
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        server.end().unwrap();
        assert_eq!(outcome(&output), (String::new(), nobody.to_owned(), 186));
    }
}

#[test]
fn where_the_answer_goes() {
    let server = OriginalServer::answering(b"text\n\xff").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = etmem(["project", "show", "-s", server.socket()])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(outcome(&output.wait_with_output().unwrap()), (String::new(), String::new(), 0));
    server.end().unwrap();

    let server = OriginalServer::answering(b"text\n\xff").unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = etmem(["project", "show", "-s", server.socket()])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (_, error, number) = outcome(&output.wait_with_output().unwrap());
    assert!(
        error.starts_with("etmem: the command was carried out, but its answer could not be printed: "),
        "{error}"
    );
    assert_eq!(number, 5);
    server.end().unwrap();
}
