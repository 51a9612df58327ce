//! `etmem pressure run`, as a unit starts it: a listener of this test in place of the daemon's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::process::{Running, code, run};
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(60);

fn etmem() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etmem"));
    command.env_remove("MEMORY_PRESSURE_WATCH").env_remove("MEMORY_PRESSURE_WRITE");
    command
}

/// What the command wrote so far.
fn text(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

fn wait_for(what: &str, mut enough: impl FnMut() -> bool) {
    WallClock::new().wait_until(LIMIT, what, || Ok(enough())).unwrap();
}

/// A helper whose command writes a line when it begins, and another when a file called `go` lets it end.
fn start(folder: &Path) -> (Running, UnixStream) {
    let listener = UnixListener::bind(folder.join("socket")).unwrap();
    // It ends with the folder, should the helper be killed.
    let trim = "echo begins $ETMEM_WANTED_BYTES >>log; until [ -e go ]; do [ -e log ] || exit; sleep 0.02; done; \
                rm go; echo ends >>log";
    let mut command = etmem();
    command.args(["pressure", "run", "--watch", "socket", "--", "sh", "-c", trim]).current_dir(folder);
    let (running, _) = Running::start(command.stdin(Stdio::null())).unwrap();
    let (stream, _) = listener.accept().unwrap();
    (running, stream)
}

#[test]
fn one_command_at_a_time_and_once_more_for_what_came_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (running, mut daemon) = start(folder);
    daemon.write_all(b"wanted_bytes=5\n").unwrap();
    wait_for("the command begins", || text(folder) == "begins 5\n");
    for bytes in 6..=9 {
        daemon.write_all(format!("wanted_bytes={bytes}\n").as_bytes()).unwrap();
    }
    fs::write(folder.join("go"), "").unwrap();
    wait_for("it ends and begins once more", || text(folder) == "begins 5\nends\nbegins 9\n");
    fs::write(folder.join("go"), "").unwrap();
    wait_for("it ends", || text(folder).ends_with("ends\n"));
    // A request that does not say how much.
    daemon.write_all(b"x").unwrap();
    wait_for("the third begins", || text(folder) == "begins 5\nends\nbegins 9\nends\nbegins\n");
    running.signal(Signal::SIGTERM).unwrap();
    assert_eq!(code(running.wait(LIMIT).unwrap().0), 0);
    fs::write(folder.join("go"), "").unwrap();
    // The command was ended with it, and lets no file go.
    let _ = WallClock::new().pause(Duration::from_millis(300));
    assert!(folder.join("go").exists() && !text(folder).ends_with("ends\n"), "{}", text(folder));
}

#[test]
fn it_listens_again_after_a_restart_of_the_other_side() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (running, daemon) = start(folder);
    fs::remove_file(folder.join("socket")).unwrap();
    drop(daemon);
    let listener = UnixListener::bind(folder.join("socket")).unwrap();
    let (mut daemon, _) = listener.accept().unwrap();
    daemon.write_all(b"wanted_bytes=7\n").unwrap();
    wait_for("the command begins", || text(folder) == "begins 7\n");
    assert_eq!(running.ended().unwrap(), None);
}

#[test]
fn it_ends_with_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let script = r#""$0" pressure run --watch socket -- true & echo $! >pid; wait"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_etmem")]).current_dir(folder.path()).stdin(Stdio::null());
    let (shell, _) = Running::start(&mut shell).unwrap();
    let _connected = listener.accept().unwrap();
    let number = || fs::read_to_string(folder.path().join("pid")).unwrap_or_default();
    wait_for("the shell writes its number", || number().ends_with('\n'));
    let pid = number();
    let helper = format!("/proc/{}/comm", pid.trim());
    assert_eq!(fs::read_to_string(&helper).unwrap(), "etmem\n");
    shell.signal(Signal::SIGKILL).unwrap();
    shell.wait(LIMIT).unwrap();
    wait_for("the helper ends", || fs::read_to_string(&helper).is_err());
}

#[test]
fn what_is_missing_is_said() {
    let answer = |command: &mut Command| {
        let ran = run(command, LIMIT).unwrap();
        (ran.status, ran.stderr)
    };
    let (status, said) = answer(etmem().args(["pressure", "run", "--", "true"]));
    assert!(status == 234 && said.contains("MEMORY_PRESSURE_WATCH is not set"), "{status}: {said}");
    let (status, said) = answer(etmem().args(["pressure", "run", "--watch", "/tmp/x"]));
    assert!(status == 234 && said.contains("COMMAND"), "{status}: {said}");
    let watch = |path: &str, write: &str| {
        let mut command = etmem();
        command.args(["pressure", "run", "--", "true"]);
        command.env("MEMORY_PRESSURE_WATCH", path).env("MEMORY_PRESSURE_WRITE", write);
        command
    };
    let (status, said) = answer(&mut watch("/tmp/x", "no Base64!"));
    assert!(status == 234 && said.contains("MEMORY_PRESSURE_WRITE is not Base64"), "{status}: {said}");
    assert_eq!(answer(&mut watch("/dev/null", "")), (0, String::new()), "requests are switched off");
}
