//! What is made for a terminal, on a real one (tmux), 80×24 and 200×50: `etmem top`, resized, with the daemon killed and started again
//! under it; reports of a record, as golden text; a survey with its progress line.
//!
//! `ETMEM_TEST_KEEP=1 cargo test -p etmem-tests --test terminal` writes the golden text again.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::fake::proc::FakeProc;
use etmem_testkit::fake::proc::script::{Life, Script, ScriptedMapping, ScriptedProcess, Segment};
use etmem_testkit::machine::Need;
use etmem_testkit::original::{Asked, OriginalServer};
use etmem_testkit::process::{Running, run};
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::tmux::Tmux;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::{Options, Workload};

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
        trial_or_skip("screens", &[Need::Root, Need::FakeProc, Need::Program("tmux")], screens),
        trial_or_skip(
            "a_signal_gives_the_terminal_back",
            &[Need::Root, Need::FakeProc, Need::Program("tmux")],
            ended_by_a_signal,
        ),
        trial_or_skip("plain_tables", &fake, plain),
        trial_or_skip("reports_fill_the_screen", &[Need::Program("tmux")], reports),
        trial_or_skip("a_survey_says_how_far_it_is", &[Need::Root, Need::Bpf, Need::Program("tmux")], survey),
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

/// Screens of a task whose figures stay as they are.
fn screens() -> Result<()> {
    let (_fake, daemon) = stage()?;
    // What was cold is out then.
    daemon.wait_for_cycles(LIMIT, "p", 3)?;
    for (width, height) in SCREENS {
        let command = format!("NO_COLOR=1 {} top -s {}", Binaries::build()?.etmem.display(), daemon.socket());
        let tmux = Tmux::start(&command, width, height)?;
        // The second answer says what the daemon took of a processor.
        let lines = tmux.screen("the task at rest, and what the daemon takes", |lines| {
            has(lines, "3000000 scripted") && has(lines, "% of a processor") && has(lines, "resting")
        })?;
        let lines: Vec<String> =
            lines.iter().map(|line| shape(&line.replace(daemon.socket(), "SOCKET"))).collect();
        compare(&lines, &format!("top-{width}x{height}"))?;
    }
    Ok(())
}

fn ended_by_a_signal() -> Result<()> {
    let (_fake, daemon) = stage()?;
    let etmem = Binaries::build()?.etmem.display();
    let (folder, socket) = (daemon.folder(), daemon.socket());
    let command = format!("sh -c 'echo $$ > {}/pid; exec {etmem} top -s {socket}'", folder.display());
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        let tmux = Tmux::start(&command, 80, 24)?;
        tmux.screen("the task", |lines| has(lines, "3000000 scripted"))?;
        let pid = fs::read_to_string(folder.join("pid"))?;
        let ran = run(Command::new("kill").args([&format!("-{signal}"), pid.trim()]), LIMIT)?;
        ensure!(ran.status == 0, "{ran:?}");
        let lines = tmux.screen("its end", |lines| has(lines, &format!("ended with {status}")))?;
        ensure!(!has(&lines, "TASK, PROCESS"), "the terminal is as before: {lines:#?}");
        tmux.press("a")?;
        tmux.press("Enter")?;
        // Twice: as typed, and by cat.
        tmux.screen("that what is typed is seen", |lines| {
            lines.iter().filter(|line| *line == "a").count() == 2
        })?;
    }
    let tmux = Tmux::start(&command, 80, 24)?;
    tmux.screen("the task", |lines| has(lines, "3000000 scripted"))?;
    let pid = fs::read_to_string(folder.join("pid"))?;
    drop(tmux);
    let process = Path::new("/proc").join(pid.trim());
    WallClock::new().wait_until(LIMIT, "its end as its terminal has hung up", || Ok(!process.exists()))?;
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

/// The sizes of screens, in columns and lines.
const SCREENS: [(u16, u16); 2] = [(80, 24), (200, 50)];

fn reports() -> Result<()> {
    let etmem = &Binaries::build()?.etmem;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // As it was written by the first version: what is read by it is read for good.
    let record = here.join("../crates/etmem-record/tests/golden/first.rec");
    for report in ["heatmap", "ages", "wss"] {
        for (width, height) in SCREENS {
            let command =
                format!("NO_COLOR=1 {} report {report} --from {}", etmem.display(), record.display());
            let tmux = Tmux::start(&command, width, height)?;
            let lines = tmux.screen("the report", |lines| has(lines, "ended with "))?;
            let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
            compare(&lines, &format!("{report}-{width}x{height}"))?;
        }
    }
    Ok(())
}

/// Compares `lines` with the golden screen `name`.
fn compare(lines: &[impl AsRef<str>], name: &str) -> Result<()> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("terminal/{name}.txt"));
    let screen: String = lines.iter().map(|line| format!("{}\n", line.as_ref())).collect();
    if env::var_os("ETMEM_TEST_KEEP").is_some() {
        fs::write(&golden, &screen)?;
    }
    let want = fs::read_to_string(&golden).with_context(|| golden.display().to_string())?;
    ensure!(screen == want, "{}:\n{screen}", golden.display());
    Ok(())
}

/// `line` with each number as 9, each bar as #, and what aligns them as one blank: what is measured is not golden.
fn shape(line: &str) -> String {
    let mut out = String::new();
    for character in line.chars() {
        let character = if character.is_ascii_digit() { '9' } else { character };
        let goes_on = match character {
            '9' | '.' => out.ends_with('9'),
            ' ' | '#' => out.ends_with(character),
            _ => false,
        };
        if !goes_on {
            out.push(character);
        }
    }
    out.trim_end().replace("KiB", "MiB").replace("GiB", "MiB")
}

/// The lines of a screen of this width, with those whole again that did not fit it.
fn whole(lines: &[String], width: u16) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        match all.last_mut().filter(|_| goes_on) {
            Some(last) => last.push_str(line),
            None => all.push(line.clone()),
        }
        goes_on = line.chars().count() == usize::from(width);
    }
    all
}

fn survey() -> Result<()> {
    let stage = Stage::without_swap()?;
    // Beside others of its name, a survey names it by its pid.
    let workload = Workload::start(&stage.workload_named("surveyed")?, &Options::gentle(64 * MIB, 8 * MIB))?;
    for (width, height) in SCREENS {
        let state = Daemon::state_folder();
        let command = format!(
            "ETMEMD_STATE_FOLDER={} {} survey {} --for 16s",
            state.display(),
            stage.binaries.etmem.display(),
            workload.pid()
        );
        let tmux = Tmux::start(&command, width, height)?;
        let lines = tmux.screen("how far it is", |lines| has(lines, "surveying"))?;
        ensure!(lines.iter().filter(|line| !line.is_empty()).count() == 1, "one line: {lines:#?}");
        let lines = tmux.screen("its end", |lines| has(lines, "ended with "))?;
        ensure!(!has(&lines, "surveying"), "the progress line is gone: {lines:#?}");
        let lines: Vec<String> = whole(&lines, width).iter().map(|line| shape(line)).collect();
        compare(&lines, &format!("survey-{width}x{height}"))?;
    }
    Ok(())
}
