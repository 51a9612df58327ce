//! `etmem record`, `report` and `replay` on real memory: what is in use shows, a kill leaves a record that can be read, and a replay
//! forecasts what a run then does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use etmem_testkit::daemon::instance::path_text;
use etmem_testkit::machine::Need;
use etmem_testkit::process::{Ran, Running, run};
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::{Layout, Options, Workload};
use nix::sys::signal::Signal;
use serde_json::Value;

const SWAP: usize = 400 * MIB;
const MEMORY: usize = 192 * MIB;
const HOT: usize = 24 * MIB;
/// Idle, but for some seconds in the middle.
const WARM: usize = 64 * MIB;

fn main() -> ExitCode {
    let seen = [Need::Root, Need::Bpf];
    let moved = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    run_in_turn(vec![
        trial_or_skip("what_is_in_use_shows_in_each_report", &seen, reports),
        trial_or_skip("a_killed_record_is_whole_up_to_its_last_look", &seen, killed),
        trial_or_skip("what_is_no_record_is_refused_with_its_name", &seen, refused),
        trial_or_skip("a_replay_forecasts_what_a_run_does", &moved, forecast),
    ])
}

fn must(stage: &Stage, words: &[&str]) -> Result<String> {
    let Ran { status, stdout, stderr, .. } = run(&mut stage.etmem(words), LIMIT)?;
    ensure!(status == 0, "{words:?}: {status} {stdout}{stderr}");
    Ok(stdout)
}

fn number(value: &Value) -> Result<usize> {
    Ok(usize::try_from(value.as_u64().with_context(|| value.to_string())?)?)
}

fn reports() -> Result<()> {
    let stage = Stage::without_swap()?;
    let options = Options { layout: Layout::Scattered, ..Options::gentle(MEMORY, HOT) };
    let workload = stage.workload(&options)?;
    let (pid, file) = (workload.pid().to_string(), stage.daemon.folder().join("a.rec"));
    let file = path_text(&file)?;
    let text = must(&stage, &["record", file, "-p", &pid, "--for", "16s", "--every", "2s", "--json"])?;
    let recorded: Value = serde_json::from_str(&text)?;
    ensure!(recorded["looks"] == 8 && recorded["reason"].is_null(), "{recorded:#}");
    ensure!(number(&recorded["bytes"])? as u64 == fs::metadata(file)?.len(), "{recorded:#}");
    ensure!(fs::metadata(file)?.permissions().mode() & 0o777 == 0o600);
    let again = run(&mut stage.etmem(&["record", file, "-p", &pid]), LIMIT)?;
    ensure!(again.status == 2 && again.stdout.contains("a.rec: exists: name another file"), "{again:?}");

    let ages = must(&stage, &["report", "ages", "--from", file, "--format", "csv"])?;
    let line = ages.lines().nth(1).context("no age")?;
    let fields: Vec<&str> = line.split(',').collect();
    // What comes back could be seen for six seconds: too short a time.
    let ["10", idle, ""] = fields[..] else { bail!("{ages}") };
    let idle: usize = idle.parse()?;
    ensure!(idle.abs_diff(MEMORY - HOT) < MEMORY / 50, "{ages}");
    let sets = must(&stage, &["report", "wss", "--from", file, "-p", &pid, "--format", "csv"])?;
    let touched: usize =
        sets.lines().last().and_then(|line| line.split(',').nth(2)).context(sets.clone())?.parse()?;
    ensure!((HOT * 9 / 10..HOT + 8 * MIB).contains(&touched), "{sets}");
    // One hot page among seven idle ones is seen in each row of the heat map.
    let map = must(&stage, &["report", "heatmap", "--from", file])?;
    let rows = map.lines().filter(|line| line.contains("88888888") || line.contains("99999999")).count();
    ensure!(rows >= 4, "{map}");
    for (format, end) in [("svg", "</svg>\n"), ("html", "</html>\n")] {
        for what in ["heatmap", "ages", "wss"] {
            let text = must(&stage, &["report", what, "--from", file, "--format", format])?;
            ensure!(text.ends_with(end) && text.contains(&pid), "{what} {format}: {text}");
        }
    }
    let live =
        must(&stage, &["report", "wss", "-p", &pid, "--for", "4s", "--every", "2s", "--format", "csv"])?;
    ensure!(live.lines().count() == 3, "{live}");
    Ok(())
}

fn killed() -> Result<()> {
    let stage = Stage::without_swap()?;
    let workload = stage.workload(&Options::gentle(MEMORY, HOT))?;
    let (pid, file) = (workload.pid().to_string(), stage.daemon.folder().join("b.rec"));
    let file = path_text(&file)?;
    let mut command = stage.etmem(&["record", file, "-p", &pid, "--for", "1h", "--every", "1s"]);
    let (running, _pipes) = Running::start(command.stdout(Stdio::null()))?;
    let looks = || -> Result<usize> {
        let text =
            run(&mut stage.etmem(&["report", "wss", "--from", file, "--format", "csv"]), LIMIT)?.stdout;
        Ok(text.lines().count().saturating_sub(1))
    };
    // Read while it is written.
    stage.clock.wait_until(LIMIT, "three looks", || Ok(looks()? >= 3))?;
    running.signal(Signal::SIGKILL)?;
    running.wait(LIMIT)?;
    ensure!(looks()? >= 3);
    let whole = fs::read(file)?;
    fs::write(file, &whole[..whole.len() - 3])?;
    ensure!(looks()? >= 2, "all but the last look is whole");
    let replay = run(&mut stage.etmem(&["replay", file]), LIMIT)?;
    ensure!(replay.status == 1 && replay.stdout.contains("its last frame is cut off"), "{replay:?}");
    Ok(())
}

fn refused() -> Result<()> {
    let stage = Stage::without_swap()?;
    let file = stage.daemon.write("c.rec", "hello\n")?;
    let file = path_text(&file)?;
    for (words, want) in [
        (&["report", "heatmap", "--from", file][..], "c.rec is no record"),
        (&["replay", file], "c.rec is no record"),
        (&["report", "ages", "--from", "/no/such"], "/no/such: No such file"),
        (&["replay", "/no/such"], "/no/such: No such file"),
        (&["replay", file, "--set", "T"], "a setting is KEY=VALUE"),
        (&["record", "/no/such/file", "-p", "1"], "/no/such/file: No such file"),
        (&["report", "wss", "-N", "no-such-name"], "there is no process named no-such-name"),
    ] {
        let Ran { status, stdout, stderr, .. } = run(&mut stage.etmem(words), LIMIT)?;
        ensure!(status == 2 && (stdout + &stderr).contains(want), "{words:?}: {status} {stderr}");
    }
    Ok(())
}

const SECOND: Duration = Duration::from_secs(1);

/// 80 s of a program: a part of it is idle, but for four seconds after a minute, when what is idle has left. At first only little does.
fn a_while(stage: &Stage, warm: &mut Workload) -> Result<()> {
    stage.pass(60 * SECOND)?;
    warm.touch()?;
    stage.pass(4 * SECOND)?;
    warm.idle()?;
    stage.pass(16 * SECOND)
}

fn forecast() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let name = format!("record{}", std::process::id());
    let program = stage.workload_named(&name)?;
    let _main = Workload::start(&program, &Options::gentle(MEMORY, HOT))?;
    let mut warm = Workload::start(&program, &Options::gentle(WARM, WARM))?;
    warm.idle()?;
    let file = stage.daemon.folder().join("d.rec");
    let file = path_text(&file)?;
    let words = ["record", file, "-N", &name, "--for", "80s", "--every", "2s"];
    let (running, _pipes) = Running::start(stage.etmem(&words).stdout(Stdio::null()))?;
    a_while(&stage, &mut warm)?;
    running.wait(LIMIT)?;

    let settings = ["interval=2", "sleep=2", "T=1", "age=10s", "max_refault=none"];
    let mut words = vec!["replay", file, "--json"];
    settings.iter().for_each(|set| words.extend(["--set", set]));
    let replayed: Value = serde_json::from_str(&must(&stage, &words)?)?;

    stage.daemon.add(&format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=2\nsleep=2\n[engine]\nproject=p\nname=slide\n\
         [task]\nproject=p\nengine=slide\nname=t\ntype=name\nvalue={name}\nT=1\nage=10s\nmax_refault=none\n"
    ))?;
    stage.daemon.must(&["project", "start", "-n", "p"])?;
    a_while(&stage, &mut warm)?;
    let shown: Value = serde_json::from_str(&stage.daemon.must(&["task", "show", "-n", "p", "--json"])?)?;
    let so_far = |name: &str| number(&shown["total"][name]);
    let (moved, back) = (so_far("moved_bytes")?, so_far("came_back_bytes")?);
    let (want_moved, want_back) = (number(&replayed["moved_bytes"])?, number(&replayed["refaulted_bytes"])?);
    println!("moved {moved}, forecast {want_moved}; refaulted {back}, forecast {want_back}");
    ensure!(want_back >= WARM * 9 / 10, "{replayed:#}");
    ensure!(moved.abs_diff(want_moved) <= moved * 3 / 100, "{moved} and {replayed:#}\n{shown:#}");
    ensure!(back.abs_diff(want_back) <= back / 10, "{back} and {replayed:#}\n{shown:#}");
    Ok(())
}
