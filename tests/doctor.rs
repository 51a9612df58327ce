//! `etmem doctor` on the machine that runs the tests, and beside what other machines lack.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::binaries::for_everybody;
use etmem_testkit::daemon::instance::path_text;
use etmem_testkit::daemon::{Binaries, Daemon};
use etmem_testkit::machine::Need;
use etmem_testkit::process::{Ran, Running, run};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let root = [Need::Root];
    run_in_turn(vec![
        trial_or_skip("this_machine_in_words_and_as_json", &[], this_machine),
        trial_or_skip("what_works_here_is_found_to_work", &[Need::Root, Need::Bpf], works),
        trial_or_skip("a_lockdown_is_told", &root, lockdown),
        trial_or_skip("a_kernel_without_its_types_is_told", &root, no_types),
        trial_or_skip("a_second_daemon_is_told", &root, two_daemons),
        trial_or_skip("what_a_daemon_may_not_write_is_told", &root, sandbox),
        trial_or_skip("the_etmemd_beside_it_is_run_or_the_one_in_the_path", &[], which_etmemd),
    ])
}

fn doctor(words: &[&str]) -> Result<Ran> {
    run(Command::new(&Binaries::build()?.etmem).arg("doctor").args(words), LIMIT)
}

/// The findings, once it is clear that the status tells the worst of them.
fn findings(words: &[&str]) -> Result<Value> {
    let ran = doctor(&[words, &["--json"]].concat())?;
    ensure!(ran.stderr.is_empty(), "{ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout).with_context(|| format!("{ran:?}"))?;
    let status = match found["severity"].as_str() {
        Some("ok" | "note") => 0,
        Some("warning") => 1,
        _ => 2,
    };
    ensure!(ran.status == status, "{ran:?}");
    Ok(found)
}

fn finding<'a>(found: &'a Value, name: &str) -> Result<&'a Value> {
    let findings = found["findings"].as_array().context("no findings")?;
    findings.iter().find(|finding| finding["name"] == name).with_context(|| format!("no {name}: {found:#}"))
}

fn this_machine() -> Result<()> {
    let found = findings(&[])?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = finding(&found, "kernel")?["state"].as_str().context("no state")?;
    ensure!(kernel.starts_with(&format!("Linux {}", release.trim())), "{kernel}");
    let number = found["findings"].as_array().map_or(0, Vec::len);

    let ran = doctor(&[])?;
    let last = ran.stdout.lines().next_back().unwrap_or_default();
    ensure!(last.starts_with(&format!("{number} findings: ok ")), "{ran:?}");
    for finding in found["findings"].as_array().into_iter().flatten() {
        let (severity, name) = (finding["severity"].as_str(), finding["name"].as_str());
        let begin = format!("{:<8} {:<20} ", severity.unwrap_or("?"), name.unwrap_or("?"));
        ensure!(
            ran.stdout.lines().any(|line| line.starts_with(&begin)),
            "no line {begin:?} in\n{}",
            ran.stdout
        );
    }
    Ok(())
}

fn works() -> Result<()> {
    let found = findings(&[])?;
    for (name, state) in [
        ("rights", "root"),
        ("kernel_types", "BTF is there"),
        ("probe_bpf", "works"),
        ("mover_madvise", "works"),
    ] {
        ensure!(finding(&found, name)?["state"] == state, "{found:#}");
    }
    ensure!(finding(&found, "slide")?["severity"] == "ok", "{found:#}");
    Ok(())
}

/// A sysfs that has only `file`, so that what the running kernel has is hidden.
fn sysfs_with(file: &str, text: &str) -> Result<tempfile::TempDir> {
    let tree = tempfile::tempdir()?;
    let path = tree.path().join(file);
    fs::create_dir_all(path.parent().context("a file in no folder")?)?;
    fs::write(path, text)?;
    Ok(tree)
}

fn hidden(tree: &Path) -> Result<Value> {
    findings(&["--sys-root", path_text(tree)?])
}

fn lockdown() -> Result<()> {
    let tree = sysfs_with("kernel/security/lockdown", "none integrity [confidentiality]\n")?;
    let found = hidden(tree.path())?;
    ensure!(finding(&found, "lockdown")?["state"] == "confidentiality", "{found:#}");
    let probe = finding(&found, "probe_bpf")?;
    ensure!(
        probe["state"] == "not here" && probe["remedy"] == "boot with lockdown=integrity or none",
        "{probe:#}"
    );
    let slide = finding(&found, "slide")?;
    ensure!(slide["severity"] == "error" && slide["reason"].to_string().contains("locked down"), "{slide:#}");
    Ok(())
}

fn no_types() -> Result<()> {
    let tree = sysfs_with("kernel/security/lockdown", "[none] integrity confidentiality\n")?;
    let found = hidden(tree.path())?;
    ensure!(finding(&found, "lockdown")?["severity"] == "ok", "{found:#}");
    for name in ["kernel_types", "probe_bpf"] {
        let finding = finding(&found, name)?;
        ensure!(finding["remedy"] == "a kernel built with CONFIG_DEBUG_INFO_BTF=y", "{finding:#}");
    }
    Ok(())
}

fn two_daemons() -> Result<()> {
    let binaries = Binaries::build()?;
    let daemons = [Daemon::start(binaries)?, Daemon::start(binaries)?];
    let found = findings(&[])?;
    let finding = finding(&found, "daemons")?;
    ensure!(finding["severity"] == "warning", "{finding:#}");
    for daemon in &daemons {
        let line = format!("pid {}: ", daemon.pid());
        let shown = finding["details"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let shown = shown
            .filter(|detail| detail.starts_with(&line))
            .filter(|detail| detail.contains(daemon.socket()));
        ensure!(shown.count() == 1, "{finding:#}");
    }
    Ok(())
}

/// A daemon as in the confined unit: the file systems of the kernel's settings are read-only for it alone.
fn sandbox() -> Result<()> {
    let binaries = Binaries::build()?;
    let folder = tempfile::tempdir()?;
    let metrics = folder.path().join("metrics/etmem.prom");
    fs::create_dir(folder.path().join("metrics"))?;
    let script = folder.path().join("etmemd");
    let text = format!(
        "#!/bin/sh\nset -e\nfor place in /sys /sys/fs/cgroup /sys/fs/cgroup/memory {folder}; do\n\
         [ -d $place ] || continue\n\
         mountpoint -q $place || mount --bind $place $place\n\
         mount -o remount,bind,ro $place\ndone\nexec {etmemd} \"$@\"\n",
        folder = folder.path().join("metrics").display(),
        etmemd = binaries.etmemd.display(),
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    let mut command = Command::new("unshare");
    let socket = format!("etmem_doctor_{}", std::process::id());
    command.args(["--mount", path_text(&script)?, "-s", &socket, "--sys-root=/sys"]);
    let (running, _pipes) = Running::start(command.arg("--metrics-file").arg(&metrics))?;
    let clock = WallClock::new();
    let line = format!("pid {}, ", running.pid());
    let mut lines = Vec::new();
    clock.wait_until(LIMIT, "the daemon is found in its sandbox", || {
        let found = findings(&[])?;
        let Ok(sandbox) = finding(&found, "sandbox") else { return Ok(false) };
        let details = sandbox["details"].as_array().into_iter().flatten().filter_map(Value::as_str);
        lines = details.filter_map(|detail| detail.strip_prefix(&line)).map(str::to_owned).collect();
        Ok(lines.len() == 4)
    })?;
    let metrics = metrics.parent().context("no folder")?.display().to_string();
    for (line, (place, drop_in)) in lines.iter().zip([
        ("/sys/kernel/mm", "ProtectKernelTunables=no"),
        ("/sys/block", "ProtectKernelTunables=no"),
        ("/sys/fs/cgroup", "ProtectControlGroups=no"),
        (metrics.as_str(), "metrics-file.conf"),
    ]) {
        ensure!(line.starts_with(place) && line.contains(drop_in), "{line}");
    }
    // One that may write everywhere has no such line.
    let free = Daemon::start(binaries)?;
    let found = findings(&[])?;
    let text = finding(&found, "sandbox")?.to_string();
    ensure!(!text.contains(&format!("pid {}, ", free.pid())), "{text}");
    Ok(())
}

fn which_etmemd() -> Result<()> {
    let binaries = Binaries::build()?;
    let folder = tempfile::tempdir()?;
    let alone = for_everybody(folder.path(), &binaries.etmem)?;
    let with_path = |path: &Path| run(Command::new(&alone).arg("doctor").env("PATH", path), LIMIT);
    let nowhere = with_path(folder.path())?;
    ensure!(nowhere.status == 254 && nowhere.stderr.contains("cannot run etmemd"), "{nowhere:?}");
    let beside = binaries.etmemd.parent().context("no folder")?;
    let found = with_path(beside)?;
    ensure!((0..=2).contains(&found.status) && found.stdout.contains(" findings: "), "{found:?}");
    // The one beside it goes before.
    let script = folder.path().join("etmemd");
    fs::write(&script, "#!/bin/sh\necho \"$@\"\nexit 1\n")?;
    fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    let own = run(Command::new(&alone).args(["doctor", "--json"]).env("PATH", beside), LIMIT)?;
    ensure!(own.status == 1 && own.stdout == "--doctor --json\n", "{own:?}");
    Ok(())
}
