//! The nine functions: which is called when, with what, and what a refusal leaves.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use etmem_testkit::built::top;

use crate::library::library;
use crate::plugins::{LAYOUTS, Stage, command, compile, glib, project};

const FILL: &str =
    "fill_eng x (x) type 7 of p: 0, 3/1/2, -1 -1 -1, 0; key <in 'x'>, task a, groups engine,project,task";

/// Every function, from the first to the end of the daemon, seen by each layout.
pub(crate) fn each_in_its_order() -> Result<()> {
    for layout in LAYOUTS {
        let stage = Stage::new(layout)?;
        let keys = "engine_private_key=in 'x'\n";
        let first = stage.task("x", "a", "task_private_key= of = a \nswap_flag=yes\nmax_threads=2\n");
        let text = project() + &stage.engine("x", keys) + &first;
        ensure!(!stage.is_loaded("libglib-2.0")?, "GLib is loaded for nobody");
        let said = stage.daemon.add(&text)?;
        ensure!(said.is_empty(), "keys of a plugin are its own: {said}");
        ensure!(stage.is_loaded("libglib-2.0")? && stage.is_loaded("recorder.so")?);
        stage.recorded(&[FILL, "fill_task a (a) of x: pid=A, 2, 1000; key <of = a>"])?;
        stage.refused(&command("tell", None), &["error: invalid parameters", "does not run"])?;
        stage.start()?;
        stage.recorded(&["alloc A", "alloc B", "start a of x (0): A B; tasks a; engines x"])?;
        ensure!(stage.show()?.contains("a                x                true"), "{}", stage.show()?);

        let nobody = stage
            .task("x", "b", "")
            .replace(&format!("pid\nvalue={}", stage.pids[0]), "name\nvalue=nobody-here");
        let said = stage.daemon.add(&nobody)?;
        ensure!(said.starts_with("task b: no process named nobody-here yet"), "{said}");
        let fill = "fill_task b (b) of x: name=nobody-here, 1, 0; key <(null)>";
        stage.recorded(&[fill, "start b of x (1):; tasks b a; engines x"])?;

        ensure!(stage.daemon.must(&command("tell", None))? == "tell told of all\n");
        ensure!(stage.daemon.must(&command("tell", Some("b")))? == "tell told of b\n");
        stage.recorded(&["mgt x -: tell", "mgt x b: tell"])?;
        stage.refused(&command("tell", Some("c")), &["error: task is not exist"])?;

        stage.stop()?;
        stage.recorded(&["stop b of x (1)", "stop a of x (1)", "free A", "free B"])?;
        stage.start()?;
        let again = ["alloc A", "alloc B", "start a of x (0): A B; tasks b a; engines x"];
        stage.recorded(&[&again[..], &["start b of x (0):; tasks b a; engines x"]].concat())?;
        stage.del(&first)?;
        stage.recorded(&["stop a of x (1)", "free A", "free B", "clear_task a"])?;
        stage.daemon.add(&first)?;
        stage.record();
        stage.del(&text)?;
        let cleared = ["stop b of x (1)", "clear_task b", "clear_eng x"];
        stage.recorded(&[&["stop a of x (1)", "free A", "free B", "clear_task a"][..], &cleared].concat())?;

        // A project goes with all it has: what runs is stopped first, then all is cleared.
        stage.daemon.add(&(text.clone() + &nobody))?;
        stage.start()?;
        stage.record();
        stage.del(&project())?;
        let order =
            ["stop b of x (1)", "stop a of x (1)", "free A", "free B", "clear_task b", "clear_task a"];
        stage.recorded(&[&order[..], &["clear_eng x"]].concat())?;

        stage.daemon.add(&(text + &nobody))?;
        stage.start()?;
        stage.record();
        let ended = stage.daemon.terminate()?;
        ensure!(ended.status == 0, "{ended:?}");
        stage.recorded(&[&order[..], &["clear_eng x"]].concat())?;
    }
    Ok(())
}

/// Two libraries and one of them twice, in one project, beside an engine of ours.
pub(crate) fn several_in_one_project() -> Result<()> {
    let stage = Stage::new(LAYOUTS[0])?;
    crate::plugins::recorder(LAYOUTS[1], &stage.path("other.so"))?;
    let slide = "[engine]\nproject=p\nname=slide\n";
    let other = stage.engine("z", "engine_private_key=z's\n").replace("recorder.so", "other.so");
    let engines = stage.engine("x", "engine_private_key=x's\n")
        + &stage.engine("y", "engine_private_key=y's\n")
        + &other;
    let tasks: String =
        ["x", "y", "z"].iter().map(|engine| stage.task(engine, &format!("of-{engine}"), "")).collect();
    stage.daemon.add(&(project() + slide + &engines + &tasks))?;
    let record = stage.record();
    let fills: Vec<&String> = record.iter().filter(|line| line.starts_with("fill_eng")).collect();
    for (line, name) in fills.iter().zip(["x", "y", "z"]) {
        let want = format!("key <{name}'s>, task of-{name}, groups engine,project,task");
        ensure!(line.starts_with(&format!("fill_eng {name} ({name})")) && line.ends_with(&want), "{line}");
    }
    ensure!(fills.len() == 3 && record.len() == 6, "{record:#?}");
    stage.start()?;
    let record = stage.record();
    let starts: Vec<&String> = record.iter().filter(|line| line.starts_with("start")).collect();
    for (line, name) in starts.iter().zip(["x", "y", "z"]) {
        let want = format!("start of-{name} of {name} (0): A B; tasks of-{name}; engines z y x");
        ensure!(**line == want, "{line}");
    }
    ensure!(starts.len() == 3, "{record:#?}");
    stage.del(&stage.engine("y", ""))?;
    stage.recorded(&["stop of-y of y (1)", "free A", "free B", "clear_task of-y", "clear_eng y"])?;
    ensure!(stage.daemon.must(&command("tell", Some("of-x")))? == "tell told of of-x\n");
    stage.record();
    stage.stop()?;
    stage.record();
    stage.start()?;
    let record = stage.record();
    ensure!(record.iter().any(|line| line.ends_with("engines z x")), "{record:#?}");
    stage.del(&project())?;
    let record = stage.record();
    ensure!(!record.iter().any(|line| line.contains("OVERLAP") || line.contains("BAD")), "{record:#?}");
    ensure!(stage.daemon.log().contains("engine x: loaded") && stage.daemon.is_running()?);
    Ok(())
}

/// What a function refuses is not there, and what was there stays.
pub(crate) fn refusals_by_functions() -> Result<()> {
    let stage = Stage::new(LAYOUTS[1])?;
    let internal = "error: etmemd has internal error, see reason details in messages\n";
    let nothing = |stage: &Stage| -> Result<()> {
        ensure!(stage.show()? == "no project exists\n\n", "{}", stage.show()?);
        Ok(())
    };
    stage.add_refused(
        &stage.small("fails=fill_eng\n", ""),
        &[internal, "engine x: ", "fill_eng_params returned -3"],
    )?;
    nothing(&stage)?;
    let record = stage.record();
    ensure!(
        record.len() == 1 && record[0].starts_with("fill_eng x"),
        "no clear after a failed fill: {record:#?}"
    );
    // Nothing of it was ever started.
    ensure!(!stage.is_loaded("recorder.so")?, "the library is still loaded");

    let two = stage.small("", "") + &stage.task("x", "u", "fails=fill_task\n");
    stage.add_refused(&two, &[internal, "engine x: ", "refuses task u: fill_task_params returned 7"])?;
    nothing(&stage)?;
    let record = stage.record();
    let calls: Vec<&str> = record.iter().filter_map(|line| line.split(" (").next()).collect();
    ensure!(
        calls == ["fill_eng x", "fill_task t", "fill_task u", "clear_task t", "clear_eng x"],
        "{record:#?}"
    );

    stage.daemon.add(&(stage.small("", "") + &stage.task("x", "u", "fails=start\n")))?;
    stage.record();
    let words = [internal, "engine x: ", "does not start task u: start_task returned -1"];
    for _ in 0..2 {
        stage.refused(&["project", "start", "-n", "p"], &words)?;
        ensure!(!stage.show()?.contains("true"), "{}", stage.show()?);
        let starts = ["alloc A", "alloc B", "start t of x (0): A B; tasks u t; engines x"];
        let fails = ["alloc A", "alloc B", "start u of x (0): A B; tasks u t; engines x", "free A", "free B"];
        let back = ["stop t of x (0)", "free A", "free B"];
        stage.recorded(&[&starts[..], &fails, &back].concat())?;
    }
    stage.del(&stage.task("x", "u", ""))?;
    stage.start()?;
    stage.record();
    // In a started project a task that fails to start is cleared again.
    stage.add_refused(&stage.task("x", "v", "fails=start\n"), &["does not start task v"])?;
    let record = stage.record();
    ensure!(record.last().is_some_and(|line| line == "clear_task v"), "{record:#?}");
    stage.add_refused(
        &stage.task("x", "v", "fails=alloc\n"),
        &["refuses process", "alloc_pid_params returned -1"],
    )?;
    let record = stage.record();
    ensure!(record[1..] == ["alloc A", "clear_task v"], "{record:#?}");
    ensure!(stage.daemon.must(&command("tell", Some("t")))? == "tell told of t\n");
    let reason = "eng_mgt_func returned -5; it wrote: no such page";
    stage.refused(&command("fail", None), &["error: invalid parameters\n", "engine x: ", reason])?;
    Ok(())
}

/// Libraries that cannot be a plugin, and functions that are NULL.
pub(crate) fn refusals_by_libraries() -> Result<()> {
    let stage = Stage::new(LAYOUTS[0])?;
    let with = |from: &str, to: &str| stage.small("", "").replace(from, to);
    fs::write(stage.path("text.so"), "no library")?;
    fs::set_permissions(stage.path("text.so"), Permissions::from_mode(0o700))?;
    fs::copy(stage.path("recorder.so"), stage.path("open.so"))?;
    fs::set_permissions(stage.path("open.so"), Permissions::from_mode(0o755))?;
    let missing = "int nowhere(void); int call(void); int call(void) { return nowhere(); }";
    fs::write(stage.path("missing.c"), missing)?;
    compile(&stage.path("missing.c").display().to_string(), &[], &stage.path("missing.so"))?;
    for (text, words) in [
        (with("recorder.so", "none.so"), ["libname=", "none.so: cannot be opened: No such file"]),
        (
            with("recorder.so", "open.so"),
            ["libname=", "has mode 0755, must have 0500 or 0700; run chmod 500"],
        ),
        (with("recorder.so", "text.so"), ["libname=", "cannot be loaded: "]),
        (with("recorder.so", "missing.so"), ["libname=", "undefined symbol: nowhere"]),
        (with("recorder_ops", "nobody_ops"), ["ops_name=nobody_ops: ", "exports no such symbol; see nm -D"]),
        (
            with("recorder_ops", "no_ops"),
            ["ops_name=no_ops: ", "it is no variable, and must be a struct engine_ops"],
        ),
        (with("recorder_ops", "short_ops"), ["ops_name=short_ops: ", "it is 8 bytes, not 72"]),
    ] {
        let ran = stage.add_refused(&text, &words)?;
        let place = format!("{}:6: ", stage.path("refused.conf").display());
        ensure!(ran.stdout.lines().nth(1).is_some_and(|line| line.starts_with(&place)), "{ran:?}");
        ensure!(stage.show()? == "no project exists\n\n", "{}", stage.show()?);
    }
    ensure!(stage.record().is_empty() && !stage.is_loaded("recorder.so")?);

    stage.daemon.add(&with("recorder_ops", "no_start_ops"))?;
    stage.refused(
        &["project", "start", "-n", "p"],
        &["engine x: ", "has no start_task, so no task of it can start"],
    )?;
    stage.del(&project())?;
    let record = stage.record();
    ensure!(record.len() == 4 && record[3] == "clear_eng x", "{record:#?}");
    stage.daemon.add(&with("recorder_ops", "empty_ops"))?;
    stage.refused(&["project", "start", "-n", "p"], &["has no start_task"])?;
    stage.del(&project())?;
    ensure!(stage.record().is_empty() && !stage.is_loaded("recorder.so")?);

    // Once a task of it ran, a library stays, and another file in its place is not taken for it.
    stage.daemon.add(&stage.small("", ""))?;
    stage.start()?;
    stage.del(&project())?;
    ensure!(stage.is_loaded("recorder.so")?);
    stage.daemon.add(&stage.small("", ""))?;
    stage.del(&project())?;
    crate::plugins::recorder(LAYOUTS[1], &stage.path("newer.so"))?;
    fs::rename(stage.path("newer.so"), stage.path("recorder.so"))?;
    stage.add_refused(&stage.small("", ""), &["was replaced by another file", "restart etmemd"])?;
    fs::rename(stage.path("recorder.so"), stage.path("newer.so"))?;
    stage.daemon.add(&with("recorder.so", "newer.so"))?;
    Ok(())
}

/// A plugin that scans by the scan library, in the daemon's own process, beside the daemon's own scans.
pub(crate) fn scans() -> Result<()> {
    let stage = Stage::new(LAYOUTS[0])?;
    let folder = library()?.display().to_string();
    let mut options = vec![format!("-I{}", top().join("include").display()), format!("-L{folder}")];
    options.extend(glib("--cflags")?);
    options.extend(["-letmemd_scan".to_owned(), format!("-Wl,-rpath,{folder}")]);
    compile("scanner.c", &options, &stage.path("scanner.so"))?;
    let text =
        stage.small("", "").replace("recorder.so", "scanner.so").replace("recorder_ops", "scanner_ops");
    let slide = "[engine]\nproject=p\nname=slide\n".to_owned() + &stage.task("slide", "s", "T=1\n");
    stage.daemon.add(&(text + &slide))?;
    stage.start()?;
    for _ in 0..3 {
        let said = stage.daemon.must(&command("scan", Some("t")))?;
        let pages = said.strip_prefix("init 0 -1, pages ").and_then(|pages| pages.trim().parse::<u32>().ok());
        ensure!(pages.is_some_and(|pages| pages > 5), "{said}");
    }
    stage.stop()?;
    Ok(())
}
