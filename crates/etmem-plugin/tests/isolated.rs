//! An engine in a process of its own, for real: this program, run again, with an engine that reports its requests and does
//! as it is asked.

use std::env;
use std::os::fd::AsFd;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_config::{ConfigFile, FaultClass, TaskSection};
use etmem_core::kernel::process::{Pid, ProcessId};
use etmem_core::name::Name;
use etmem_engine::{Hosted, Question, Refusal};
use etmem_plugin::isolated::{Isolated, serve};
use etmem_testkit::clock::WallClock;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

const MARK: &str = "ETMEM_ISOLATE_TEST";
const LONG: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    if env::var_os(MARK).is_some() {
        return child();
    }
    run_in_turn(vec![
        trial_or_skip("passes_on_what_it_is_told", &[], passes_on),
        trial_or_skip("passes_on_every_key_as_it_was_written", &[], keys),
        trial_or_skip("a_refusal_comes_back_with_its_class", &[], refusals),
        trial_or_skip("an_engine_that_cannot_be_made_is_refused", &[], not_made),
        trial_or_skip("a_program_that_cannot_be_run_is_refused", &[], not_run),
        trial_or_skip("an_end_is_told_and_taken_back_by_stop_and_start", &[], ends),
        trial_or_skip("an_end_in_a_call_is_its_answer", &[], ends_in_a_call),
        trial_or_skip("an_end_between_two_starts_takes_both_back", &[], ends_between_starts),
        trial_or_skip("the_process_goes_with_the_engine", &[], goes),
        trial_or_skip("a_process_that_hangs_goes_with_the_engine", &[], hangs),
    ])
}

/// The engine on the other side.
#[derive(Debug, Default)]
struct Scripted {
    told: Mutex<Vec<String>>,
}

impl Scripted {
    fn tell(&self, what: String) -> Result<(), Refusal> {
        let refused = |class| Err(Refusal { reason: format!("no: {what}"), class });
        let result = match &what {
            what if what.contains("invalid") => refused(FaultClass::InvalidParameters),
            what if what.contains("internal") => refused(FaultClass::Internal),
            what if what.contains("aborts") => std::process::abort(),
            _ => Ok(()),
        };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        result
    }
}

impl Hosted for Scripted {
    fn add_task(&self, task: &TaskSection, _: Duration) -> Result<(), Refusal> {
        let (written, siblings) = (&task.written, task.siblings.iter().collect::<Vec<_>>());
        self.tell(format!("add {} {written:?} {siblings:?}", task.name))
    }

    fn start_task(&self, task: &Name, processes: &[ProcessId], _: Duration) -> Result<(), Refusal> {
        let processes: Vec<String> =
            processes.iter().map(|process| format!("{}@{}", process.pid, process.start_time)).collect();
        self.tell(format!("start {task} {}", processes.join(",")))
    }

    fn stop_task(&self, task: &Name) {
        let _ = self.tell(format!("stop {task}"));
    }

    fn remove_task(&self, task: &Name) {
        let _ = self.tell(format!("remove {task}"));
    }

    fn project_runs(&self, runs: bool) {
        let _ = self.tell(format!("runs {runs}"));
    }

    fn close(&self) {
        let _ = self.tell("close".into());
    }

    fn settle(&self, _: Duration) -> Option<String> {
        self.tell("settle".into()).ok().map(|()| "late".to_owned())
    }

    fn question(&self, task: Option<&Name>, command: &str) -> Question {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        let task = task.map_or_else(String::new, Name::to_string);
        let command = command.to_owned();
        Box::new(move || match command.as_str() {
            "told" => Ok(told),
            "pid" => Ok(std::process::id().to_string()),
            "abort" => std::process::abort(),
            _ => {
                Err(Refusal { reason: format!("no {command} {task}"), class: FaultClass::InvalidParameters })
            }
        })
    }
}

fn child() -> ExitCode {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().expect("a socket");
    let served = serve(socket.into(), |project, section, _| {
        let engine = Scripted::default();
        engine.tell(format!("make {} {project:?} {:?}", section.name, section.written))?;
        if section.name.as_str() == "hanging" {
            std::mem::forget(std::thread::spawn(std::thread::park));
            // No request is read, not even the end.
            loop {
                std::thread::park();
            }
        }
        Ok(Arc::new(engine))
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn file(engine: &str) -> ConfigFile {
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=3\ninterval=1\nsleep=2\nsysmem_threshold=50\n\
         swapcache_high_wmark=6\nswapcache_low_wmark=5\n\
         [engine]\nproject=p\nname=thirdparty\neng_name={engine}\nlibname=/x.so\nops_name=x\nisolate=yes\nown=a = b #c\n\
         [task]\nproject=p\nengine={engine}\nname=t\ntype=pid\nvalue=7\nmine=1\n\
         [task]\nproject=p\nengine={engine}\nname=invalid\ntype=name\nvalue=x\n\
         [task]\nproject=p\nengine={engine}\nname=internal\ntype=name\nvalue=x\n\
         [task]\nproject=p\nengine={engine}\nname=u\ntype=name\nvalue=x\n\
         [other]\nkey=value\n"
    );
    etmem_config::parse(std::path::Path::new("f"), &text, &etmem_engine::keys()).expect("a file")
}

fn start(file: &ConfigFile) -> Result<Isolated, Refusal> {
    let program = || {
        let mut command = Command::new(env::current_exe()?);
        command.env(MARK, "1");
        Ok(command)
    };
    Isolated::start(&file.projects[0], &file.engines[0], Box::new(program), LONG)
}

fn ask(engine: &Isolated, command: &str) -> Result<String, Refusal> {
    engine.question(None, command)()
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn processes() -> Vec<ProcessId> {
    Pid::new(7).map(|pid| ProcessId { pid, start_time: 77 }).into_iter().collect()
}

/// Waits until it is said that the process has ended.
fn wait_for_trouble(engine: &Isolated) -> Result<String> {
    let mut trouble = None;
    WallClock::new().wait_until(LONG, "the process ends", || {
        trouble = engine.trouble();
        Ok(trouble.is_some())
    })?;
    trouble.context("there was trouble")
}

fn passes_on() -> Result<()> {
    let file = file("e");
    let engine = start(&file)?;
    engine.add_task(&file.tasks[0], LONG)?;
    engine.start_task(&name("t"), &processes(), LONG)?;
    engine.project_runs(true);
    engine.stop_task(&name("t"));
    engine.project_runs(false);
    engine.remove_task(&name("t"));
    ensure!(engine.settle(LONG).as_deref() == Some("late"));
    engine.close();
    let told = ask(&engine, "told")?;
    let words: Vec<&str> = told.lines().filter_map(|line| line.split(' ').next()).collect();
    ensure!(words == ["make", "add", "start", "runs", "stop", "runs", "remove", "settle", "close"], "{told}");
    ensure!(told.contains("start t 7@77\nruns true\nstop t\nruns false\nremove t\n"), "{told}");
    ensure!(engine.trouble().is_none());
    Ok(())
}

fn keys() -> Result<()> {
    let file = file("e");
    let engine = start(&file)?;
    engine.add_task(&file.tasks[0], LONG)?;
    let told = ask(&engine, "told")?;
    let mut lines = told.lines();
    let want = format!("make e {:?} {:?}", file.projects[0], file.engines[0].written);
    let own = r#"key: "own", value: "a = b #c""#;
    ensure!(lines.next() == Some(&want) && want.contains(own), "{told}\n{want}");
    let siblings: Vec<_> = file.tasks[0].siblings.iter().collect();
    ensure!(
        lines.next() == Some(&format!("add t {:?} {siblings:?}", file.tasks[0].written))
            && siblings.len() == 3,
        "{told}"
    );
    Ok(())
}

fn refusals() -> Result<()> {
    let file = file("e");
    let engine = start(&file)?;
    for (task, class) in [(1, FaultClass::InvalidParameters), (2, FaultClass::Internal)] {
        let refusal = engine.add_task(&file.tasks[task], LONG).err().context("not refused")?;
        ensure!(refusal.class == class && refusal.reason.starts_with("no: add"), "{refusal:?}");
    }
    let refusal = engine.question(Some(&name("t")), "go")().err().context("not refused")?;
    ensure!(refusal.reason == "no go t" && refusal.class == FaultClass::InvalidParameters, "{refusal:?}");
    Ok(())
}

fn not_made() -> Result<()> {
    let refusal = start(&file("invalid")).err().context("not refused")?;
    ensure!(refusal.reason.starts_with("no: make invalid") && refusal.class == FaultClass::InvalidParameters);
    let refusal = start(&file("aborts")).err().context("not refused")?;
    ensure!(refusal.reason.contains("was ended by signal 6 (SIGABRT)"), "{refusal}");
    ensure!(
        refusal.reason.contains("repair the plugin") && !refusal.reason.contains("stop the"),
        "{refusal}"
    );
    Ok(())
}

fn not_run() -> Result<()> {
    let file = file("e");
    let program = || Ok(Command::new("/no/such/program"));
    let refusal = Isolated::start(&file.projects[0], &file.engines[0], Box::new(program), LONG)
        .err()
        .context("not refused")?;
    ensure!(refusal.reason.contains("cannot be started") && refusal.reason.contains("project p engine e"));
    Ok(())
}

fn ends() -> Result<()> {
    let file = file("e");
    let engine = start(&file)?;
    engine.add_task(&file.tasks[0], LONG)?;
    engine.add_task(&file.tasks[3], LONG)?;
    engine.start_task(&name("t"), &processes(), LONG)?;
    engine.start_task(&name("u"), &[], LONG)?;
    let refusal = ask(&engine, "abort").err().context("not refused")?;
    ensure!(refusal.reason.contains("SIGABRT") && refusal.reason.contains("stop the project"), "{refusal}");
    ensure!(wait_for_trouble(&engine)?.contains("was ended by signal 6 (SIGABRT)"));
    // As long as anything of it is said to run, nothing is run again.
    for result in [engine.add_task(&file.tasks[0], LONG), engine.start_task(&name("t"), &[], LONG)] {
        ensure!(result.err().context("not refused")?.reason.contains("SIGABRT"));
    }
    engine.stop_task(&name("u"));
    engine.stop_task(&name("t"));
    ensure!(engine.settle(LONG).is_none());
    engine.start_task(&name("t"), &processes(), LONG)?;
    ensure!(engine.trouble().is_none());
    let told = ask(&engine, "told")?;
    let words: Vec<String> =
        told.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    ensure!(words == ["make e", "add t", "add u", "start t"], "{told}");
    Ok(())
}

fn ends_in_a_call() -> Result<()> {
    let mut file = file("e");
    let engine = start(&file)?;
    file.tasks[0].name = name("aborts");
    engine.add_task(&file.tasks[0], LONG)?;
    let refusal = engine.start_task(&name("aborts"), &[], LONG).err().context("not refused")?;
    ensure!(refusal.reason.contains("SIGABRT") && refusal.class == FaultClass::Internal, "{refusal}");
    ensure!(refusal.reason.contains("repair the plugin"), "{refusal}");
    Ok(())
}

fn ends_between_starts() -> Result<()> {
    let file = file("e");
    let engine = start(&file)?;
    engine.add_task(&file.tasks[0], LONG)?;
    engine.add_task(&file.tasks[3], LONG)?;
    engine.start_task(&name("t"), &[], LONG)?;
    ensure!(ask(&engine, "abort").is_err());
    ensure!(engine.start_task(&name("u"), &[], LONG).is_err());
    engine.stop_task(&name("t"));
    engine.start_task(&name("t"), &[], LONG)?;
    engine.start_task(&name("u"), &[], LONG)?;
    Ok(())
}

/// Waits until there is no process `pid`, not even a zombie.
fn wait_for_end(pid: &str) -> Result<()> {
    let place = std::path::Path::new("/proc").join(pid);
    WallClock::new().wait_until(LONG, "the process goes", || Ok(!place.exists()))?;
    Ok(())
}

fn goes() -> Result<()> {
    let engine = start(&file("e"))?;
    let pid = ask(&engine, "pid")?;
    drop(engine);
    wait_for_end(&pid)
}

fn hangs() -> Result<()> {
    let file = file("hanging");
    let program = || {
        let mut command = Command::new(env::current_exe()?);
        command.env(MARK, "1");
        Ok(command)
    };
    let started = Isolated::start(&file.projects[0], &file.engines[0], Box::new(program), Duration::ZERO);
    let refusal = started.err().context("not refused")?;
    let pid = refusal.reason.split_whitespace().find(|word| word.parse::<u32>().is_ok());
    ensure!(refusal.reason.contains("does not answer"), "{refusal}");
    wait_for_end(pid.context("a pid")?)
}
