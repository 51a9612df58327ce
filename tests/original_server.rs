//! The server of etmem 1.x against our command line: every command, every result, every way to answer or not to.
//!
//! The server is [`OriginalServer`], written from the description of the protocol alone: it reads once into 512 bytes,
//! answers, and closes. What a person sees, and the number that scripts see, are the original client's.

use std::fs;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use etmem_testkit::daemon::Binaries;
use etmem_testkit::original::server::{read_once, unused_socket};
use etmem_testkit::original::{ANSWER_LIMIT, Asked, OriginalServer};
use etmem_testkit::process::{Ran, Running, code, run};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use nix::errno::Errno;
use nix::sys::socket::{Backlog, listen};

const LIMIT: Duration = Duration::from_secs(30);
const NO_END: &str =
    "etmem: the daemon closed the connection before the end of its answer; its log says why\n";

/// The words of each command, and the line they are on the wire.
const COMMANDS: [(&str, &str); 10] = [
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
];

/// What the server sends, what is shown of it, and the number to end with.
const RESULTS: [(&[u8], &str, i32); 17] = [
    (b"\xff", "", 0),
    (b"no project exists\n\n\xff", "no project exists\n\n", 0),
    (b"project: project q is not existed\n\n\xff", "project: project q is not existed\n\n", 0),
    (b"no newline\xff", "no newline", 0),
    (b"text\n\xffbehind\xfe", "text\n", 0),
    (b"error: invalid parameters\xfe", "error: invalid parameters\n", 186),
    (b"error: project has been existed\xfe", "error: project has been existed\n", 186),
    (b"error: project is not exist\xfe", "error: project is not exist\n", 186),
    (b"error: project has been started\xfe", "error: project has been started\n", 186),
    (b"error: project has been stopped\xfe", "error: project has been stopped\n", 186),
    (b"error: engine has been existed\xfe", "error: engine has been existed\n", 186),
    (b"error: engine is not exist\xfe", "error: engine is not exist\n", 186),
    (b"error: task has been existed\xfe", "error: task has been existed\n", 186),
    (b"error: task is not exist\nwhy\xfe", "error: task is not exist\nwhy\n", 186),
    (
        b"error: etmemd has internal error, see reason details in messages\xfe",
        "error: etmemd has internal error, see reason details in messages\n",
        186,
    ),
    (b"\xfe", "\n", 186),
    (b"no\xfebehind\xff", "no\n", 186),
];

fn main() -> ExitCode {
    run_in_turn(vec![
        trial_or_skip("every_command_with_every_result", &[], commands_and_results),
        trial_or_skip("the_longest_line_fits_one_read", &[], longest_line),
        trial_or_skip("an_answer_cut_anywhere_is_shown_as_it_comes", &[], cut_anywhere),
        trial_or_skip("a_long_answer_arrives_whole", &[], long_answer),
        trial_or_skip("a_server_that_closes_too_early", &[], closes_early),
        trial_or_skip("a_silent_server_is_left_after_ten_seconds", &[], silent),
        trial_or_skip("what_is_no_command_reaches_no_server", &[], not_sent),
    ])
}

/// The program with the words of `line` and `-s socket` behind them.
fn etmem(line: &str, socket: &str) -> Result<Command> {
    let mut command = Command::new(&Binaries::build()?.etmem);
    command.args(line.split(' ')).args(["-s", socket]).env_remove("ETMEM_SOCKET");
    Ok(command)
}

/// What the program shows and ends with: standard output, standard error, number.
fn shows(ran: &Ran, stdout: &str, stderr: &str, number: i32) -> Result<()> {
    let want = (stdout, stderr, number);
    ensure!((ran.stdout.as_str(), ran.stderr.as_str(), ran.status) == want, "{ran:?} instead of {want:?}");
    Ok(())
}

fn commands_and_results() -> Result<()> {
    for (words, line) in COMMANDS {
        for (sent, shown, number) in RESULTS {
            let server = OriginalServer::answering(sent)?;
            let ran = run(&mut etmem(words, server.socket())?, LIMIT)?;
            let told = || format!("{words}, answered with {}", sent.escape_ascii());
            shows(&ran, shown, "", number).with_context(told)?;
            let request = server.end()?;
            ensure!(request == line, "{words}: {request:?}");
            ensure!(Asked::parse(&request).is_some(), "the original does not understand {request:?}");
        }
    }
    let words = COMMANDS.map(|(_, line)| Asked::parse(line).map(|asked| asked.cmd));
    ensure!((0..=5).all(|cmd| words.contains(&Some(cmd))), "not every command is there: {words:?}");
    Ok(())
}

fn longest_line() -> Result<()> {
    let path = format!("/{}", "f".repeat(450));
    let server = OriginalServer::play(|mut stream| {
        let request = read_once(&mut stream)?;
        stream.write_all(b"\xff")?;
        let mut behind = Vec::new();
        stream.read_to_end(&mut behind)?;
        Ok((request, behind))
    })?;
    shows(&run(&mut etmem(&format!("obj add -f {path}"), server.socket())?, LIMIT)?, "", "", 0)?;
    let (request, behind) = server.end()?;
    ensure!((request.len(), behind.len()) == (512, 0), "{request}, then {}", behind.escape_ascii());
    let asked = Asked::parse(&request).context("the original does not understand it")?;
    ensure!(asked.file_name == Some(path), "{asked:?}");
    Ok(())
}

/// Runs `project show` against a server that sends each of `segments` once the program has shown the one before: all
/// that is shown, and the number.
fn in_step(segments: &[&[u8]]) -> Result<(Vec<u8>, i32)> {
    let (go_on, shown) = mpsc::channel();
    let sent: Vec<Vec<u8>> = segments.iter().map(|segment| segment.to_vec()).collect();
    let server = OriginalServer::play(move |mut stream| {
        read_once(&mut stream)?;
        for segment in sent {
            stream.write_all(&segment)?;
            shown.recv_timeout(LIMIT).context("the program does not show what it got")?;
        }
        Ok(())
    })?;
    let mut command = etmem("project show", server.socket())?;
    let (running, pipes) = Running::start(command.stdout(Stdio::piped()))?;
    let mut output = pipes.output.context("there is a pipe")?;
    let mut seen = Vec::new();
    for segment in segments {
        let mut text: Vec<u8> = segment.iter().copied().take_while(|byte| *byte < 0xfe).collect();
        output.read_exact(&mut text).with_context(|| format!("behind {}", seen.escape_ascii()))?;
        seen.extend(text);
        // The server has ended where this was its last piece.
        let _ = go_on.send(());
    }
    output.read_to_end(&mut seen)?;
    let (status, _) = running.wait(LIMIT)?;
    server.end()?;
    Ok((seen, code(status)))
}

fn cut_anywhere() -> Result<()> {
    let text = "project: übung\n\u{1f9e0} €\n".as_bytes();
    for (last, newline, number) in [(0xff, &b""[..], 0), (0xfe, b"\n", 186)] {
        let answer = [text, &[last]].concat();
        let shown = [text, newline].concat();
        for at in 1..answer.len() {
            let (seen, ended) = in_step(&[&answer[..at], &answer[at..]])?;
            ensure!((&seen, ended) == (&shown, number), "cut at {at}: {} {ended}", seen.escape_ascii());
        }
        let bytes: Vec<&[u8]> = answer.chunks(1).collect();
        let (seen, ended) = in_step(&bytes)?;
        ensure!((&seen, ended) == (&shown, number), "byte by byte: {} {ended}", seen.escape_ascii());
    }
    Ok(())
}

fn long_answer() -> Result<()> {
    let row = "1        pid      12345            background_slide slide            true    \n";
    let text = row.repeat(5000);
    let server = OriginalServer::answering(&[text.as_bytes(), b"\xff"].concat())?;
    shows(&run(&mut etmem("project show", server.socket())?, LIMIT)?, &text, "", 0)?;
    server.end()?;
    Ok(())
}

fn closes_early() -> Result<()> {
    let no_answer = if nix::unistd::geteuid().is_root() && nix::unistd::getegid().as_raw() == 0 {
        "etmem: the daemon closed the connection without an answer; its log says why\n"
    } else {
        "etmem: the daemon closed the connection without an answer; it serves root only\n"
    };
    for (words, _) in COMMANDS {
        let unread = OriginalServer::play(|_| Ok(()))?;
        shows(&run(&mut etmem(words, unread.socket())?, LIMIT)?, "", no_answer, 186)?;
        unread.end()?;
        for (sent, error) in [(&b""[..], no_answer), (b"project: a\n", NO_END), (b"half \xc3", NO_END)] {
            let server = OriginalServer::answering(sent)?;
            let ran = run(&mut etmem(words, server.socket())?, LIMIT)?;
            shows(&ran, &String::from_utf8_lossy(sent), error, 186).with_context(|| words.to_owned())?;
            server.end()?;
        }
    }
    Ok(())
}

/// A server that sends `answer`, then nothing more until its client leaves.
fn falls_silent(answer: &'static [u8]) -> Result<OriginalServer<()>> {
    OriginalServer::play(move |mut stream| {
        read_once(&mut stream)?;
        stream.write_all(answer)?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)?;
        ensure!(rest.is_empty(), "the program goes on: {}", rest.escape_ascii());
        Ok(())
    })
}

/// A socket whose queue is full: it lets no client in any more.
fn full() -> Result<(String, UnixListener, UnixStream)> {
    let socket = unused_socket();
    let address = SocketAddr::from_abstract_name(&socket)?;
    let listener = UnixListener::bind_addr(&address)?;
    listen(&listener, Backlog::new(0)?)?;
    // The one that a queue of no length has room for.
    let first = UnixStream::connect_addr(&address)?;
    Ok((socket, listener, first))
}

fn silent() -> Result<()> {
    let seconds = ANSWER_LIMIT.as_secs();
    let nothing = falls_silent(b"")?;
    let half = falls_silent(b"project: a\n")?;
    let (full, _listener, _first) = full()?;
    let given_up = |socket: &str| {
        format!(
            "etmem: etmemd at socket {socket} has not answered for {seconds} s; \
             the command may still be carried out\n"
        )
    };
    let busy = format!(
        "etmem: cannot connect to etmemd at socket {full}: it is busy and has accepted no connection for {seconds} s\n"
    );
    let cases = [
        (nothing.socket().to_owned(), "", given_up(nothing.socket()), 186),
        (half.socket().to_owned(), "project: a\n", given_up(half.socket()), 186),
        (full, "", busy, Errno::EAGAIN as i32),
    ];
    // At the same time, since each takes as long as the client is patient.
    let runs = cases.map(|(socket, stdout, stderr, number)| {
        thread::spawn(move || -> Result<()> {
            let ran = run(&mut etmem("project show", &socket)?, LIMIT)?;
            shows(&ran, stdout, &stderr, number)
        })
    });
    for ran in runs {
        ran.join().map_err(|_| anyhow!("a client panicked"))??;
    }
    nothing.end()?;
    half.end()
}

fn not_sent() -> Result<()> {
    let socket = unused_socket();
    let nobody = run(&mut etmem("project show", &socket)?, LIMIT)?;
    ensure!((nobody.status, nobody.stdout.as_str()) == (111, ""), "{nobody:?}");
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&socket)?)?;
    listener.set_nonblocking(true)?;
    let too_long = format!("obj add -f /{}", "f".repeat(451));
    let long_name = format!("project start -n {}", "n".repeat(65));
    for (words, number) in [
        ("project start", 234),
        ("project start -n", 234),
        ("project start -n -x", 234),
        ("project start -n test --bogus", 234),
        (&too_long, 234),
        (&long_name, 234),
        ("engine showhostpages -n test", 255),
        ("obj add -f /f.yaml /g.yaml", 249),
        ("project show one", 249),
        ("project restart -n test", 255),
        ("objects add", 234),
    ] {
        // Where the name of the socket would be taken for a missing value, there is none.
        let mut command = if words.ends_with("-n") {
            let mut command = Command::new(&Binaries::build()?.etmem);
            command.args(words.split(' ')).env("ETMEM_SOCKET", &socket);
            command
        } else {
            etmem(words, &socket)?
        };
        let ran = run(&mut command, LIMIT)?;
        ensure!((ran.status, ran.stdout.as_str()) == (number, ""), "{words}: {ran:?}");
        ensure!(!ran.stderr.is_empty(), "{words}: nothing says what is wrong");
        ensure!(listener.accept().is_err(), "{words}: there was a connection");
    }
    let relative = tempfile::tempdir()?;
    let folder = fs::canonicalize(relative.path())?;
    let server = OriginalServer::answering(b"\xff")?;
    let ran = run(etmem("obj add -f ./a.conf", server.socket())?.current_dir(&folder), LIMIT)?;
    shows(&ran, "", "", 0)?;
    let asked = Asked::parse(&server.end()?).context("the original does not understand it")?;
    ensure!(asked.file_name == Some(format!("{}/a.conf", folder.display())), "{asked:?}");
    Ok(())
}
