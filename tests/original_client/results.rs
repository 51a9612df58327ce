//! Every command with every result: the first line is the original's to the letter, the second is ours.

use anyhow::Result;
use etmem_testkit::original::Line;
use etmem_testkit::swap;

use crate::{ENGINE, HEADER, INVALID, PROJECT, TASK, daemon, done, file, refused};

pub(crate) fn objects() -> Result<()> {
    let daemon = daemon()?;
    let whole = file(&daemon, "whole.conf", &[PROJECT, ENGINE, TASK].concat())?;
    let add = |path| Line::object(0, path);
    let del = |path| Line::object(1, path);
    done(&daemon, &add(&whole), "")?;
    refused(
        &daemon,
        &add(&whole),
        &format!(
            "error: project has been existed\n\
             {whole}:1: project p exists already: delete it first, or choose another name"
        ),
    )?;
    let engine = file(&daemon, "engine.conf", ENGINE)?;
    refused(
        &daemon,
        &add(&engine),
        &format!("error: engine has been existed\n{engine}:1: project p has an engine slide already"),
    )?;
    let task = file(&daemon, "task.conf", TASK)?;
    refused(
        &daemon,
        &add(&task),
        &format!("error: task has been existed\n{task}:1: engine slide of project p has a task t already"),
    )?;
    let hot = file(&daemon, "hot.conf", &TASK.replace("name=t\n", "name=u\n").replace("T=1", "T=10"))?;
    refused(
        &daemon,
        &add(&hot),
        &format!(
            "error: etmemd has internal error, see reason details in messages\n\
             {hot}:7: [task] T=10: must be 0..=9 (3 times loop=3 of project p)"
        ),
    )?;
    let other = file(&daemon, "other.conf", "[other]\n")?;
    refused(
        &daemon,
        &add(&other),
        &format!("{INVALID}{other}: has none of the groups [project], [engine] and [task]; it has [other]"),
    )?;
    let absent = daemon.folder().join("absent").display().to_string();
    let unreadable = format!(
        "{INVALID}{absent}: cannot be read: No such file or directory (os error 2); \
         check the path as etmemd sees it"
    );
    refused(&daemon, &add(&absent), &unreadable)?;
    refused(&daemon, &del(&absent), &unreadable)?;
    let typing = file(&daemon, "typing.conf", &PROJECT.replace("name=p", "name=q").replace("loop", "lop"))?;
    refused(
        &daemon,
        &add(&typing),
        &format!(
            "{INVALID}{typing}:1: [project] loop is missing; scan_type=page needs it; is lop a mistyping of it?"
        ),
    )?;

    done(&daemon, &del(&task), "")?;
    refused(
        &daemon,
        &del(&task),
        &format!(
            "error: task is not exist\n\
             {task}:1: engine slide of project p has no task t: see etmem project show"
        ),
    )?;
    done(&daemon, &del(&engine), "")?;
    refused(
        &daemon,
        &del(&engine),
        &format!(
            "error: engine is not exist\n\
             {engine}:1: project p has no engine slide: add it first, or see etmem project show"
        ),
    )?;
    refused(
        &daemon,
        &add(&task),
        &format!(
            "error: engine is not exist\n\
             {task}:1: project p has no engine slide: add it first, or see etmem project show"
        ),
    )?;
    let project = file(&daemon, "project.conf", PROJECT)?;
    done(&daemon, &del(&project), "")?;
    let gone = |line: u32| {
        format!(
            "{whole}:{line}: there is no project p: add it first (etmem obj add), or see etmem project show"
        )
    };
    refused(
        &daemon,
        &del(&whole),
        &["error: project is not exist", &gone(10), &gone(7), &gone(1)].join("\n"),
    )?;
    done(&daemon, &Line::show_all(), "no project exists\n\n")
}

pub(crate) fn projects() -> Result<()> {
    let daemon = daemon()?;
    let nowhere = "error: project is not exist\n\
                   there is no project q: add it first (etmem obj add), or see etmem project show";
    refused(&daemon, &Line::project(2, "q"), nowhere)?;
    refused(&daemon, &Line::project(3, "q"), nowhere)?;
    daemon.add(&[PROJECT, ENGINE].concat())?;
    let stopped = "error: project has been stopped\nproject p does not run";
    refused(&daemon, &Line::project(3, "p"), stopped)?;
    done(&daemon, &Line::project(2, "p"), "project p has no task yet\n")?;
    refused(&daemon, &Line::project(2, "p"), "error: project has been started\nproject p runs already")?;
    done(&daemon, &Line::project(3, "p"), "")?;
    refused(&daemon, &Line::project(3, "p"), stopped)
}

pub(crate) fn engine_commands() -> Result<()> {
    let daemon = daemon()?;
    let ask = |project, engine, task| Line::engine(project, engine, "showtaskpages", task);
    refused(
        &daemon,
        &ask("p", "slide", None),
        "error: project is not exist\n\
         there is no project p: add it first (etmem obj add), or see etmem project show",
    )?;
    daemon.add(&[PROJECT, ENGINE].concat())?;
    refused(
        &daemon,
        &ask("p", "cslide", None),
        "error: engine is not exist\n\
         project p has no engine cslide: add it first, or see etmem project show",
    )?;
    refused(
        &daemon,
        &ask("p", "slide", Some("t")),
        "error: task is not exist\nengine slide of project p has no task t: see etmem project show",
    )?;
    refused(
        &daemon,
        &ask("p", "slide", None),
        "error: invalid parameters\nproject p does not run: start it first (etmem project start)",
    )?;
    daemon.must(&["project", "start", "-n", "p"])?;
    refused(
        &daemon,
        &ask("p", "slide", None),
        "error: invalid parameters\nengine slide of project p has no task",
    )
}

pub(crate) fn starting() -> Result<()> {
    let daemon = daemon()?;
    // No other test makes or takes swap meanwhile, so that what the daemon says of it is known.
    let _swap = swap::guard::lock()?;
    let no_swap = if swap::areas()?.is_empty() {
        "task t: this machine has no swap, so nothing can be moved out: add some (swapon)\n"
    } else {
        ""
    };
    daemon.add(&[PROJECT, ENGINE, TASK].concat())?;
    let waits = format!("task t: no process named no-such-comm yet; waiting for it\n{no_swap}");
    done(&daemon, &Line::project(2, "p"), &waits)?;
    refused(&daemon, &Line::project(2, "p"), "error: project has been started\nproject p runs already")?;
    let row = "1        name     no-such-comm     t                slide            true    \n";
    done(&daemon, &Line::project(4, "p"), &format!("project: p\n{HEADER}{row}"))?;
    for task in [None, Some("t")] {
        for command in ["showtaskpages", "showhostpages", "no-such-command"] {
            refused(
                &daemon,
                &Line::engine("p", "slide", command, task),
                "error: invalid parameters\nengine slide has no commands",
            )?;
        }
    }
    done(&daemon, &Line::project(3, "p"), "")?;
    done(&daemon, &Line::object(1, &file(&daemon, "task.conf", TASK)?), "")
}

pub(crate) fn show() -> Result<()> {
    let daemon = daemon()?;
    let unknown = "project: project p is not existed\n\n";
    done(&daemon, &Line::show_all(), "no project exists\n\n")?;
    done(&daemon, &Line::project(4, "p"), unknown)?;
    let long = TASK.replace("name=t\n", "name=a_name_longer_than_its_column\n");
    let pid = std::process::id().to_string();
    let by_pid = TASK.replace("name=t\n", "name=by_pid\n").replace("type=name", "type=pid");
    daemon.add(&[PROJECT, ENGINE, TASK, &long, &by_pid.replace("no-such-comm", &pid)].concat())?;
    let second = PROJECT.replace("name=p", "name=second");
    daemon.add(&second)?;
    let rows = format!(
        "1        pid      {pid:<16} by_pid           slide            false   \n\
         2        name     no-such-comm     a_name_longer_than_its_column slide            false   \n\
         3        name     no-such-comm     t                slide            false   \n"
    );
    let p = format!("project: p\n{HEADER}{rows}");
    let second = format!("project: second\n{HEADER}");
    done(&daemon, &Line::project(4, "p"), &p)?;
    done(&daemon, &Line::project(4, "second"), &second)?;
    done(&daemon, &Line::show_all(), &(second + &p))?;
    done(&daemon, &Line::project(4, "q"), "project: project q is not existed\n\n")
}
