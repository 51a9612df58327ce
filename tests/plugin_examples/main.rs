//! Policies from outside, end to end: the examples in C and in Rust, built and installed as their READMEs say, page out a
//! real process's cold memory, in the daemon and in a process of their own; and what the end of such a process leaves.

mod built;
#[path = "../scan_library/library.rs"]
mod library;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use built::{Plugin, Tools};
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{HOT_OUT, LIMIT, Stage};
use etmem_testkit::trial::{run_side_by_side, trial_or_skip};
use etmem_testkit::workload::Options;

/// For what runs side by side.
const SWAP: usize = 1280 * MIB;

fn main() -> ExitCode {
    let bare = [Need::Root, Need::Program("gcc"), Need::Program("make"), Need::Package("glib-2.0")];
    let moving = [&bare[..], &[Need::Bpf, Need::Swap(SWAP)]].concat();
    // Plugins of etmem 1.x know whole seconds alone: most of their time these wait for the next scan.
    run_side_by_side(
        3,
        vec![
            trial_or_skip("the_policy_in_c_pages_out_what_is_cold", &moving, || {
                cold_leaves(Plugin::C, false)
            }),
            trial_or_skip("so_does_it_in_a_process_of_its_own", &moving, || cold_leaves(Plugin::C, true)),
            trial_or_skip("the_policy_in_rust_pages_out_what_is_cold", &moving, || {
                cold_leaves(Plugin::Rust, false)
            }),
            trial_or_skip("so_does_that_in_a_process_of_its_own", &moving, || {
                cold_leaves(Plugin::Rust, true)
            }),
            trial_or_skip("a_policy_for_large_mappings_leaves_small_ones_alone", &moving, large_leave),
            trial_or_skip("the_policy_in_rust_says_what_is_wrong", &bare, refusals),
            trial_or_skip("a_process_of_its_own_starts_after_an_upgrade_of_the_daemon", &bare, upgraded),
            trial_or_skip("an_abort_in_a_process_of_its_own_ends_nothing_else", &moving, aborts),
            trial_or_skip("an_abort_while_it_is_loaded_is_a_refusal", &bare, aborts_when_loaded),
            trial_or_skip("a_hang_in_a_process_of_its_own_goes_with_its_engine", &bare, hangs),
            trial_or_skip("a_process_of_its_own_goes_with_its_engine_and_with_the_daemon", &bare, goes),
        ],
    )
}

/// Sets the value of `key` in the file's text, where it is written.
fn set(text: &str, key: &str, value: &str) -> Result<String> {
    let written = format!("{key}=");
    ensure!(text.lines().any(|line| line.starts_with(&written)), "{key} is not in\n{text}");
    let lines = text.lines().map(|line| {
        if line.starts_with(&written) { format!("{key}={value}\n") } else { format!("{line}\n") }
    });
    Ok(lines.collect())
}

/// The example's own configuration, for the process `pid`.
fn sample(tools: &Tools, plugin: Plugin, pid: u32, isolate: bool) -> Result<String> {
    let mut text = plugin.sample()?;
    for (key, value) in [
        ("libname", tools.install(plugin)?.display().to_string().as_str()),
        ("isolate", if isolate { "yes" } else { "no" }),
        ("sleep", "1"),
        ("type", "pid"),
        ("value", &pid.to_string()),
    ] {
        text = set(&text, key, value)?;
    }
    Ok(text)
}

/// Processes of the daemon for engines.
fn children(stage: &Stage) -> Result<Vec<String>> {
    let path = format!("/proc/{0}/task", stage.daemon.pid());
    let mut children = Vec::new();
    for thread in std::fs::read_dir(path)? {
        let listed = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        children.extend(listed.split_whitespace().map(str::to_owned));
    }
    Ok(children)
}

fn cold_leaves(plugin: Plugin, isolate: bool) -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let tools = Tools::build(&stage)?;
    let mut workload = stage.workload(&Options::gentle(256 * MIB, 32 * MIB))?;
    stage.daemon.add(&sample(&tools, plugin, workload.pid(), isolate)?)?;
    ensure!(children(&stage)?.len() == usize::from(isolate), "{:?}", children(&stage)?);
    stage.daemon.must(&["project", "start", "-n", "background"])?;
    stage.wait_until_cold_is_out(workload.footprint())?;
    let out = stage.watch_hot(workload.footprint(), 5)?;
    let most = workload.footprint().places()?.hot.pages() as f64 * HOT_OUT;
    ensure!(out as f64 <= most, "{out} hot pages left, {most} may\nlog:\n{}", stage.daemon.log());

    let ask = ["engine", "paged_out", "-n", "background", "-e", "cold_pages", "-t", "background"];
    let answer = stage.daemon.must(&ask)?;
    let kib: usize = answer.trim().strip_suffix(" KiB paged out").context(answer.clone())?.parse()?;
    ensure!(kib << 10 >= 200 * MIB, "{answer}");
    let refused = stage.daemon.etmem(&["engine", "nonsense", "-n", "background", "-e", "cold_pages"])?;
    ensure!(refused.status != 0 && (refused.stdout + &refused.stderr).contains("paged_out"));

    stage.daemon.must(&["project", "stop", "-n", "background"])?;
    ensure!(workload.verify()? == 256 * MIB);
    // It works again after a stop.
    stage.daemon.must(&["project", "start", "-n", "background"])?;
    stage.wait_until_cold_is_out(workload.footprint())?;
    let file = stage.daemon.folder().join("added.conf");
    stage.daemon.must(&["obj", "del", "-f", &file.display().to_string()])?;
    ensure!(workload.verify()? == 256 * MIB);
    let ended = stage.daemon.terminate()?;
    ensure!(ended.status == 0, "{ended:?}\n{}", stage.daemon.log());
    Ok(())
}

fn large_leave() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let tools = Tools::build(&stage)?;
    let mut large = stage.workload(&Options::gentle(192 * MIB, 0))?;
    let mut small = stage.workload(&Options { seed: 2, ..Options::gentle(40 * MIB, 0) })?;
    let text = sample(&tools, Plugin::C, large.pid(), false)?;
    let text = set(&text, "libname", &tools.install(Plugin::LargeMappings)?.display().to_string())?;
    let text = set(&text, "ops_name", "large_mappings_ops")?;
    let second = format!(
        "[task]\nproject=background\nengine=cold_pages\nname=small\ntype=pid\nvalue={}\n",
        small.pid()
    );
    stage.daemon.add(&format!("{text}{second}"))?;
    stage.daemon.must(&["project", "start", "-n", "background"])?;
    stage.wait_until_cold_is_out(large.footprint())?;
    // As many cycles for the other one, which has nothing to page out.
    let ask = ["engine", "cycles", "-n", "background", "-e", "cold_pages", "-t", "small"];
    stage.clock.wait_until(LIMIT, "the small one's cycles", || {
        Ok(stage.daemon.must(&ask)?.trim().parse::<u32>()? >= 2)
    })?;
    ensure!(status_bytes(small.pid(), "VmSwap")? == 0, "a small mapping was paged out");
    ensure!(large.verify()? == 192 * MIB && small.verify()? == 40 * MIB);
    Ok(())
}

fn refusals() -> Result<()> {
    let stage = Stage::without_swap()?;
    let tools = Tools::build(&stage)?;
    for isolate in [false, true] {
        let text = sample(&tools, Plugin::Rust, 1, isolate)?;
        for value in ["0", "many"] {
            let file = stage.daemon.write("refused.conf", &set(&text, "cold_below", value)?)?;
            let added = stage.daemon.etmem(&["obj", "add", "-f", &file.display().to_string()])?;
            ensure!(added.status != 0 && (added.stdout + &added.stderr).contains("fill_task_params"));
            let why = format!("[task] cold_below={value}");
            let log = stage.daemon.log().replace('"', "");
            ensure!(log.contains(&why), "{why} is not in\n{log}");
        }
        ensure!(!stage.daemon.must(&["project", "show"])?.contains("background"));
    }
    Ok(())
}

fn upgraded() -> Result<()> {
    let stage = Stage::without_swap()?;
    let tools = Tools::build(&stage)?;
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("etmemd");
    std::fs::copy(&stage.binaries.etmemd, &copy)?;
    let daemon = Daemon::start(&Binaries { etmemd: copy.clone(), ..stage.binaries.clone() })?;
    std::fs::remove_file(&copy)?;
    std::fs::write(&copy, "no program")?;
    daemon.add(&sample(&tools, Plugin::C, std::process::id(), true)?)?;
    daemon.must(&["project", "start", "-n", "background"])?;
    daemon.must(&["engine", "cycles", "-n", "background", "-e", "cold_pages", "-t", "background"])?;
    let pid = daemon.pid();
    let mut names = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let listed = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        for child in listed.split_whitespace() {
            names.push(std::fs::read_to_string(format!("/proc/{child}/comm"))?);
        }
    }
    ensure!(names == ["etmemd-engine\n"], "{names:?}");
    Ok(())
}

/// A project of the policy that does as it is asked.
fn asked(tools: &Tools, pid: u32) -> Result<String> {
    let text = sample(tools, Plugin::C, pid, true)?;
    let text = set(&text, "libname", &tools.install(Plugin::Aborts)?.display().to_string())?;
    set(&text, "ops_name", "aborts_ops")
}

fn ask(command: &str) -> [&str; 8] {
    ["engine", command, "-n", "background", "-e", "cold_pages", "-t", "background"]
}

fn aborts() -> Result<()> {
    let stage = Stage::with_swap(SWAP)?;
    let tools = Tools::build(&stage)?;
    let mut workload = stage.workload(&Options::gentle(64 * MIB, 8 * MIB))?;
    stage.daemon.add(&ProjectFile::brisk("other").task("t", TaskKind::Pid(workload.pid())).to_string())?;
    stage.daemon.add(&asked(&tools, workload.pid())?)?;
    stage.daemon.must(&["project", "start", "-n", "background"])?;
    let pid = stage.daemon.must(&ask("pid"))?;
    ensure!(children(&stage)? == [pid.trim()]);

    let ran = stage.daemon.etmem(&ask("abort"))?;
    let told = ran.stdout + &ran.stderr;
    ensure!(ran.status != 0 && told.contains("signal 6 (SIGABRT)") && told.contains("start it"), "{told}");
    let again = stage.daemon.etmem(&ask("pid"))?;
    ensure!(again.status != 0 && (again.stdout + &again.stderr).contains("signal 6 (SIGABRT)"));
    stage.daemon.wait_for_line(LIMIT, "the log tells of it", |line| {
        line.contains("SIGABRT") && line.contains("project background engine cold_pages")
    })?;
    let shown = stage.daemon.must(&["project", "show", "-n", "background", "--verbose"])?;
    ensure!(shown.contains("stands still") && shown.contains("SIGABRT"), "{shown}");

    // The other one works.
    stage.daemon.must(&["project", "start", "-n", "other"])?;
    stage.wait_until_cold_is_out(workload.footprint())?;
    // And so does this one when it is started again, in another process.
    stage.daemon.must(&["project", "stop", "-n", "background"])?;
    stage.daemon.must(&["project", "start", "-n", "background"])?;
    let fresh = stage.daemon.must(&ask("pid"))?;
    ensure!(fresh != pid && children(&stage)? == [fresh.trim()], "{pid} {fresh}");
    let shown = stage.daemon.must(&["project", "show", "-n", "background", "--verbose"])?;
    ensure!(!shown.contains("stands still"), "{shown}");
    ensure!(workload.verify()? == 64 * MIB);
    Ok(())
}

fn aborts_when_loaded() -> Result<()> {
    let stage = Stage::without_swap()?;
    let tools = Tools::build(&stage)?;
    for (library, word) in [(Plugin::AbortsWhenLoaded, "SIGABRT"), (Plugin::Nonsense, "cannot be loaded")] {
        let text = set(&asked(&tools, 1)?, "libname", &tools.install(library)?.display().to_string())?;
        let file = stage.daemon.write("refused.conf", &text)?;
        let added = stage.daemon.etmem(&["obj", "add", "-f", &file.display().to_string()])?;
        let told = added.stdout + &added.stderr;
        ensure!(added.status != 0 && told.contains(word), "{told}\n{}", stage.daemon.log());
    }
    ensure!(!stage.daemon.must(&["project", "show"])?.contains("background"));
    stage.clock.wait_until(LIMIT, "the processes go", || Ok(children(&stage)?.is_empty()))?;
    Ok(())
}

fn hangs() -> Result<()> {
    let stage = Stage::without_swap()?;
    let tools = Tools::build(&stage)?;
    let workload = stage.workload(&Options::gentle(MIB, 0))?;
    stage.daemon.add(&asked(&tools, workload.pid())?)?;
    stage.daemon.must(&["project", "start", "-n", "background"])?;
    let child = stage.daemon.must(&ask("pid"))?;
    for command in ["hang", "pid"] {
        let ran = stage.daemon.etmem(&ask(command))?;
        let told = ran.stdout + &ran.stderr;
        ensure!(ran.status != 0 && told.contains("has not returned from eng_mgt_func"), "{command}: {told}");
    }
    ensure!(children(&stage)? == [child.trim()]);
    let file = stage.daemon.folder().join("added.conf");
    stage.daemon.must(&["obj", "del", "-f", &file.display().to_string()])?;
    stage.clock.wait_until(LIMIT, "the process goes", || Ok(children(&stage)?.is_empty()))?;
    ensure!(!stage.daemon.must(&["project", "show"])?.contains("background"));
    Ok(())
}

fn goes() -> Result<()> {
    let stage = Stage::without_swap()?;
    let tools = Tools::build(&stage)?;
    let workload = stage.workload(&Options::gentle(MIB, 0))?;
    let text = asked(&tools, workload.pid())?;
    stage.daemon.add(&text)?;
    ensure!(children(&stage)?.len() == 1);
    let file = stage.daemon.folder().join("added.conf");
    stage.daemon.must(&["obj", "del", "-f", &file.display().to_string()])?;
    stage.clock.wait_until(LIMIT, "the process goes", || Ok(children(&stage)?.is_empty()))?;
    stage.daemon.add(&text)?;
    let child = children(&stage)?.pop().context("a process")?;
    stage.daemon.must(&["project", "start", "-n", "background"])?;
    ensure!(stage.daemon.terminate()?.status == 0);
    let place = std::path::Path::new("/proc").join(child);
    stage.clock.wait_until(LIMIT, "the process goes", || Ok(!place.exists()))?;
    Ok(())
}
