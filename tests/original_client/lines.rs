//! Lines as they may arrive: in segments, with something behind them, too long, absent values, and none at all.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::Daemon;
use etmem_testkit::original::{Line, OriginalClient};

use crate::{ENGINE, HEADER, INVALID, PROJECT, TASK, answers, daemon, done, file, refused};

pub(crate) fn segments() -> Result<()> {
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

pub(crate) fn trailing() -> Result<()> {
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

pub(crate) fn lengths() -> Result<()> {
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

pub(crate) fn dashes() -> Result<()> {
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

pub(crate) fn no_lines() -> Result<()> {
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
