//! The client of etmem 1.x against our daemon: every command, every result, in whole bytes.
//!
//! The client is [`OriginalClient`], written from the description of the protocol alone; nothing here goes through
//! our own codec. First lines are the original's to the letter, second lines are ours.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::binaries::for_everybody;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::machine::Need;
use etmem_testkit::original::{Line, OriginalClient};
use etmem_testkit::process::run;
use etmem_testkit::swap;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

const LIMIT: Duration = Duration::from_secs(30);
const NOBODY: u32 = 65534;
/// The word that makes this program the client of etmem 1.x, for a socket and a line: another user's client has to be
/// another process.
const AS_CLIENT: &str = "as-original-client";

const PROJECT: &str = "[project]\nname=p\nscan_type=page\nloop=3\ninterval=1\nsleep=1\n";
const ENGINE: &str = "[engine]\nname=slide\nproject=p\n";
const TASK: &str = "[task]\nproject=p\nengine=slide\nname=t\ntype=name\nvalue=no-such-comm\nT=1\n";
const INVALID: &str = "error: invalid parameters\n";
const HEADER: &str = "number   type     value            name             engine           started \n";

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [first, socket, line] = words.as_slice()
        && first == AS_CLIENT
    {
        return be_client(&socket.to_string_lossy(), &line.to_string_lossy());
    }
    let root = [Need::Root];
    let bpf = [Need::Root, Need::Bpf];
    run_in_turn(vec![
        trial_or_skip("every_result_of_objects", &root, objects),
        trial_or_skip("every_result_of_projects", &root, projects),
        trial_or_skip("every_result_of_engine_commands", &root, engine_commands),
        trial_or_skip("every_result_of_a_task_that_starts", &bpf, starting),
        trial_or_skip("every_form_of_project_show", &root, show),
        trial_or_skip("a_line_in_many_segments", &root, segments),
        trial_or_skip("what_follows_a_line_is_ignored", &root, trailing),
        trial_or_skip("a_line_of_511_512_and_513_bytes", &root, lengths),
        trial_or_skip("values_that_begin_with_a_dash_are_absent", &root, dashes),
        trial_or_skip("what_is_no_line_is_refused_with_the_reason", &root, no_lines),
        trial_or_skip("a_client_that_goes_away_harms_nobody", &root, goes_away),
        trial_or_skip("whoever_is_not_root_gets_no_answer", &root, not_root),
    ])
}

fn daemon() -> Result<Daemon> {
    Daemon::start(Binaries::build()?)
}

/// A file for the daemon, and its path as text.
fn file(daemon: &Daemon, name: &str, text: &str) -> Result<String> {
    Ok(daemon.write(name, text)?.display().to_string())
}

/// The daemon answers `request` with these bytes, and closes.
fn answers(daemon: &Daemon, request: &[u8], want: &[u8]) -> Result<()> {
    let got = OriginalClient::ask(daemon.socket(), request)
        .with_context(|| format!("{}: log:\n{}", request.escape_ascii(), daemon.log()))?;
    ensure!(
        got.0 == want,
        "{}\nanswered\n{}\ninstead of\n{}",
        request.escape_ascii(),
        got.0.escape_ascii(),
        want.escape_ascii()
    );
    Ok(())
}

fn done(daemon: &Daemon, line: &Line<'_>, text: &str) -> Result<()> {
    answers(daemon, &line.bytes(), &[text.as_bytes(), b"\xff"].concat())
}

fn refused(daemon: &Daemon, line: &Line<'_>, text: &str) -> Result<()> {
    answers(daemon, &line.bytes(), &[text.as_bytes(), b"\xfe"].concat())
}

fn objects() -> Result<()> {
    let daemon = daemon()?;
    let whole = file(&daemon, "whole.conf", &[PROJECT, ENGINE, TASK].concat())?;
    let add = |path| Line::object(0, path);
    let del = |path| Line::object(1, path);
    done(&daemon, &add(&whole), "")?;
    refused(
        &daemon,
        &add(&whole),
        &format!(
            "error: project has been existed\n\
             {whole}:1: project p exists already: delete it first, or choose another name"
        ),
    )?;
    let engine = file(&daemon, "engine.conf", ENGINE)?;
    refused(
        &daemon,
        &add(&engine),
        &format!("error: engine has been existed\n{engine}:1: project p has an engine slide already"),
    )?;
    let task = file(&daemon, "task.conf", TASK)?;
    refused(
        &daemon,
        &add(&task),
        &format!("error: task has been existed\n{task}:1: engine slide of project p has a task t already"),
    )?;
    let hot = file(&daemon, "hot.conf", &TASK.replace("name=t\n", "name=u\n").replace("T=1", "T=10"))?;
    refused(
        &daemon,
        &add(&hot),
        &format!(
            "error: etmemd has internal error, see reason details in messages\n\
             {hot}:1: [task] T=10: must be 0..=9 (3 times loop=3 of project p)"
        ),
    )?;
    let other = file(&daemon, "other.conf", "[other]\n")?;
    refused(
        &daemon,
        &add(&other),
        &format!("{INVALID}{other}: has none of the groups [project], [engine] and [task]; it has [other]"),
    )?;
    let absent = daemon.folder().join("absent").display().to_string();
    let unreadable = format!(
        "{INVALID}{absent}: cannot be read: No such file or directory (os error 2); \
         check the path as etmemd sees it"
    );
    refused(&daemon, &add(&absent), &unreadable)?;
    refused(&daemon, &del(&absent), &unreadable)?;
    let typing = file(&daemon, "typing.conf", &PROJECT.replace("name=p", "name=q").replace("loop", "lop"))?;
    refused(
        &daemon,
        &add(&typing),
        &format!(
            "{INVALID}{typing}:1: [project] loop is missing; scan_type=page needs it; is lop a mistyping of it?"
        ),
    )?;

    done(&daemon, &del(&task), "")?;
    refused(
        &daemon,
        &del(&task),
        &format!(
            "error: task is not exist\n\
             {task}:1: engine slide of project p has no task t: see etmem project show"
        ),
    )?;
    done(&daemon, &del(&engine), "")?;
    refused(
        &daemon,
        &del(&engine),
        &format!(
            "error: engine is not exist\n\
             {engine}:1: project p has no engine slide: add it first, or see etmem project show"
        ),
    )?;
    refused(
        &daemon,
        &add(&task),
        &format!(
            "error: engine is not exist\n\
             {task}:1: project p has no engine slide: add it first, or see etmem project show"
        ),
    )?;
    let project = file(&daemon, "project.conf", PROJECT)?;
    done(&daemon, &del(&project), "")?;
    let gone = |line: u32| {
        format!(
            "{whole}:{line}: there is no project p: add it first (etmem obj add), or see etmem project show"
        )
    };
    refused(
        &daemon,
        &del(&whole),
        &["error: project is not exist", &gone(10), &gone(7), &gone(1)].join("\n"),
    )?;
    done(&daemon, &Line::show_all(), "no project exists\n\n")
}

fn projects() -> Result<()> {
    let daemon = daemon()?;
    let nowhere = "error: project is not exist\n\
                   there is no project q: add it first (etmem obj add), or see etmem project show";
    refused(&daemon, &Line::project(2, "q"), nowhere)?;
    refused(&daemon, &Line::project(3, "q"), nowhere)?;
    daemon.add(&[PROJECT, ENGINE].concat())?;
    let stopped = "error: project has been stopped\nproject p does not run";
    refused(&daemon, &Line::project(3, "p"), stopped)?;
    done(&daemon, &Line::project(2, "p"), "project p has no task yet\n")?;
    refused(&daemon, &Line::project(2, "p"), "error: project has been started\nproject p runs already")?;
    done(&daemon, &Line::project(3, "p"), "")?;
    refused(&daemon, &Line::project(3, "p"), stopped)
}

fn engine_commands() -> Result<()> {
    let daemon = daemon()?;
    let ask = |project, engine, task| Line::engine(project, engine, "showtaskpages", task);
    refused(
        &daemon,
        &ask("p", "slide", None),
        "error: project is not exist\n\
         there is no project p: add it first (etmem obj add), or see etmem project show",
    )?;
    daemon.add(&[PROJECT, ENGINE].concat())?;
    refused(
        &daemon,
        &ask("p", "cslide", None),
        "error: engine is not exist\n\
         project p has no engine cslide: add it first, or see etmem project show",
    )?;
    refused(
        &daemon,
        &ask("p", "slide", Some("t")),
        "error: task is not exist\nengine slide of project p has no task t: see etmem project show",
    )?;
    refused(
        &daemon,
        &ask("p", "slide", None),
        "error: invalid parameters\nproject p does not run: start it first (etmem project start)",
    )?;
    daemon.must(&["project", "start", "-n", "p"])?;
    refused(
        &daemon,
        &ask("p", "slide", None),
        "error: invalid parameters\nengine slide of project p has no task",
    )
}

fn starting() -> Result<()> {
    let daemon = daemon()?;
    // Nobody makes or takes swap meanwhile, so that what is said of it is known.
    let _swap = swap::guard::lock()?;
    let no_swap = if swap::areas()?.is_empty() {
        "task t: this machine has no swap, so nothing can be moved out: add some (swapon)\n"
    } else {
        ""
    };
    daemon.add(&[PROJECT, ENGINE, TASK].concat())?;
    let waits = format!("task t: no process named no-such-comm yet; waiting for it\n{no_swap}");
    done(&daemon, &Line::project(2, "p"), &waits)?;
    refused(&daemon, &Line::project(2, "p"), "error: project has been started\nproject p runs already")?;
    let row = "1        name     no-such-comm     t                slide            true    \n";
    done(&daemon, &Line::project(4, "p"), &format!("project: p\n{HEADER}{row}"))?;
    for task in [None, Some("t")] {
        for command in ["showtaskpages", "showhostpages", "no-such-command"] {
            refused(
                &daemon,
                &Line::engine("p", "slide", command, task),
                "error: invalid parameters\nengine slide has no commands",
            )?;
        }
    }
    done(&daemon, &Line::project(3, "p"), "")?;
    done(&daemon, &Line::object(1, &file(&daemon, "task.conf", TASK)?), "")
}

fn show() -> Result<()> {
    let daemon = daemon()?;
    let unknown = "project: project p is not existed\n\n";
    done(&daemon, &Line::show_all(), "no project exists\n\n")?;
    done(&daemon, &Line::project(4, "p"), unknown)?;
    let long = TASK.replace("name=t\n", "name=a_name_longer_than_its_column\n");
    let pid = std::process::id().to_string();
    let by_pid = TASK.replace("name=t\n", "name=by_pid\n").replace("type=name", "type=pid");
    daemon.add(&[PROJECT, ENGINE, TASK, &long, &by_pid.replace("no-such-comm", &pid)].concat())?;
    let second = PROJECT.replace("name=p", "name=second");
    daemon.add(&second)?;
    let rows = format!(
        "1        pid      {pid:<16} by_pid           slide            false   \n\
         2        name     no-such-comm     a_name_longer_than_its_column slide            false   \n\
         3        name     no-such-comm     t                slide            false   \n"
    );
    let p = format!("project: p\n{HEADER}{rows}");
    let second = format!("project: second\n{HEADER}");
    done(&daemon, &Line::project(4, "p"), &p)?;
    done(&daemon, &Line::project(4, "second"), &second)?;
    done(&daemon, &Line::show_all(), &(second + &p))?;
    done(&daemon, &Line::project(4, "q"), "project: project q is not existed\n\n")
}

fn segments() -> Result<()> {
    let daemon = daemon()?;
    let clock = WallClock::new();
    let path = file(&daemon, "p.conf", &[PROJECT, ENGINE, TASK].concat())?;
    let missing = "error: task is not exist\nengine slide of project p has no task u: see etmem project show";
    let row = "1        name     no-such-comm     t                slide            false   \n";
    for (line, want) in [
        (Line::object(0, &path), b"\xff".to_vec()),
        (Line::project(4, "p"), [b"project: p\n", HEADER.as_bytes(), row.as_bytes(), b"\xff"].concat()),
        (Line::engine("p", "slide", "c", Some("u")), [missing.as_bytes(), b"\xfe"].concat()),
        (Line::object(1, &path), b"\xff".to_vec()),
    ] {
        let bytes = line.bytes();
        let mut client = OriginalClient::connect(daemon.socket())?;
        for byte in &bytes {
            client.send(std::slice::from_ref(byte))?;
            // Long enough for the daemon to read it alone.
            let _ = clock.pause(Duration::from_millis(1));
        }
        let got = client.answer()?;
        ensure!(got.0 == want, "{}: {}", bytes.escape_ascii(), got.0.escape_ascii());
    }
    // Cut in the middle of a key, of a value, and before a space.
    for at in [5, 12, 30] {
        let bytes = Line::show_all().bytes();
        let mut client = OriginalClient::connect(daemon.socket())?;
        for segment in [&bytes[..at], &bytes[at..]] {
            client.send(segment)?;
            let _ = clock.pause(Duration::from_millis(20));
        }
        ensure!(client.answer()?.0 == b"no project exists\n\n\xff", "cut at {at}");
    }
    Ok(())
}

fn trailing() -> Result<()> {
    let daemon = daemon()?;
    daemon.add(&[PROJECT, ENGINE].concat())?;
    let unknown = b"project: project q is not existed\n\n\xff";
    let no_task = b"error: task is not exist\n\
                    engine slide of project p has no task t: see etmem project show\xfe";
    for behind in [&b"\0"[..], b"\n", b"\r\n", b" ", b" and more", b"\0\xff\xfe proj_name", &[b' '; 4096]] {
        answers(&daemon, &[&Line::project(4, "q").bytes()[..], behind].concat(), unknown)?;
        let command = Line::engine("p", "slide", "c", Some("t"));
        answers(&daemon, &[&command.bytes()[..], behind].concat(), no_task)?;
    }
    Ok(())
}

/// A file whose path has as many bytes, so that its request does too.
fn file_for_request_of(daemon: &Daemon, bytes: usize, text: &str) -> Result<PathBuf> {
    let frame = Line::object(0, "").bytes().len();
    let missing = bytes - frame - daemon.folder().as_os_str().len() - "/".len();
    // A name in a path has at most 255 bytes.
    let folder = daemon.folder().join("d".repeat(200));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join("f".repeat(missing - 200 - "/".len()));
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?
        .write_all(text.as_bytes())?;
    Ok(path)
}

fn lengths() -> Result<()> {
    let daemon = daemon()?;
    let text = [PROJECT, ENGINE, TASK].concat();
    for bytes in [511, 512] {
        let path = file_for_request_of(&daemon, bytes, &text)?.display().to_string();
        for cmd in [0, 1] {
            let line = Line::object(cmd, &path);
            ensure!(line.bytes().len() == bytes, "a line of {} bytes", line.bytes().len());
            done(&daemon, &line, "")?;
        }
    }
    let path = file_for_request_of(&daemon, 513, &text)?.display().to_string();
    let too_long = format!("{INVALID}the request is longer than 512 bytes");
    refused(&daemon, &Line::object(0, &path), &too_long)?;
    refused(&daemon, &Line::object(0, &"f".repeat(1 << 20)), &too_long)?;
    done(&daemon, &Line::show_all(), "no project exists\n\n")
}

fn dashes() -> Result<()> {
    let daemon = daemon()?;
    daemon.add(PROJECT)?;
    let p = format!("project: p\n{HEADER}");
    let everywhere = b"proj_name -x file_name -f cmd 4 eng_name --- eng_cmd -- task_name -t";
    answers(&daemon, everywhere, &[p.as_bytes(), b"\xff"].concat())?;
    let absent = |key: &str, words: &str| format!("{INVALID}{key} is absent, and \"{words}\" needs it");
    for (line, want) in [
        (Line::project(2, "-p"), absent("proj_name", "project start")),
        (Line::project(3, "-"), absent("proj_name", "project stop")),
        (Line::object(0, "-f"), absent("file_name", "obj add")),
        (Line::object(1, "--"), absent("file_name", "obj del")),
        (Line::engine("-p", "e", "c", None), absent("proj_name", "engine")),
        (Line::engine("p", "-e", "c", None), absent("eng_name", "engine")),
        (Line::engine("p", "e", "-c", None), absent("eng_cmd", "engine")),
    ] {
        refused(&daemon, &line, &want)?;
    }
    Ok(())
}

fn no_lines() -> Result<()> {
    let daemon = daemon()?;
    let form = "a request is \"proj_name V file_name V cmd N eng_name V eng_cmd V task_name V\"";
    let cmd = |value: &str| format!("proj_name - file_name - cmd {value} eng_name - eng_cmd - task_name -");
    let number = |shown: &str| format!("cmd is \"{shown}\"; it is a number from 0 to 5");
    let long = "n".repeat(65);
    for (request, reason) in [
        (String::new(), String::from("the request ends before the value of proj_name does")),
        (
            String::from("proj_name p file_name - cmd 2"),
            String::from("the request ends before the value of cmd does"),
        ),
        (
            String::from("file_name - proj_name p cmd 2 eng_name - eng_cmd - task_name -"),
            format!("the request does not have the key proj_name at byte 0; {form}"),
        ),
        (
            String::from("proj_name p cmd 2 file_name - eng_name - eng_cmd - task_name -"),
            format!("the request does not have the key file_name at byte 12; {form}"),
        ),
        (
            String::from("GET / HTTP/1.1\r\n\r\n"),
            format!("the request does not have the key proj_name at byte 0; {form}"),
        ),
        (
            String::from("proj_name  file_name - cmd 4 eng_name - eng_cmd - task_name -"),
            String::from("the request has no value behind proj_name; an absent value is written '-'"),
        ),
        (cmd("6"), number("6")),
        (cmd("-1"), number("-")),
        (cmd("x"), number("x")),
        (cmd("4x"), number("4x")),
        (cmd("99999999999999999999"), number("99999999999999999999")),
        (
            Line::project(2, &long).bytes().escape_ascii().to_string(),
            format!("proj_name \"{long}\" has 65 bytes; a name has 1 to 64"),
        ),
    ] {
        let mut client = OriginalClient::connect(daemon.socket())?;
        client.send(request.as_bytes())?;
        // Refused before that where nothing can mend it, so that it may fail.
        let _ = client.end_request();
        let got = client.answer()?;
        let want = [INVALID.as_bytes(), reason.as_bytes(), b"\xfe"].concat();
        ensure!(got.0 == want, "{request:?}: {} instead of {}", got.0.escape_ascii(), want.escape_ascii());
    }
    answers(
        &daemon,
        b"proj_name \xff\xfe file_name - cmd 2 eng_name - eng_cmd - task_name -",
        &[INVALID.as_bytes(), "proj_name \"\u{fffd}\u{fffd}\" is not UTF-8".as_bytes(), b"\xfe"].concat(),
    )?;
    done(&daemon, &Line::show_all(), "no project exists\n\n")
}

fn goes_away() -> Result<()> {
    let daemon = daemon()?;
    let line = Line::show_all().bytes();
    for sent in [0, 1, 20, line.len()] {
        let mut client = OriginalClient::connect(daemon.socket())?;
        client.send(&line[..sent])?;
        drop(client);
    }
    done(&daemon, &Line::show_all(), "no project exists\n\n")?;
    let ended = daemon.terminate()?;
    ensure!(ended.status == 0, "{ended:?}, log:\n{}", daemon.log());
    Ok(())
}

/// What this program does in the other role: asks, prints what comes, ends with the client's number.
fn be_client(socket: &str, line: &str) -> ExitCode {
    match OriginalClient::ask(socket, line.as_bytes()) {
        Ok(answer) => {
            let shown = std::io::stdout().write_all(&answer.shown());
            ExitCode::from(if shown.is_ok() { answer.number() } else { 1 })
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn not_root() -> Result<()> {
    let daemon = daemon()?;
    let program = for_everybody(daemon.folder(), &std::env::current_exe()?)?;
    let line = String::from_utf8(Line::show_all().bytes())?;
    let ask = |user: u32, group: u32| {
        let mut command = Command::new(&program);
        run(command.args([AS_CLIENT, daemon.socket(), &line]).uid(user).gid(group), LIMIT)
    };
    let root = ask(0, 0)?;
    ensure!((root.status, root.stdout.as_str()) == (0, "no project exists\n\n"), "{root:?}");
    for (user, group) in [(NOBODY, NOBODY), (NOBODY, 0), (0, NOBODY)] {
        let dropped = ask(user, group)?;
        ensure!((dropped.status, dropped.stdout.as_str()) == (186, ""), "{user}:{group}: {dropped:?}");
        let told = format!("user {user} group {group}");
        ensure!(daemon.log().contains(&told), "the log does not say {told:?}:\n{}", daemon.log());
    }
    Ok(())
}
