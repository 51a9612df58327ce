//! `etmem top` on a real terminal (tmux): 80×24, resized to 200×50, with the daemon killed and started again under it.

use std::fs::File;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::fake::proc::FakeProc;
use etmem_testkit::fake::proc::script::{Life, Script, ScriptedMapping, ScriptedProcess, Segment};
use etmem_testkit::machine::Need;
use etmem_testkit::original::{Asked, OriginalServer};
use etmem_testkit::process::{Running, run};
use etmem_testkit::stage::LIMIT;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

const PID: u32 = 3_000_000;
const PAGES: u64 = 1000;

fn main() -> ExitCode {
    let fake = [Need::Root, Need::FakeProc];
    run_in_turn(vec![
        trial_or_skip(
            "a_terminal_is_resized_and_the_daemon_killed",
            &[Need::Root, Need::FakeProc, Need::Program("tmux")],
            terminal,
        ),
        trial_or_skip("plain_tables", &fake, plain),
        trial_or_skip("a_daemon_of_1_x_is_refused", &[], original),
    ])
}

fn stage() -> Result<(FakeProc, Daemon)> {
    let segments = vec![Segment::solid(PAGES, Life::cold()), Segment::solid(PAGES, Life::hot())];
    let process =
        ScriptedProcess::new(PID, "scripted", vec![ScriptedMapping::private(0x7000_0000_0000, segments)]);
    let fake = FakeProc::mount(Script::new(vec![process]))?;
    let daemon = Daemon::start_at(Binaries::build()?, fake.root())?;
    begin(&daemon)?;
    Ok((fake, daemon))
}

fn begin(daemon: &Daemon) -> Result<()> {
    daemon.add(&ProjectFile::brisk("p").task("t", TaskKind::Pid(PID)).to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    daemon.wait_for_cycles(LIMIT, "p", 1)
}

/// A tmux of this test alone, which ends with this.
struct Tmux(String);

impl Tmux {
    /// One of this size that runs `command`, and keeps what it leaves on the screen.
    fn start(command: &str, width: u16, height: u16) -> Result<Self> {
        let tmux = Self(format!("etmem-test-{}", std::process::id()));
        let (width, height) = (width.to_string(), height.to_string());
        let kept = format!("{command}; echo ended with $?; exec cat");
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, &kept])?;
        Ok(tmux)
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("tmux");
        let ran = run(
            command.args(["-L", &self.0]).args(words).env("LC_ALL", "C.UTF-8").env_remove("TMUX"),
            LIMIT,
        )?;
        ensure!(ran.status == 0, "tmux {words:?}: {ran:?}");
        Ok(ran.stdout)
    }

    fn press(&self, key: &str) -> Result<()> {
        self.run(&["send-keys", key]).map(drop)
    }

    /// The lines of the screen as soon as they are as `enough` says.
    fn screen(&self, what: &str, enough: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let waited = WallClock::new().wait_until(Duration::from_secs(30), what, || {
            lines = self.run(&["capture-pane", "-p"])?.lines().map(str::to_owned).collect();
            Ok(enough(&lines))
        });
        waited.with_context(|| format!("the screen:\n{}", lines.join("\n")))?;
        Ok(lines)
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // It has ended already if its session has.
        let _ = self.run(&["kill-server"]);
    }
}

fn has(lines: &[String], word: &str) -> bool {
    lines.iter().any(|line| line.contains(word))
}

fn terminal() -> Result<()> {
    let (fake, daemon) = stage()?;
    let binaries = Binaries::build()?;
    let command = format!("{} top -s {}", binaries.etmem.display(), daemon.socket());
    let tmux = Tmux::start(&command, 80, 24)?;
    let lines = tmux.screen("the task and its process", |lines| has(lines, "3000000 scripted"))?;
    let head = format!("etmem top: {}, 1 task, 1 process, sorted by resident", daemon.socket());
    let head: String = head.chars().take(79).collect();
    ensure!(lines.len() == 24 && lines[0].starts_with(&head), "{lines:#?}");
    ensure!(lines[1].starts_with("etmemd itself: "), "{lines:#?}");
    let title = lines.iter().position(|line| line.starts_with("TASK, PROCESS")).context("a title")?;
    ensure!(lines[title].ends_with("RESIDENT   HOT  WARM  COLD   OUT  REFAULT/MIN   CPU"), "{lines:#?}");
    ensure!(
        lines[title + 1].starts_with("p/t ") && lines[title + 2].starts_with("  3000000 scripted"),
        "{lines:#?}"
    );
    ensure!(lines[21].starts_with("p/t: slide ") && lines[23].starts_with("q quit  ? help"), "{lines:#?}");

    tmux.press("?")?;
    tmux.screen("the help", |lines| has(lines, "Any key goes back"))?;
    tmux.press("x")?;
    for key in ["/", "z"] {
        tmux.press(key)?;
    }
    tmux.screen("no row", |lines| has(lines, "nothing has \"z\" in its name"))?;
    tmux.press("BSpace")?;
    tmux.press("Enter")?;
    tmux.screen("all rows again", |lines| has(lines, "3000000 scripted"))?;
    tmux.press("Space")?;
    tmux.screen("the pause", |lines| has(lines, "PAUSED"))?;
    tmux.press("Space")?;

    tmux.run(&["resize-window", "-x", "200", "-y", "50"])?;
    let lines =
        tmux.screen("the wide screen", |lines| has(lines, "HELD BACK BY") && !has(lines, "PAUSED"))?;
    ensure!(lines.len() == 50 && lines[49].starts_with("q quit"), "{lines:#?}");
    let title = lines.iter().position(|line| line.starts_with("TASK, PROCESS")).context("a title")?;
    ensure!(lines[title].contains("STATE") && lines[title].contains("SAVED"), "{lines:#?}");
    ensure!(lines[title + 1].contains("slide "), "{lines:#?}");

    daemon.kill()?;
    let lines = tmux.screen("that no etmemd listens", |lines| has(lines, "asking again: cannot connect"))?;
    ensure!(has(&lines, "p/t"), "what was known stays: {lines:#?}");
    let mut again = Daemon::command(binaries, daemon.socket());
    again.arg("--proc-root").arg(fake.root());
    let log = File::create(daemon.folder().join("log2"))?;
    let (_again, _) = Running::start(again.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
    tmux.screen("the new daemon, without tasks", |lines| has(lines, "no task; add one"))?;
    begin(&daemon)?;
    let lines = tmux.screen("the task again", |lines| has(lines, "3000000 scripted"))?;
    ensure!(!has(&lines, "asking again:"), "{lines:#?}");

    tmux.press("q")?;
    let lines = tmux.screen("its end", |lines| has(lines, "ended with 0"))?;
    ensure!(!has(&lines, "TASK, PROCESS"), "the terminal is as before: {lines:#?}");
    Ok(())
}

fn plain() -> Result<()> {
    let (_fake, daemon) = stage()?;
    for words in [&["top"][..], &["top", "-n", "1"], &["top", "-n", "2", "-d", "1"]] {
        let text = daemon.must(words)?;
        let lines: Vec<&str> = text.lines().collect();
        let times = if words.contains(&"2") { 2 } else { 1 };
        ensure!(lines[0].starts_with("TASK, PROCESS") && lines[0].ends_with("HELD BACK BY"), "{text}");
        ensure!(lines[1].starts_with("p/t ") && lines[2].starts_with("  3000000 scripted"), "{text}");
        ensure!(text.matches("p/t ").count() == times && !text.contains('\u{1b}'), "{text}");
    }
    for (words, status) in [(&["top", "-n", "0"][..], 234), (&["top", "-d", "0"], 234), (&["top", "x"], 249)]
    {
        let ran = daemon.etmem(words)?;
        ensure!(ran.status == status, "{words:?}: {ran:?}");
    }
    daemon.kill()?;
    let ran = daemon.etmem(&["top"])?;
    ensure!(ran.status == 111 && ran.stderr.contains("no etmemd listens there"), "{ran:?}");
    Ok(())
}

fn original() -> Result<()> {
    let server = OriginalServer::answering(b"no project exists\n\n\xff")?;
    let words = ["top", "-n", "1", "-s", server.socket()];
    let ran = run(Command::new(&Binaries::build()?.etmem).args(words), LIMIT)?;
    ensure!(ran.status == 186 && ran.stdout.is_empty() && ran.stderr.contains("knows no top"), "{ran:?}");
    let line = server.end()?;
    ensure!(Asked::parse(&line).is_some(), "the original does not understand {line}");
    Ok(())
}
