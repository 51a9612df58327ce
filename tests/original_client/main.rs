//! The client of etmem 1.x against our daemon: every command, every result, in whole bytes.
//!
//! The client is [`OriginalClient`], written from the description of the protocol alone; nothing here goes through
//! our own codec.

mod lines;
mod results;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::binaries::for_everybody;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::machine::Need;
use etmem_testkit::original::{Line, OriginalClient};
use etmem_testkit::process::run;
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
        trial_or_skip("every_result_of_objects", &root, results::objects),
        trial_or_skip("every_result_of_projects", &root, results::projects),
        trial_or_skip("every_result_of_engine_commands", &root, results::engine_commands),
        trial_or_skip("every_result_of_a_task_that_starts", &bpf, results::starting),
        trial_or_skip("every_form_of_project_show", &root, results::show),
        trial_or_skip("a_line_in_many_segments", &root, lines::segments),
        trial_or_skip("what_follows_a_line_is_ignored", &root, lines::trailing),
        trial_or_skip("a_line_of_511_512_and_513_bytes", &root, lines::lengths),
        trial_or_skip("values_that_begin_with_a_dash_are_absent", &root, lines::dashes),
        trial_or_skip("what_is_no_line_is_refused_with_the_reason", &root, lines::no_lines),
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
