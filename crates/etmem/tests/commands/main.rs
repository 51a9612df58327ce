//! The real program against a server that plays the original.

mod server;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use server::{answer, etmem, outcome, read_once, run, serve, unused_socket};

#[test]
fn every_command_sends_its_line() {
    for (line, want) in [
        ("obj add -f /f.yaml", "proj_name - file_name /f.yaml cmd 0 eng_name - eng_cmd - task_name -"),
        ("obj del -f /f.yaml", "proj_name - file_name /f.yaml cmd 1 eng_name - eng_cmd - task_name -"),
        ("project start -n test", "proj_name test file_name - cmd 2 eng_name - eng_cmd - task_name -"),
        ("project stop -n test", "proj_name test file_name - cmd 3 eng_name - eng_cmd - task_name -"),
        ("project show -n test", "proj_name test file_name - cmd 4 eng_name - eng_cmd - task_name -"),
        ("project show", "proj_name - file_name - cmd 4 eng_name - eng_cmd - task_name -"),
        ("migrate start -n test", "proj_name test file_name - cmd 2 eng_name - eng_cmd - task_name -"),
        ("migrate stop -n test", "proj_name test file_name - cmd 3 eng_name - eng_cmd - task_name -"),
        (
            "engine showhostpages -n test -e cslide",
            "proj_name test file_name - cmd 5 eng_name cslide eng_cmd showhostpages task_name -",
        ),
        (
            "engine showtaskpages -n test -e cslide -t bg",
            "proj_name test file_name - cmd 5 eng_name cslide eng_cmd showtaskpages task_name bg",
        ),
    ] {
        let (socket, server) = answer(b"\xff");
        let output = run(line, &socket);
        assert_eq!(server.join().unwrap(), want, "{line}");
        assert_eq!(outcome(&output), (String::new(), String::new(), 0), "{line}");
    }
}

#[test]
fn a_relative_file_is_sent_from_where_we_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let (socket, server) = answer(b"\xff");
    let status =
        etmem(["obj", "add", "-f", "./slide.conf", "-s", &socket]).current_dir(&folder).status().unwrap();
    assert!(status.success());
    let want = format!("proj_name - file_name {}/slide.conf cmd 0 eng_name -", folder.display());
    assert!(server.join().unwrap().starts_with(&want));
}

#[test]
fn every_result_is_shown_as_the_original_shows_it() {
    for (sent, shown, number) in [
        (&b"\xff"[..], "", 0),
        (b"no project exists\n\n\xff", "no project exists\n\n", 0),
        (b"no newline\xff", "no newline", 0),
        (b"error: invalid parameters\xfe", "error: invalid parameters\n", 186),
        (b"error: project has been existed\xfe", "error: project has been existed\n", 186),
        (b"error: project is not exist\xfe", "error: project is not exist\n", 186),
        (b"error: project has been started\xfe", "error: project has been started\n", 186),
        (b"error: project has been stopped\xfe", "error: project has been stopped\n", 186),
        (b"error: engine has been existed\xfe", "error: engine has been existed\n", 186),
        (b"error: engine is not exist\xfe", "error: engine is not exist\n", 186),
        (b"error: task has been existed\xfe", "error: task has been existed\n", 186),
        (b"error: task is not exist\xfe", "error: task is not exist\n", 186),
        (
            b"error: etmemd has internal error, see reason details in messages\xfe",
            "error: etmemd has internal error, see reason details in messages\n",
            186,
        ),
        (b"error: task is not exist\nwhy\xfe", "error: task is not exist\nwhy\n", 186),
        (b"\xfe", "\n", 186),
    ] {
        let (socket, server) = answer(sent);
        let output = run("project show", &socket);
        server.join().unwrap();
        assert_eq!(outcome(&output), (shown.to_owned(), String::new(), number));
    }
}

#[test]
fn text_is_shown_as_it_comes() {
    let (lines, shown) = std::sync::mpsc::channel::<String>();
    let (socket, server) = serve(move |mut stream| {
        read_once(&mut stream);
        for line in ["project: a\n", "number\n"] {
            stream.write_all(line.as_bytes()).unwrap();
            assert_eq!(shown.recv().unwrap(), line, "shown before the next is sent");
        }
        stream.write_all(b"\xff").unwrap();
    });
    let mut child = etmem(["project", "show", "-s", &socket]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..2 {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        lines.send(line).unwrap();
    }
    server.join().unwrap();
    assert_eq!(out.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_long_answer_arrives_whole() {
    let text = "1        pid      12345            background_slide slide            true    \n".repeat(5000);
    let (socket, server) = answer(&[text.as_bytes(), b"\xff"].concat());
    let output = run("project show", &socket);
    server.join().unwrap();
    assert_eq!(outcome(&output), (text, String::new(), 0));
}

#[test]
fn nobody_listens() {
    let socket = unused_socket();
    let want = format!("etmem: cannot connect to etmemd at socket {socket}: none listens there\n");
    assert_eq!(outcome(&run("project show", &socket)), (String::new(), want, 111));
}

#[test]
fn the_socket_of_the_environment() {
    let (socket, server) = answer(b"\xff");
    let status = etmem(["project", "show"]).env("ETMEM_SOCKET", &socket).status().unwrap();
    assert!(status.success());
    server.join().unwrap();

    let (socket, server) = answer(b"\xff");
    let status =
        etmem(["project", "show", "-s", &socket]).env("ETMEM_SOCKET", unused_socket()).status().unwrap();
    assert!(status.success(), "-s goes before the environment");
    server.join().unwrap();
}

#[test]
fn faults_of_the_command_line_are_told_on_standard_error() {
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
fn half_an_answer_is_no_answer() {
    let (socket, server) = answer(b"project: a\n");
    let output = run("project show", &socket);
    server.join().unwrap();
    let want = "etmem: the daemon closed the connection before the end of its answer; its log says why\n";
    assert_eq!(outcome(&output), ("project: a\n".to_owned(), want.to_owned(), 186));
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
    for read_before in [false, true] {
        let (socket, server) = serve(move |mut stream| {
            if read_before {
                read_once(&mut stream);
            }
        });
        let output = run("project show", &socket);
        server.join().unwrap();
        assert_eq!(outcome(&output), (String::new(), want.to_owned(), 186));
    }
    if root {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("etmem");
        // Copied by another process: were the copy open for writing here, a child that another test starts
        // meanwhile would hold it open, too, and it could not be run (ETXTBSY).
        assert!(
            Command::new("cp").arg(env!("CARGO_BIN_EXE_etmem")).arg(&program).status().unwrap().success()
        );
        let (socket, server) = serve(drop);
        let output = Command::new(program)
            .args(["project", "show", "-s", &socket])
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        server.join().unwrap();
        assert_eq!(outcome(&output), (String::new(), nobody.to_owned(), 186));
    }
}

#[test]
fn where_the_answer_goes() {
    let (socket, server) = answer(b"text\n\xff");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output =
        etmem(["project", "show", "-s", &socket]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(outcome(&output.wait_with_output().unwrap()), (String::new(), String::new(), 0));
    server.join().unwrap();

    let (socket, server) = answer(b"text\n\xff");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output =
        etmem(["project", "show", "-s", &socket]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let (_, error, number) = outcome(&output.wait_with_output().unwrap());
    assert!(
        error.starts_with("etmem: the command was carried out, but its answer could not be printed: "),
        "{error}"
    );
    assert_eq!(number, 5);
    server.join().unwrap();
}
