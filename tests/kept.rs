//! Projects of a folder of configuration files: there and running after each start of the daemon, also after `kill -9`; a file that is
//! refused keeps no other out.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::machine::Need;
use etmem_testkit::pagemap::stat_field;
use etmem_testkit::size::{MIB, PAGE};
use etmem_testkit::stage::{COLD_OUT, LIMIT};
use etmem_testkit::swap::SwapGuard;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use etmem_testkit::workload::{Options, Workload};
use nix::sys::signal::Signal;

/// Of these all but one run.
const PROJECTS: usize = 20;

const SWAP: usize = 256 * MIB;
const MEMORY: usize = 64 * MIB;
const HOT: usize = 8 * MIB;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf];
    run_in_turn(vec![
        trial_or_skip("projects_of_the_folder_are_there_after_each_start", &needs, kept),
        trial_or_skip("a_folder_that_is_not_there_keeps_nothing_out", &[Need::Root], no_folder),
        trial_or_skip("files_are_read_again_and_what_is_the_same_goes_on", &needs, reload),
        trial_or_skip(
            "a_changed_threshold_neither_forgets_nor_moves_anything",
            &[Need::Root, Need::Bpf, Need::Swap(SWAP)],
            changed_threshold,
        ),
        trial_or_skip(
            "what_was_moved_out_before_a_kill_refaults_after_it",
            &[Need::Root, Need::Bpf, Need::Swap(SWAP)],
            killed_with_memory_out,
        ),
    ])
}

fn write(folder: &Path, name: &str, text: &str, mode: u32) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, Permissions::from_mode(mode)).context(name.to_owned())
}

/// A project of engine noop, with further lines.
fn project(name: &str, lines: &str) -> String {
    format!(
        "[project]\nname={name}\nloop=1\ninterval=1\nsleep=1\n{lines}\n[engine]\nproject={name}\nname=noop\n\
         [task]\nproject={name}\nengine=noop\nname=t\ntype=name\nvalue=etmemd\n"
    )
}

fn start(folder: &Path) -> Result<Daemon> {
    let folder = folder.to_str().context("UTF-8")?;
    Daemon::start_with(Binaries::build()?, &["--config-dir", folder])
}

/// Whether each project that is shown has been started.
fn started(daemon: &Daemon) -> Result<(usize, usize)> {
    let shown = daemon.must(&["project", "show"])?;
    Ok((shown.matches(" true").count(), shown.matches(" false").count()))
}

fn kept() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for number in 1..PROJECTS {
        let name = format!("p{number}");
        write(folder.path(), &format!("{number:02}-{name}.conf"), &project(&name, ""), 0o600)?;
    }
    write(folder.path(), "99-added.conf", &project("added", "autostart=no"), 0o400)?;
    write(folder.path(), "note.txt", "of no matter", 0o600)?;
    write(folder.path(), "05-broken.conf", &project("broken", "autostart=perhaps"), 0o600)?;
    write(folder.path(), "06-open.conf", &project("open", ""), 0o644)?;
    write(folder.path(), "98-again.conf", &project("p3", ""), 0o600)?;
    for round in 0..2 {
        let daemon = start(folder.path())?;
        ensure!(started(&daemon)? == (PROJECTS - 1, 1), "{}", daemon.must(&["project", "show"])?);
        for (file, reason) in
            [("05-broken.conf", "autostart"), ("06-open.conf", "0644"), ("98-again.conf", "p3")]
        {
            let log = daemon.log();
            let refused: Vec<&str> =
                log.lines().filter(|line| line.contains(file) && line.contains("is not added")).collect();
            ensure!(refused.len() == 1 && refused[0].contains(reason), "{file}: {refused:?}\n{log}");
        }
        WallClock::new().wait_until(LIMIT, "each has ended a cycle", || {
            let cycles = |number| Ok::<_, anyhow::Error>(daemon.cycles(&format!("p{number}"))?["t"]);
            Ok((1..PROJECTS).map(cycles).collect::<Result<Vec<_>>>()?.iter().all(|cycles| *cycles > 0))
        })?;
        if round == 0 { daemon.kill()? } else { ensure!(daemon.terminate()?.status == 0) }
    }
    Ok(())
}

fn no_folder() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let daemon = start(&folder.path().join("none"))?;
    ensure!(
        started(&daemon)? == (0, 0) && daemon.log().contains("so no project is added"),
        "{}",
        daemon.log()
    );
    Ok(())
}

/// Ten files, of which one breaks, one changes, one goes and one comes; then a signal that changes it back, and a file that is kept.
fn reload() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write_project = |number: usize, lines: &str| {
        let name = format!("p{number}");
        write(folder.path(), &format!("{number:02}.conf"), &project(&name, lines), 0o600)
    };
    (1..=10).try_for_each(|number| write_project(number, ""))?;
    let daemon = start(folder.path())?;
    let clock = WallClock::new();
    let cycles = |project: &str| Ok::<_, anyhow::Error>(daemon.cycles(project)?["t"]);
    clock.wait_until(LIMIT, "cycles have ended", || Ok(cycles("p1")? > 1 && cycles("p10")? > 1))?;
    let before = [cycles("p1")?, cycles("p10")?];
    write_project(2, "sysmem_threshold=x")?;
    write_project(3, "sysmem_threshold=50")?;
    fs::remove_file(folder.path().join("04.conf"))?;
    write_project(11, "")?;
    let answer = daemon.etmem(&["reload"])?;
    ensure!(answer.status == 186, "one file is refused: {answer:?}");
    let text = format!("{}{}", answer.stdout, answer.stderr);
    for words in ["02.conf:", "sysmem_threshold=50 is new", "removed project p4", "added project p11"] {
        ensure!(text.contains(words), "{words}: {text}");
    }
    ensure!(started(&daemon)? == (10, 0), "{}", daemon.must(&["project", "show"])?);
    ensure!(cycles("p1")? >= before[0] && cycles("p10")? >= before[1], "others begin again");
    let log = daemon.log();
    ensure!(
        log.lines().filter(|line| line.contains("02.conf")).count() == 2,
        "added, then refused, once each:\n{log}"
    );

    write_project(2, "")?;
    write_project(3, "")?;
    daemon.signal(Signal::SIGHUP)?;
    clock.wait_until(LIMIT, "the files are read again", || {
        Ok(daemon.log().contains("sysmem_threshold=50 is gone"))
    })?;
    let file = daemon.write("kept.yaml", &project("kept", ""))?;
    let answer = daemon.must(&["obj", "add", "--keep", "-f", file.to_str().context("UTF-8")?])?;
    ensure!(answer.contains("kept as"), "{answer}");
    ensure!(daemon.must(&["reload"])?.contains("nothing is different"));
    daemon.kill()?;
    let daemon = start(folder.path())?;
    ensure!(daemon.must(&["project", "show"])?.contains("kept"), "{}", daemon.log());
    Ok(())
}

/// A daemon is killed; what it moved out is read again before the next daemon begins, which counts it.
fn killed_with_memory_out() -> Result<()> {
    let (binaries, clock) = (Binaries::build()?, WallClock::new());
    let _swap = SwapGuard::acquire(SWAP)?;
    let folder = tempfile::tempdir()?;
    let mut program = Workload::start(&binaries.hotcold, &Options::new(MEMORY, HOT))?;
    let text = format!(
        "[project]\nname=killed\nloop=3\ninterval=200ms\nsleep=200ms\n[engine]\nproject=killed\nname=slide\n\
         [task]\nproject=killed\nengine=slide\nname=t\ntype=pid\nvalue={}\nT=1\nage=none\n",
        program.pid()
    );
    write(folder.path(), "killed.conf", &text, 0o600)?;
    let refaulted = |daemon: &Daemon| -> Result<u64> {
        let text = daemon.must(&["task", "show", "-n", "killed", "--json"])?;
        let task: serde_json::Value = serde_json::from_str(&text)?;
        task["total"]["came_back_bytes"].as_u64().with_context(|| text)
    };
    let daemon = start(folder.path())?;
    clock
        .wait_until(LIMIT, "the cold memory leaves", || {
            Ok(program.footprint().places()?.cold.share_swapped() >= COLD_OUT)
        })
        .with_context(|| daemon.log())?;
    // What left last is written down at the end of its cycle.
    let cycles = daemon.cycles("killed")?["t"];
    daemon.wait_for_cycles(LIMIT, "killed", cycles + 1)?;
    daemon.kill()?;
    let out = (program.footprint().places()?.cold.swapped * PAGE) as u64;
    program.verify()?;
    let daemon = start(folder.path())?;
    daemon.wait_for_line(LIMIT, "the task goes on", |line| line.contains("goes on with what it knew"))?;
    clock
        .wait_until(LIMIT, "a cycle has ended", || Ok(daemon.cycles("killed")?["t"] > 0))
        .with_context(|| daemon.log())?;
    let counted = refaulted(&daemon)?;
    // Some of the hot part may have left and come back before.
    ensure!(
        counted * 100 >= out * 95 && counted <= out + HOT as u64,
        "{counted} bytes refaulted, {out} were out"
    );
    // Stopped by a request, it knows nothing any more.
    daemon.must(&["project", "stop", "-n", "killed"])?;
    daemon.must(&["project", "start", "-n", "killed"])?;
    ensure!(daemon.log().matches("goes on with what it knew").count() == 1, "{}", daemon.log());
    Ok(())
}

/// Two programs whose cold memory is out; the threshold of one changes.
fn changed_threshold() -> Result<()> {
    let (binaries, clock) = (Binaries::build()?, WallClock::new());
    let _swap = SwapGuard::acquire(SWAP)?;
    let folder = tempfile::tempdir()?;
    let programs =
        ["a", "b"].map(|name| (name, Workload::start(&binaries.hotcold, &Options::new(MEMORY, HOT))));
    let mut running = Vec::new();
    for (name, program) in programs {
        running.push((name, program?));
    }
    let text = |name: &str, pid: u32, threshold: u32| {
        format!(
            "[project]\nname={name}\nloop=3\ninterval=200ms\nsleep=200ms\n[engine]\nproject={name}\nname=slide\n\
             [task]\nproject={name}\nengine=slide\nname=t\ntype=pid\nvalue={pid}\nT={threshold}\nage=none\n"
        )
    };
    for (name, program) in &running {
        write(folder.path(), &format!("{name}.conf"), &text(name, program.pid(), 1), 0o600)?;
    }
    let daemon = start(folder.path())?;
    clock
        .wait_until(LIMIT, "the cold memory leaves", || {
            let shares =
                running.iter().map(|(_, program)| Ok(program.footprint().places()?.cold.share_swapped()));
            Ok(shares.collect::<Result<Vec<_>>>()?.iter().all(|share| *share >= COLD_OUT))
        })
        .with_context(|| daemon.log())?;
    let look = || -> Result<Vec<(usize, u64, u64)>> {
        let all = running.iter().map(|(name, program)| {
            let out = program.footprint().places()?.cold.swapped;
            Ok((out, stat_field(program.pid(), 12)?, daemon.cycles(name)?["t"]))
        });
        all.collect()
    };
    let before = look()?;
    write(folder.path(), "a.conf", &text("a", running[0].1.pid(), 2), 0o600)?;
    let answer = daemon.must(&["reload"])?;
    ensure!(answer.contains("T=1 is T=2 now") && answer.contains("goes on"), "{answer}");
    ensure!(!answer.contains("project b"), "{answer}");
    clock.wait_until(LIMIT, "two more cycles end", || {
        Ok(look()?.iter().zip(&before).all(|(now, before)| now.2 >= before.2 + 2))
    })?;
    // The last pages of a percent may still leave; none comes back.
    for (now, before) in look()?.iter().zip(&before) {
        ensure!(now.0 >= before.0 && now.1 == before.1, "pages came back: {before:?} before, {now:?} now");
    }
    Ok(())
}
