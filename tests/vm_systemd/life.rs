//! The confined unit through its life: installed, started, killed, stopped, reloaded, upgraded.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::inside::{CONFIG, FORKING, Inside, MEMORY, NOTIFY, SLIDE, in_swap, plugin, processes_of};
use crate::packages::VERSIONS;

/// The time until a killed daemon runs again.
const BACK: Duration = Duration::from_secs(5);
const DROP_IN: &str = "/run/systemd/system/etmemd-notify.service.d/story.conf";
const POLICY: &str = "/etc/etmem/conf.d/policy.conf";

/// Nothing runs and nothing is enabled; both programs are found by the names that scripts use; samples are accepted.
pub(crate) fn installed(inside: &Inside) -> Result<()> {
    ensure!(inside.installed_version()?.is_empty(), "there is a package already");
    inside.install("etmem", VERSIONS[0])?;
    for unit in [NOTIFY, FORKING] {
        ensure!(!inside.is_active(unit)?, "{unit} was started");
        let enabled = inside.run("systemctl", &["is-enabled", unit])?;
        ensure!(enabled.stdout.trim() == "disabled", "{unit} is {}", enabled.stdout);
        let verified = inside.run("systemd-analyze", &["verify", "--man=no", unit])?;
        let all = format!("{}{}", verified.stdout, verified.stderr);
        ensure!(verified.status == 0 && !all.contains("etmemd"), "systemd-analyze verify {unit}: {all}");
    }
    ensure!(processes_of("etmemd")?.is_empty(), "a daemon runs");
    inside.must("/usr/bin/etmemd", &["--version"])?;
    inside.must("etmem", &["obj", "add", "--dry-run", "-f", "/etc/etmem/slide_conf.yaml"])?;
    Ok(())
}

/// Enabled and started: cold memory of a process leaves, and its hot memory stays.
pub(crate) fn moves(inside: &Inside) -> Result<()> {
    inside.serve()?;
    let target = inside.target()?;
    inside.wait(NOTIFY, "half of the program is in swap", || Ok(in_swap(target)? > MEMORY / 2))?;
    inside.say(format!("{} MiB are in swap", in_swap(target)? >> 20));
    ensure!(inside.systemctl(&["is-enabled", NOTIFY])?.trim() == "enabled", "it is not enabled");
    Ok(())
}

/// By the journal, too.
pub(crate) fn killed(inside: &Inside) -> Result<()> {
    inside.serve()?;
    let before = inside.main_pid(NOTIFY)?;
    inside.signal("-KILL", &before)?;
    back_soon(inside, NOTIFY, &before)
}

/// The unit whose process `before` was killed runs again within [`BACK`], and its project is back; the journal says why.
pub(crate) fn back_soon(inside: &Inside, unit: &str, before: &str) -> Result<()> {
    inside.wait(unit, "its projects are back", || {
        Ok(inside.property(unit, "MainPID")? != before && is_project_back(inside)?)
    })?;
    // The daemon loads its programs for the kernel before it is ready, in a machine whose every instruction is emulated: what
    // systemd does is measured.
    let noticed = inside.moment(unit, "ActiveExit")?;
    let started = inside.moment(unit, "ExecMainStart")?;
    let ready = inside.moment(unit, "ActiveEnter")?;
    ensure!(noticed < started && started <= ready, "{noticed:?}, {started:?}, {ready:?}");
    inside.say(format!("started again after {:?}, ready after {:?}", started - noticed, ready - noticed));
    ensure!(started - noticed < BACK, "started again after {:?}", started - noticed);
    let journal = inside.journal(unit)?;
    ensure!(journal.contains("status=9/KILL"), "the journal does not say that it was killed:\n{journal}");
    ensure!(journal.contains("Scheduled restart job"), "nor that it is started again:\n{journal}");
    Ok(())
}

pub(crate) fn is_project_back(inside: &Inside) -> Result<bool> {
    let shown = inside.run("/usr/bin/etmem", &["project", "show", "-n", "story", "-s", "etmemd_socket"])?;
    Ok(shown.status == 0 && shown.stdout.contains(" true "))
}

/// With less patience than the unit has, so that a test of each change has the time.
pub(crate) fn stopped(inside: &Inside) -> Result<()> {
    inside.serve()?;
    let folder = Path::new(DROP_IN).parent().context("no folder")?;
    fs::create_dir_all(folder)?;
    fs::write(DROP_IN, "[Service]\nWatchdogSec=5\n")?;
    inside.systemctl(&["daemon-reload"])?;
    inside.systemctl(&["restart", NOTIFY])?;
    let before = inside.main_pid(NOTIFY)?;
    inside.signal("-STOP", &before)?;
    inside.wait(NOTIFY, "a daemon that stands still is replaced", || {
        Ok(inside.is_active(NOTIFY)?
            && inside.property(NOTIFY, "MainPID")? != before
            && is_project_back(inside)?)
    })?;
    let journal = inside.journal(NOTIFY)?;
    ensure!(journal.contains("Watchdog timeout"), "the journal does not say why:\n{journal}");
    fs::remove_dir_all(folder)?;
    inside.systemctl(&["daemon-reload"])?;
    inside.systemctl(&["restart", NOTIFY])?;
    Ok(())
}

/// The answer comes with systemctl's; the same process goes on.
pub(crate) fn reloaded(inside: &Inside) -> Result<()> {
    inside.serve()?;
    let before = inside.main_pid(NOTIFY)?;
    inside.configure(
        CONFIG,
        &SLIDE.replace("name=story", "name=other").replace("project=story", "project=other"),
    )?;
    inside.systemctl(&["reload", NOTIFY])?;
    let shown = inside.etmem(&["project", "show"])?;
    ensure!(shown.contains("other") && !shown.contains("story"), "{shown}");
    inside.configure(CONFIG, SLIDE)?;
    inside.systemctl(&["reload", NOTIFY])?;
    ensure!(is_project_back(inside)?, "{}", inside.etmem(&["project", "show"])?);
    ensure!(inside.main_pid(NOTIFY)? == before, "a reload was a restart");
    Ok(())
}

/// A task and a plugin in a process of its own go on in the daemon that runs; what starts after that is of the new package.
pub(crate) fn upgraded(inside: &Inside) -> Result<()> {
    inside.serve()?;
    policy(inside)?;
    let (daemon, plugin) = (inside.main_pid(NOTIFY)?, processes_of("etmemd-engine")?);
    ensure!(plugin.len() == 1, "processes of plugins: {plugin:?}");
    fs::write("/etc/etmem/slide.yaml", "# of the administrator\n")?;
    let said = inside.install("etmem", VERSIONS[1])?;
    ensure!(said.contains("goes on as version 0.1.0-1"), "{said}");
    ensure!(inside.installed_version()? == VERSIONS[1], "{}", inside.installed_version()?);
    ensure!(
        fs::read_to_string("/etc/etmem/slide.yaml")? == "# of the administrator\n",
        "configuration was overwritten"
    );
    ensure!(inside.main_pid(NOTIFY)? == daemon, "the daemon was restarted");
    let cycles = inside.cycles()?;
    inside.wait(NOTIFY, "the task has another cycle", || Ok(inside.cycles()? > cycles))?;
    ensure!(processes_of("etmemd-engine")? == plugin, "the plugin is another process");
    let answer = inside.etmem(&["engine", "paged_out", "-n", "policy", "-e", "cold_pages", "-t", "cold"])?;
    ensure!(answer.contains("KiB paged out"), "{answer}");
    // A process for a plugin that starts now is of the file that is there now.
    for verb in ["stop", "start"] {
        inside.etmem(&["project", verb, "-n", "policy"])?;
    }
    fs::remove_file(POLICY)?;
    inside.systemctl(&["reload", NOTIFY])?;
    Ok(())
}

/// Adds the example of a policy in Rust, in a process of its own.
fn policy(inside: &Inside) -> Result<()> {
    let path = plugin(inside)?;
    let text = format!(
        "[project]\nname=policy\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n\
         [engine]\nproject=policy\nname=thirdparty\neng_name=cold_pages\nlibname={path}\nops_name=cold_pages_ops\nisolate=yes\n\
         [task]\nproject=policy\nengine=cold_pages\nname=cold\ntype=name\nvalue=hotset\ncold_below=1\n"
    );
    inside.configure(POLICY, &text)?;
    inside.systemctl(&["reload", NOTIFY])?;
    Ok(())
}
