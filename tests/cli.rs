//! The two programs as an administrator uses them.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Result, ensure};
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::original::OriginalClient;
use etmem_testkit::process::run;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

const LIMIT: Duration = Duration::from_secs(30);
/// What the client ends with when the daemon says no.
const REFUSED: i32 = 186;

fn main() -> ExitCode {
    let root = [Need::Root];
    let bpf = [Need::Root, Need::Bpf];
    run_in_turn(vec![
        trial_or_skip("help_needs_no_daemon", &[], help),
        trial_or_skip("the_client_links_no_async_runtime", &[], no_runtime),
        trial_or_skip("without_a_daemon_the_client_says_so", &[], no_daemon_listens),
        trial_or_skip("what_is_added_is_shown_and_deleted", &root, add_show_del),
        trial_or_skip("a_project_starts_and_stops_once", &bpf, start_stop),
        trial_or_skip("a_task_of_a_started_project_starts_at_once", &bpf, task_of_started),
        trial_or_skip("engines_and_tasks_can_come_in_files_of_their_own", &root, separate_files),
        trial_or_skip("a_relative_path_is_the_clients", &root, relative_path),
        trial_or_skip("unknown_keys_are_accepted_with_a_warning", &root, unknown_key),
        trial_or_skip("a_silent_client_holds_nobody_up", &root, silent_client),
    ])
}

/// A target that is there as long as the test is.
fn project(name: &str) -> ProjectFile {
    ProjectFile::new(name).task("background", TaskKind::Pid(std::process::id()))
}

fn daemon() -> Result<Daemon> {
    Daemon::start(Binaries::build()?)
}

fn help() -> Result<()> {
    let binaries = Binaries::build()?;
    for (program, words) in [
        (&binaries.etmem, vec!["help"]),
        (&binaries.etmem, vec!["obj", "help"]),
        (&binaries.etmemd, vec!["-h"]),
    ] {
        let ran = run(Command::new(program).args(&words), LIMIT)?;
        ensure!(ran.status == 0 && !ran.stdout.is_empty(), "{} {words:?}: {ran:?}", program.display());
    }
    Ok(())
}

fn no_daemon_listens() -> Result<()> {
    let words = ["project", "show", "-s", "etmem-test-nobody-is-here"];
    let ran = run(Command::new(&Binaries::build()?.etmem).args(words), LIMIT)?;
    ensure!(ran.status == 111 && ran.stderr.contains("etmem-test-nobody-is-here"), "{ran:?}");
    Ok(())
}

fn add_show_del() -> Result<()> {
    let daemon = daemon()?;
    ensure!(daemon.must(&["project", "show"])? == "no project exists\n\n");
    ensure!(daemon.must(&["project", "show", "-n", "p"])? == "project: project p is not existed\n\n");
    let file = daemon.write("p.conf", &project("p").to_string())?.display().to_string();
    ensure!(
        daemon.must(&["obj", "add", "-f", &file])?.is_empty(),
        "nothing is wrong, so there is nothing to say"
    );

    let pid = std::process::id();
    let row = |cells: [&str; 6]| {
        let [number, kind, value, name, engine, started] = cells;
        format!("{number:<8} {kind:<8} {value:<16} {name:<16} {engine:<16} {started:<8}\n")
    };
    let expected = String::from("project: p\n")
        + &row(["number", "type", "value", "name", "engine", "started"])
        + &row(["1", "pid", &pid.to_string(), "background", "slide", "false"]);
    let shown = daemon.must(&["project", "show", "-n", "p"])?;
    ensure!(shown.trim_end() == expected.trim_end(), "{shown}\ninstead of\n{expected}");

    let again = daemon.etmem(&["obj", "add", "-f", &file])?;
    ensure!(
        again.status == REFUSED && again.stdout.starts_with("error: project has been existed\n"),
        "{again:?}"
    );
    ensure!(daemon.must(&["project", "show", "-n", "p"])? == shown);
    daemon.must(&["obj", "del", "-f", &file])?;
    ensure!(daemon.must(&["project", "show"])? == "no project exists\n\n");
    let gone = daemon.etmem(&["obj", "del", "-f", &file])?;
    ensure!(gone.status == REFUSED && gone.stdout.starts_with("error: "), "{gone:?}");
    Ok(())
}

fn start_stop() -> Result<()> {
    let daemon = daemon()?;
    let file = ProjectFile::new("p").task("t", TaskKind::Name(String::from("no-such-comm")));
    daemon.add(&file.to_string())?;
    let refused = |words: &[&str], text: &str| -> Result<()> {
        let ran = daemon.etmem(words)?;
        ensure!(ran.status == REFUSED && ran.stdout.starts_with(text), "{words:?}: {ran:?}");
        Ok(())
    };
    refused(&["project", "start", "-n", "q"], "error: project is not exist")?;
    let answer = daemon.must(&["project", "start", "-n", "p"])?;
    ensure!(answer.contains("no-such-comm"), "it does not say what it waits for: {answer:?}");
    ensure!(daemon.must(&["project", "show", "-n", "p"])?.contains(" true "));
    refused(&["project", "start", "-n", "p"], "error: project has been started")?;
    daemon.must(&["project", "stop", "-n", "p"])?;
    ensure!(daemon.must(&["project", "show", "-n", "p"])?.contains(" false "));
    refused(&["project", "stop", "-n", "p"], "error: project has been stopped")?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let ended = daemon.terminate()?;
    ensure!(ended.status == 0, "{ended:?}, log:\n{}", daemon.log());
    Ok(())
}

fn task_of_started() -> Result<()> {
    let daemon = daemon()?;
    daemon.add(&ProjectFile::new("p").to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let answer =
        daemon.add("[task]\nproject=p\nengine=slide\nname=late\ntype=name\nvalue=no-such-comm\nT=1\n")?;
    ensure!(answer.contains("no-such-comm"), "it does not say what it waits for: {answer:?}");
    ensure!(daemon.must(&["project", "show"])?.contains("late"));
    Ok(())
}

fn separate_files() -> Result<()> {
    let daemon = daemon()?;
    daemon.add("[project]\nname=p\nloop=1\ninterval=1\nsleep=1\n")?;
    daemon.add("[engine]\nname=slide\nproject=p\n")?;
    let task =
        |name: &str| format!("[task]\nproject=p\nengine=slide\nname={name}\ntype=name\nvalue=x\nT=1\n");
    daemon.add(&(task("one") + &task("two")))?;
    let shown = daemon.must(&["project", "show"])?;
    let at = |name: &str| shown.find(name);
    ensure!(at("two").is_some() && at("two") < at("one"), "the newest comes first:\n{shown}");
    let file = daemon.write("one.conf", &task("one"))?.display().to_string();
    daemon.must(&["obj", "del", "-f", &file])?;
    let shown = daemon.must(&["project", "show"])?;
    ensure!(shown.contains("two") && !shown.contains("one"), "{shown}");
    Ok(())
}

fn relative_path() -> Result<()> {
    let daemon = daemon()?;
    daemon.write("p.conf", &project("p").to_string())?;
    let mut command = Command::new(&Binaries::build()?.etmem);
    command.args(["obj", "add", "-f", "p.conf", "-s", daemon.socket()]).current_dir(daemon.folder());
    let ran = run(&mut command, LIMIT)?;
    ensure!(ran.status == 0, "{ran:?}");
    Ok(())
}

fn unknown_key() -> Result<()> {
    let daemon = daemon()?;
    let mut file = project("p");
    file.extra = vec![String::from("intervall=5")];
    let answer = daemon.add(&(file.to_string() + "\n[tusk]\nname=x\n"))?;
    for word in ["intervall", "interval", "project", "tusk", "task"] {
        ensure!(answer.contains(word), "the warning does not name {word}: {answer:?}");
    }
    ensure!(daemon.must(&["project", "show"])?.contains("background"));
    Ok(())
}

fn silent_client() -> Result<()> {
    let daemon = daemon()?;
    let mut silent = OriginalClient::connect(daemon.socket())?;
    ensure!(daemon.must(&["project", "show"])? == "no project exists\n\n");
    silent.end_request()?;
    silent.answer()?;
    ensure!(daemon.is_running()?);
    Ok(())
}

/// What it is linked with from outside, however far down: a client that asks one question needs no runtime.
fn no_runtime() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["tree", "--package=etmem", "--edges=normal", "--prefix=none", "--format={lib}"]);
    let ran = run(command.current_dir(env!("CARGO_MANIFEST_DIR")), LIMIT)?;
    let linked: Vec<&str> = ran.stdout.lines().collect();
    ensure!(ran.status == 0 && linked.contains(&"etmem_wire") && linked.contains(&"clap"), "{ran:?}");
    for library in linked {
        let name = library.trim_start_matches("r#");
        // mio is no runtime: it waits for the keys of `etmem top`.
        let runtime = ["tokio", "async", "smol", "futures", "polling"];
        ensure!(!runtime.iter().any(|word| name.starts_with(word)), "etmem links {name}");
    }
    Ok(())
}
