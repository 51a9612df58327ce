//! Input that is refused: the message names file, key, value and rule, and nothing of it stays.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::binaries::for_everybody;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::machine::{self, Need};
use etmem_testkit::process::run;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

const LIMIT: Duration = Duration::from_secs(30);
const NOBODY: u32 = 65534;
/// What the client ends with when the daemon says no.
const REFUSED: i32 = 186;

/// What stands in a file beside the part that is wrong.
const PROJECT: &str = "[project]\nname=bad\nloop=1\ninterval=1\nsleep=1\n";
const ENGINE: &str = "[engine]\nname=slide\nproject=bad\n";
const TASK: &str = "[task]\nproject=bad\nengine=slide\nname=t\n";

/// A text that is refused, and the words that its message has to hold.
struct Case {
    name: &'static str,
    text: String,
    words: Vec<String>,
}

fn case(name: &'static str, text: String, words: &[&str]) -> Case {
    Case { name, text, words: words.iter().map(|word| (*word).to_owned()).collect() }
}

fn project_case(name: &'static str, project: &str, words: &[&str]) -> Case {
    case(name, format!("{project}{ENGINE}{TASK}type=name\nvalue=x\nT=1\n"), words)
}

fn task_case(name: &'static str, lines: &str, words: &[&str]) -> Case {
    case(name, format!("{PROJECT}{ENGINE}{TASK}{lines}"), words)
}

fn texts() -> Vec<Case> {
    vec![
        case("not_a_key_file", String::from("this is no key file\n"), &["1"]),
        case("bytes_that_are_no_text", String::from("\u{0}\u{1}[project\u{7f}"), &["1"]),
        case("an_empty_file", String::new(), &["[project]"]),
        case("no_known_group", String::from("[other]\nname=bad\n"), &["[project]", "[task]"]),
        project_case(
            "loop_too_small",
            "[project]\nname=bad\nloop=0\ninterval=1\nsleep=1\n",
            &["loop", "0", "1..=120"],
        ),
        project_case(
            "loop_too_large",
            "[project]\nname=bad\nloop=121\ninterval=1\nsleep=1\n",
            &["loop", "121"],
        ),
        project_case(
            "loop_no_number",
            "[project]\nname=bad\nloop=many\ninterval=1\nsleep=1\n",
            &["loop", "many"],
        ),
        project_case(
            "interval_too_large",
            "[project]\nname=bad\nloop=1\ninterval=1201\nsleep=1\n",
            &["interval", "1201", "1200"],
        ),
        project_case("sleep_missing", "[project]\nname=bad\nloop=1\ninterval=1\n", &["sleep", "missing"]),
        project_case(
            "project_name_missing",
            "[project]\nloop=1\ninterval=1\nsleep=1\n",
            &["name", "missing"],
        ),
        project_case(
            "threshold_too_large",
            &format!("{PROJECT}sysmem_threshold=101\n"),
            &["sysmem_threshold", "101", "100"],
        ),
        project_case(
            "watermark_alone",
            &format!("{PROJECT}swapcache_high_wmark=5\n"),
            &["swapcache_low_wmark"],
        ),
        case("unknown_engine", format!("{PROJECT}[engine]\nname=slid\nproject=bad\n"), &["slid", "slide"]),
        case("engine_without_project", String::from("[engine]\nname=slide\nproject=absent\n"), &["absent"]),
        case("task_without_engine", format!("{PROJECT}{TASK}type=name\nvalue=x\nT=1\n"), &["slide"]),
        task_case("t_too_large", "type=name\nvalue=x\nT=4\n", &["T", "4", "3"]),
        task_case("t_negative", "type=name\nvalue=x\nT=-1\n", &["T", "-1"]),
        task_case("t_missing", "type=name\nvalue=x\n", &["T", "missing"]),
        task_case("type_unknown", "type=user\nvalue=x\nT=1\n", &["type", "user", "pid"]),
        task_case("value_missing", "type=pid\nT=1\n", &["value", "missing"]),
        task_case(
            "name_longer_than_15",
            "type=name\nvalue=a-very-long-name\nT=1\n",
            &["value", "a-very-long-name", "15"],
        ),
        task_case("name_with_a_blank", "type=name\nvalue=a b\nT=1\n", &["value", "a b"]),
        task_case(
            "dram_percent_too_large",
            "type=name\nvalue=x\nT=1\ndram_percent=101\n",
            &["dram_percent", "101", "100"],
        ),
        task_case(
            "swap_flag_unknown",
            "type=name\nvalue=x\nT=1\nswap_flag=maybe\n",
            &["swap_flag", "maybe", "yes"],
        ),
        task_case("pid_not_a_number", "type=pid\nvalue=one\nT=1\n", &["value", "one"]),
        task_case("pid_zero", "type=pid\nvalue=0\nT=1\n", &["value", "0"]),
        task_case("pid_of_nothing", "type=pid\nvalue=4194305\nT=1\n", &["value", "4194305"]),
        task_case("pid_of_a_kernel_thread", "type=pid\nvalue=2\nT=1\n", &["value", "2", "kernel thread"]),
    ]
}

fn main() -> ExitCode {
    let root = [Need::Root];
    let mut trials = vec![
        trial_or_skip("a_socket_name_in_use", &root, socket_in_use),
        trial_or_skip("the_daemon_not_as_root", &[], daemon_as_nobody),
        trial_or_skip("the_client_not_as_root", &root, client_as_nobody),
        trial_or_skip("no_such_file", &root, || refused_file(|_| Ok(()), &["No such file"])),
        trial_or_skip("a_directory", &root, || {
            refused_file(|path| Ok(fs::create_dir(path)?), &["regular file"])
        }),
        trial_or_skip("a_file_that_is_not_roots", &root, || refused_file(owned_by_nobody, &["root"])),
        trial_or_skip("a_file_with_the_wrong_mode", &root, || {
            refused_file(readable_by_all, &["0644", "0600"])
        }),
        trial_or_skip("a_file_over_10_mib", &root, || refused_file(too_large, &["10 MiB"])),
        trial_or_skip("pid_of_etmemd_itself", &root, pid_of_the_daemon),
    ];
    trials.extend(texts().into_iter().map(|case| {
        let name = case.name;
        trial_or_skip(name, &root, move || {
            let daemon = Daemon::start(Binaries::build()?)?;
            let file = daemon.write("bad.conf", &case.text)?;
            let words: Vec<&str> = case.words.iter().map(String::as_str).collect();
            refuses(&daemon, &file, &words)
        })
    }));
    run_in_turn(trials)
}

/// `obj add` of `file` fails, its answer holds the file's name and `words`, and nothing has changed by it.
fn refuses(daemon: &Daemon, file: &Path, words: &[&str]) -> Result<()> {
    daemon.add("[project]\nname=kept\nloop=1\ninterval=1\nsleep=1\n[engine]\nname=slide\nproject=kept\n")?;
    let before = daemon.must(&["project", "show"])?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    let ran = daemon.etmem(&["obj", "add", "-f", file])?;
    ensure!(ran.status == REFUSED && ran.stdout.starts_with("error: "), "{ran:?}");
    let (_, reason) = ran.stdout.split_once('\n').unwrap_or_default();
    let shown = format!("{reason:?}, log:\n{}", daemon.log());
    ensure!(reason.contains(file), "the message does not name the file {file}: {shown}");
    for word in words {
        ensure!(reason.replacen(file, "", 1).contains(word), "the message does not hold {word:?}: {shown}");
    }
    let after = daemon.must(&["project", "show"])?;
    ensure!(after == before, "something stays of it:\n{after}");
    Ok(())
}

fn refused_file(make: impl FnOnce(&Path) -> Result<()>, words: &[&str]) -> Result<()> {
    let daemon = Daemon::start(Binaries::build()?)?;
    let path = daemon.folder().join("bad.conf");
    make(&path)?;
    refuses(&daemon, &path, words)
}

/// A file in which everything else is right.
fn good(path: &Path) -> Result<()> {
    fs::write(path, format!("{PROJECT}{ENGINE}{TASK}type=name\nvalue=x\nT=1\n"))?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?)
}

fn owned_by_nobody(path: &Path) -> Result<()> {
    good(path)?;
    Ok(chown(path, Some(NOBODY), Some(NOBODY))?)
}

fn readable_by_all(path: &Path) -> Result<()> {
    good(path)?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o644))?)
}

fn too_large(path: &Path) -> Result<()> {
    good(path)?;
    let filler = format!("# {}\n", "x".repeat(1021));
    let text = fs::read_to_string(path)? + &filler.repeat(10 * 1024);
    Ok(fs::write(path, text)?)
}

fn pid_of_the_daemon() -> Result<()> {
    let daemon = Daemon::start(Binaries::build()?)?;
    let pid = daemon.pid().to_string();
    let text = format!("{PROJECT}{ENGINE}{TASK}type=pid\nvalue={pid}\nT=1\n");
    let file = daemon.write("bad.conf", &text)?;
    refuses(&daemon, &file, &["value", &pid, "etmemd itself"])
}

fn socket_in_use() -> Result<()> {
    let binaries = Binaries::build()?;
    let first = Daemon::start(binaries)?;
    let second = run(&mut Daemon::command(binaries, first.socket()), LIMIT)?;
    ensure!(second.status != 0, "a second daemon on one socket ends as if all were well: {second:?}");
    ensure!(second.stderr.contains(first.socket()) && second.stderr.contains("in use"), "{second:?}");
    first.must(&["project", "show"])?;
    Ok(())
}

fn daemon_as_nobody() -> Result<()> {
    let mut binaries = Binaries::build()?.clone();
    let folder = tempfile::tempdir()?;
    binaries.etmemd = for_everybody(folder.path(), &binaries.etmemd)?;
    let mut command = Daemon::command(&binaries, "etmem-test-nobody");
    if machine::lacks(&[Need::Root]).is_none() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let ran = run(&mut command, LIMIT)?;
    ensure!(ran.status != 0 && ran.stderr.contains("root"), "{ran:?}");
    Ok(())
}

fn client_as_nobody() -> Result<()> {
    let binaries = Binaries::build()?;
    let daemon = Daemon::start(binaries)?;
    let etmem = for_everybody(daemon.folder(), &binaries.etmem)?;
    let mut command = Command::new(etmem);
    command.args(["project", "show", "-s", daemon.socket()]).uid(NOBODY).gid(NOBODY);
    let ran = run(&mut command, LIMIT)?;
    ensure!(ran.status != 0 && ran.stderr.contains("root"), "{ran:?}");
    daemon.must(&["project", "show"])?;
    Ok(())
}
