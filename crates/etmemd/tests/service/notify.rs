//! systemd's notification protocol (sd_notify(3)) over a real socket.

use crate::stand::{LIMIT, Stand};
use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::process::{Running, code};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Stdio;
use std::time::Duration;

/// What the daemon is to report twice within.
const WATCHDOG: Duration = Duration::from_millis(200);

fn next(socket: &UnixDatagram) -> Result<String> {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).context("the daemon says nothing")?;
    Ok(std::str::from_utf8(&buffer[..length])?.to_owned())
}

pub(crate) fn whole_life() -> Result<()> {
    let stand = Stand::new()?;
    // systemd's own is an abstract one in some versions, and in a file system in others.
    let sockets = [
        (UnixDatagram::bind(stand.path("notify"))?, stand.path("notify").display().to_string()),
        (
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(format!("{}-notify", stand.socket))?)?,
            format!("@{}-notify", stand.socket),
        ),
    ];
    for (socket, name) in sockets {
        socket.set_read_timeout(Some(LIMIT))?;
        let mut command = stand.command();
        command.env("NOTIFY_SOCKET", &name).env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(stand.path("log"))?);
        let (running, _) = Running::start(&mut command)?;
        let ready = next(&socket)?;
        let lines: Vec<&str> = ready.lines().collect();
        let status = format!("STATUS=listening on @{}", stand.socket);
        ensure!(lines.contains(&"READY=1") && lines.contains(&status.as_str()), "{ready:?}");
        let address = SocketAddr::from_abstract_name(&stand.socket)?;
        std::os::unix::net::UnixStream::connect_addr(&address).context("ready, but does not listen")?;

        let clock = WallClock::new();
        clock.wait_until(LIMIT, "four reports", {
            let mut reports = 0;
            let socket = &socket;
            move || {
                let said = next(socket)?;
                ensure!(said.trim_end() == "WATCHDOG=1", "{said:?}");
                reports += 1;
                Ok(reports == 4)
            }
        })?;
        running.signal(Signal::SIGTERM)?;
        let mut said = next(&socket)?;
        while said.trim_end() == "WATCHDOG=1" {
            said = next(&socket)?;
        }
        ensure!(said.lines().any(|line| line == "STOPPING=1"), "{said:?}");
        let (status, _) = running.wait(LIMIT)?;
        ensure!(code(status) == 0, "{status}: {}", fs::read_to_string(stand.path("log"))?);
    }
    Ok(())
}

/// Without a manager the daemon sleeps: no timer runs, as its switches of context tell.
pub(crate) fn without_manager() -> Result<()> {
    let stand = Stand::new()?;
    let daemon = stand.start_in_background()?;
    let switches = || -> Result<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?;
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches:"));
        Ok(line.context("no count of switches")?.to_owned())
    };
    // It goes to sleep once, after it has said that it listens.
    let mut before = switches()?;
    WallClock::new().wait_until(LIMIT, "the daemon sleeps for a second", || {
        let begin = WallClock::new();
        begin.wait_until(LIMIT, "a second", {
            let begin = &begin;
            move || Ok(etmem_core::kernel::pacer::Pacer::now(begin) >= Duration::from_secs(1))
        })?;
        let now = switches()?;
        let slept = now == before;
        before = now;
        Ok(slept)
    })?;
    daemon.terminate()
}
