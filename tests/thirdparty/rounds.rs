//! A hundred rounds of all that becomes of a plugin, watched by valgrind: nothing of ours is left behind.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{Pid, ProcessId};
use etmem_core::name::Name;
use etmem_linux::pacer::SystemPacer;
use etmem_plugin::SharedProject;
use etmem_testkit::process::run;

use crate::plugins::{LAYOUTS, recorder, sources};

const ROUNDS: u32 = 100;
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(500);

/// The word that makes this program do the rounds, with the library and a file to write to.
const WORD: &str = "--rounds";

/// Where this program runs under valgrind: the rounds.
pub(crate) fn inside() -> Option<ExitCode> {
    let words: Vec<String> = env::args().collect();
    match &words[..] {
        [_, word, library, record] if word == WORD => match rounds(library, record) {
            Ok(()) => Some(ExitCode::SUCCESS),
            Err(error) => {
                eprintln!("{error:#}");
                Some(ExitCode::FAILURE)
            }
        },
        _ => None,
    }
}

pub(crate) fn leave_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for layout in LAYOUTS {
        let library = folder.path().join(format!("{layout}.so"));
        recorder(layout, &library)?;
        let record = folder.path().join(format!("{layout}.record"));
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"]);
        command.args(["--error-exitcode=9", "--fair-sched=yes"]);
        command.arg(format!("--suppressions={}", sources().join("valgrind.supp").display()));
        command.arg(env::current_exe()?).arg(WORD).arg(&library).arg(&record);
        let ran = run(&mut command, LIMIT)?;
        ensure!(ran.status == 0, "{layout}: {}\n{}{}", ran.status, ran.stdout, ran.stderr);
        let text = fs::read_to_string(&record)?;
        let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        for (call, times) in
            [("fill_eng", 2), ("start", 3), ("mgt", 2), ("stop", 2), ("clear_task", 3), ("clear_eng", 2)]
        {
            let times = times * usize::try_from(ROUNDS)?;
            ensure!(count(call) == times, "{layout}: {call} {} times, not {times}", count(call));
        }
    }
    Ok(())
}

/// Two engines of one project are added, one task of them fails to start, the others start, answer, stop and go.
fn rounds(library: &str, record: &str) -> Result<()> {
    let engine = |name: &str| {
        format!(
            "[engine]\nproject=p\nname=thirdparty\neng_name={name}\nlibname={library}\nops_name=recorder_ops\n\
             record={record}\n"
        )
    };
    let task = |engine: &str, name: &str, lines: &str| {
        format!("[task]\nproject=p\nengine={engine}\nname={name}\ntype=pid\nvalue=7\n{lines}")
    };
    let project = "[project]\nname=p\nloop=1\ninterval=1\nsleep=1\n".to_owned();
    let bad = task("y", "c", "fails=start\n");
    let text = project + &engine("x") + &engine("y") + &task("x", "a", "") + &task("y", "b", "") + &bad;
    let file = etmem_config::parse(Path::new("f"), &text, &etmem_engine::keys())?;
    let refused = |refusal: etmem_engine::Refusal| anyhow!("{refusal}");
    let process = |pid| Some(ProcessId { pid: Pid::new(pid)?, start_time: 1 });
    let processes: Vec<ProcessId> = [7, 8, 9].into_iter().filter_map(process).collect();
    let name = |text: &str| Name::new(text).context("a name");
    for _ in 0..ROUNDS {
        let shared = Arc::<SharedProject>::default();
        let mut engines = Vec::new();
        for section in &file.engines {
            let clock = Arc::new(SystemPacer::new());
            let engine = etmem_plugin::engine(&file.projects[0], section, &shared, clock, ANSWER_LIMIT)
                .map_err(refused)?;
            for task in file.tasks.iter().filter(|task| task.engine == section.name) {
                engine.add_task(task, ANSWER_LIMIT).map_err(refused)?;
            }
            engines.push(engine);
        }
        for (engine, task) in engines.iter().zip(["a", "b"]) {
            engine.start_task(&name(task)?, &processes, ANSWER_LIMIT).map_err(refused)?;
            engine.project_runs(true);
        }
        ensure!(engines[1].start_task(&name("c")?, &processes, ANSWER_LIMIT).is_err(), "c starts");
        for (engine, task) in engines.iter().zip(["a", "b"]) {
            let said = engine.question(Some(&name(task)?), "tell")().map_err(refused)?;
            ensure!(said == format!("tell told of {task}\n"), "{said}");
            engine.stop_task(&name(task)?);
            engine.remove_task(&name(task)?);
            engine.close();
            ensure!(engine.settle(ANSWER_LIMIT).is_none(), "{engine:?} does not settle");
        }
    }
    // Those who are on their way out have memory of their own still.
    let clock = SystemPacer::new();
    while fs::read_dir("/proc/self/task")?.count() > 1 {
        ensure!(clock.now() < ANSWER_LIMIT, "threads are left");
        let _ = clock.pause(Duration::from_millis(10));
    }
    Ok(())
}
