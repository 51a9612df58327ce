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
use etmem_testkit::stage::LIMIT;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

/// Of these all but one run.
const PROJECTS: usize = 20;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf];
    run_in_turn(vec![
        trial_or_skip("projects_of_the_folder_are_there_after_each_start", &needs, kept),
        trial_or_skip("a_folder_that_is_not_there_keeps_nothing_out", &[Need::Root], no_folder),
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
