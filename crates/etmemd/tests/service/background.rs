//! `-m`: the starter ends once the daemon listens, or says why it does not.

use crate::stand::{InBackground, LIMIT, Stand, refused};
use anyhow::{Context, Result, ensure};
use etmem_testkit::pagemap;
use etmem_testkit::process::{Running, code, run};
use etmem_testkit::size::MIB;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getsid};
use std::fs;
use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

fn connect(stand: &Stand) -> std::io::Result<UnixStream> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(&stand.socket)?)
}

pub(crate) fn starts_and_stops() -> Result<()> {
    let stand = Stand::new()?;
    let mut command = stand.command();
    // Its log goes elsewhere, so that it has to let go of all that its starter gave it.
    let syslog = std::os::unix::net::UnixDatagram::bind(stand.path("log"))?;
    command.env("ETMEMD_LOG", format!("syslog:{}", stand.path("log").display()));
    let started = run(command.args(["-m", "-l", "1"]), LIMIT)?;
    ensure!(started.status == 0 && started.stdout.is_empty() && started.stderr.is_empty(), "{started:?}");
    connect(&stand).context("it does not listen though its starter has ended")?;
    let daemon = InBackground::of(&stand.path("pid"))?;

    let own = |file: &str| format!("/proc/{}/{file}", daemon.pid());
    let pid = Pid::from_raw(daemon.pid());
    ensure!(getsid(Some(pid))? == pid, "it did not leave the session");
    ensure!(fs::read_link(own("cwd"))? == Path::new("/"), "it keeps the folder in use");
    for descriptor in 0..=2 {
        let target = fs::read_link(own(&format!("fd/{descriptor}")))?;
        ensure!(target == Path::new("/dev/null"), "descriptor {descriptor} is {}", target.display());
    }
    let status = fs::read_to_string(own("status"))?;
    ensure!(status.contains("Threads:\t1\n"), "an idle daemon has one thread: {status}");

    daemon.terminate()?;
    ensure!(!stand.path("pid").exists(), "the pid file stays");
    ensure!(connect(&stand).is_err(), "a process still listens");
    drop(syslog);
    Ok(())
}

/// Its memory is locked, or it says that and why it may be swapped out; either way an idle one is small.
pub(crate) fn own_memory() -> Result<()> {
    let stand = Stand::new()?;
    let started = run(stand.command().args(["-m", "-l", "2"]), LIMIT)?;
    let daemon = InBackground::of(&stand.path("pid"))?;
    let size = |key: &str| pagemap::status_bytes(u32::try_from(daemon.pid())?, key);
    let locked = size("VmLck")? > 0;
    let warned = started.stderr.contains("own memory may be swapped out: ");
    ensure!(locked != warned, "locked: {locked}, said: {:?}", started.stderr);
    let resident = size("VmRSS")?;
    ensure!(resident <= 10 * MIB, "{resident} bytes resident");
    daemon.terminate()
}

pub(crate) fn name_in_use() -> Result<()> {
    let stand = Stand::new()?;
    let daemon = stand.start_in_background()?;
    let second = run(stand.command().arg("-m").env("ETMEMD_PID_FILE", stand.path("other")), LIMIT)?;
    refused(&second, &["in use", &stand.socket])?;
    ensure!(!stand.path("other").exists(), "a pid file without a daemon");
    ensure!(daemon.is_running());
    daemon.terminate()
}

pub(crate) fn held_pid_file() -> Result<()> {
    let stand = Stand::new()?;
    let daemon = stand.start_in_background()?;
    let other = Stand::new()?;
    let second = run(other.command().arg("-m").env("ETMEMD_PID_FILE", stand.path("pid")), LIMIT)?;
    let pid = daemon.pid().to_string();
    refused(&second, &["pid file", &stand.path("pid").display().to_string(), &pid, "-m"])?;
    ensure!(connect(&other).is_err(), "the refused one listens");
    ensure!(fs::read_to_string(stand.path("pid"))? == format!("{pid}\n"), "the file was touched");
    daemon.terminate()?;
    ensure!(!stand.path("pid").exists());
    Ok(())
}

pub(crate) fn stale_pid_file() -> Result<()> {
    let stand = Stand::new()?;
    // Of a process that lives, but does not hold the file: such a pid was given away.
    fs::write(stand.path("pid"), "1\n")?;
    let daemon = stand.start_in_background()?;
    daemon.end_by(Signal::SIGKILL)?;
    ensure!(stand.path("pid").exists(), "who is killed removes nothing");
    let again = stand.start_in_background()?;
    ensure!(again.pid() != daemon.pid());
    again.terminate()?;
    ensure!(!stand.path("pid").exists());
    Ok(())
}

pub(crate) fn impossible_pid_file() -> Result<()> {
    let stand = Stand::new()?;
    for path in [stand.path("absent/pid"), stand.folder.path().to_owned()] {
        let ran = run(stand.command().arg("-m").env("ETMEMD_PID_FILE", &path), LIMIT)?;
        refused(&ran, &["pid file", &path.display().to_string()])?;
        ensure!(connect(&stand).is_err(), "it listens all the same");
    }
    Ok(())
}

/// A daemon that is ended before it listens, here by a limit on what it may write: the pid file.
pub(crate) fn dies_early() -> Result<()> {
    let stand = Stand::new()?;
    let mut command = Command::new("sh");
    let line = format!("ulimit -f 0; exec {} -s {} -m 2>&1", env!("CARGO_BIN_EXE_etmemd"), stand.socket);
    command.args(["-c", &line]).env("ETMEMD_PID_FILE", stand.path("pid")).env("ETMEMD_LOG", "stderr");
    // Through a pipe: to a file the starter could not write either.
    let (running, pipes) = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let (status, _) = running.wait(LIMIT)?;
    let mut told = String::new();
    pipes.output.context("no pipe")?.read_to_string(&mut told)?;
    ensure!(code(status) == 1, "{status}: {told}");
    ensure!(told.contains("signal: 25") && told.contains("before it listened"), "{told}");
    ensure!(connect(&stand).is_err(), "it listens all the same");
    Ok(())
}
