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

/// Texts that are refused, and the words that the message has to hold. The rules of each key are tested where they are
/// written; here is one text for each part of the daemon that refuses: the reader of files, the meaning of a project, the
/// engine, and the look at the process.
fn texts() -> [(&'static str, String, &'static [&'static str]); 5] {
    let task = |lines: &str| format!("{PROJECT}{ENGINE}{TASK}{lines}");
    let loop_too_large = PROJECT.replace("loop=1", "loop=121") + ENGINE;
    [
        ("not_a_key_file", String::from("this is no key file\n"), &["1"]),
        ("loop_too_large", loop_too_large, &["loop", "121", "1..=120"]),
        ("t_too_large", task("type=name\nvalue=x\nT=4\n"), &["T", "4", "3"]),
        ("pid_of_nothing", task("type=pid\nvalue=4194305\nT=1\n"), &["value", "4194305"]),
        ("pid_of_a_kernel_thread", task("type=pid\nvalue=2\nT=1\n"), &["value", "2", "kernel thread"]),
    ]
}

fn main() -> ExitCode {
    let root = [Need::Root];
    let mut trials = vec![
        trial_or_skip("a_socket_name_in_use", &root, socket_in_use),
        trial_or_skip("the_daemon_not_as_root", &[], daemon_as_another_user),
        trial_or_skip("the_client_not_as_root", &root, client_as_another_user),
        trial_or_skip("no_such_file", &root, || refused_file(|_| Ok(()), &["No such file"])),
        trial_or_skip("a_directory", &root, || {
            refused_file(|path| Ok(fs::create_dir(path)?), &["regular file"])
        }),
        trial_or_skip("a_file_that_is_not_roots", &root, || refused_file(owned_by_another_user, &["root"])),
        trial_or_skip("a_file_with_the_wrong_mode", &root, || {
            refused_file(readable_by_all, &["0644", "0600"])
        }),
        trial_or_skip("a_file_over_10_mib", &root, || refused_file(too_large, &["10 MiB"])),
        trial_or_skip("pid_of_etmemd_itself", &root, pid_of_the_daemon),
    ];
    trials.extend(texts().into_iter().map(|(name, text, words)| {
        trial_or_skip(name, &root, move || {
            let daemon = Daemon::start(Binaries::build()?)?;
            let file = daemon.write("bad.conf", &text)?;
            refuses(&daemon, &file, words)
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

fn owned_by_another_user(path: &Path) -> Result<()> {
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

fn daemon_as_another_user() -> Result<()> {
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

fn client_as_another_user() -> Result<()> {
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
