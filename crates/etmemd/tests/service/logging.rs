//! The log over syslog's socket, and its words.

use crate::stand::{LIMIT, Stand, refused};
use anyhow::{Context, Result, ensure};
use etmem_testkit::process::{Running, run};
use std::fs::File;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Stdio;

/// A syslog daemon.
struct Syslog(UnixDatagram);

impl Syslog {
    fn listen(path: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        socket.set_read_timeout(Some(LIMIT))?;
        Ok(Self(socket))
    }

    /// The next packet for which `found` is true.
    fn wait_for(&self, found: impl Fn(&str) -> bool) -> Result<String> {
        let mut seen = Vec::new();
        let mut buffer = [0; 20_000];
        loop {
            let length = self.0.recv(&mut buffer).with_context(|| format!("not among {seen:?}"))?;
            let packet = std::str::from_utf8(&buffer[..length])?.to_owned();
            if found(&packet) {
                return Ok(packet);
            }
            seen.push(packet);
        }
    }
}

/// Starts a daemon that logs warnings to the socket `log` of the stand, and waits until it listens.
fn start(stand: &Stand, level: &str) -> Result<Running> {
    let notify = UnixDatagram::bind(stand.path("notify"))?;
    notify.set_read_timeout(Some(LIMIT))?;
    let mut command = stand.command();
    command.env("ETMEMD_LOG", format!("syslog:{}", stand.path("log").display())).args(["-l", level]);
    command.env("NOTIFY_SOCKET", stand.path("notify"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(stand.path("stderr"))?);
    let (running, _) = Running::start(&mut command)?;
    notify.recv(&mut [0; 4096]).context("it does not become ready")?;
    Ok(running)
}

fn ask(stand: &Stand, request: &[u8]) -> Result<String> {
    let mut client = UnixStream::connect_addr(&SocketAddr::from_abstract_name(&stand.socket)?)?;
    client.set_read_timeout(Some(LIMIT))?;
    client.write_all(request)?;
    client.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)?;
    let status = answer.pop().context("no answer")?;
    ensure!(status == 0xfe, "not refused: {}", String::from_utf8_lossy(&answer));
    Ok(String::from_utf8(answer)?)
}

/// Whatever is refused, on whatever way, the log has the answer's words, in one line.
pub(crate) fn same_words() -> Result<()> {
    let stand = Stand::new()?;
    let syslog = Syslog::listen(&stand.path("log"))?;
    let daemon = start(&stand, "2")?;
    let sender = format!(" etmemd[{}]: ", daemon.pid());
    let bad = stand.path("bad\u{1b}[31m.conf");
    std::fs::write(&bad, "[project]\nname=x\n")?;
    let add = format!("proj_name - file_name {} cmd 0 eng_name - eng_cmd - task_name -", bad.display());
    let requests: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"proj_name p file",
        b"proj_name p file_name - cmd 9 eng_name - eng_cmd - task_name -",
        b"proj_name \xff\xfe file_name - cmd 2 eng_name - eng_cmd - task_name -",
        b"proj_name absent file_name - cmd 2 eng_name - eng_cmd - task_name -",
        add.as_bytes(),
    ];
    for request in requests {
        let answer = ask(&stand, request)?;
        let words = answer.replace('\n', "; ");
        let packet = syslog.wait_for(|packet| packet.contains("refused"))?;
        ensure!(packet.starts_with("<28>") && packet.contains(&sender), "{packet:?}");
        ensure!(packet.ends_with(&format!("refused: {words}")), "answer {answer:?}\nlog {packet:?}");
        ensure!(!packet.contains(char::is_control), "{packet:?}");
    }
    Ok(())
}

/// The daemon answers while no process takes its log, and finds the syslog daemon that comes back.
pub(crate) fn lost_syslog() -> Result<()> {
    let stand = Stand::new()?;
    let syslog = Syslog::listen(&stand.path("log"))?;
    let daemon = start(&stand, "2")?;
    let nonsense = b"proj_name p file_name - cmd 9 eng_name - eng_cmd - task_name -";
    drop(syslog);
    ask(&stand, nonsense)?;
    std::fs::remove_file(stand.path("log"))?;
    ask(&stand, nonsense)?;
    let syslog = Syslog::listen(&stand.path("log"))?;
    ask(&stand, nonsense)?;
    let gap = syslog.wait_for(|packet| packet.contains("lost"))?;
    ensure!(gap.ends_with(": 2"), "{gap:?}");
    syslog.wait_for(|packet| packet.contains("refused"))?;
    // Now one that is there and does not read.
    for _ in 0..300 {
        ask(&stand, nonsense)?;
    }
    ensure!(daemon.ended()?.is_none());
    Ok(())
}

pub(crate) fn no_such_place() -> Result<()> {
    let stand = Stand::new()?;
    let absent = format!("syslog:{}", stand.path("absent").display());
    for place in ["nowhere", absent.as_str()] {
        for mode in [&[][..], &["-m"]] {
            let ran = run(stand.command().env("ETMEMD_LOG", place).args(mode), LIMIT)?;
            refused(&ran, &["ETMEMD_LOG", place])?;
            ensure!(!stand.path("pid").exists(), "a pid file without a daemon");
        }
    }
    Ok(())
}
