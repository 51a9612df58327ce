//! The registry, stepped by hand over a scripted machine.

mod change;
mod cslide;
mod groups;
mod reasons;

use super::hosting_tests::{RecordingEngine, Script};
use super::{Denied, Registry};
use crate::machine::Machine;
use crate::task_show::ShownRun;
use etmem_config::{ConfigFile, EngineSection, ListedObjects, ProjectSection};
use etmem_core::kernel::nodes::NumaNodes;
use etmem_core::kernel::probe::Access;
use etmem_core::kernel::process::{ProcessId, ProcessTable};
use etmem_core::kernel::trigger::{Trigger, TriggerWait};
use etmem_core::kernel::wishes::{Choice, Chosen, Wishes};
use etmem_core::name::Name;
use etmem_engine::Hosted;
use etmem_plugin::SharedProject;
use etmem_testkit::fake::{FakeMachine, FakeProcess, FakeTriggers};
use etmem_wire::{ErrorKind, project_show};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Scripted {
    machine: FakeMachine,
    lacks: Option<&'static str>,
    plugins: Arc<Script>,
    triggers: FakeTriggers,
}

impl Machine for Scripted {
    fn processes(&self) -> &dyn ProcessTable {
        &self.machine
    }

    fn nodes(&self) -> &dyn NumaNodes {
        &self.machine
    }

    fn kernel(&self, _: &Wishes) -> Result<Chosen, String> {
        let choice = |name| Choice { name, reason: "the only one".to_owned() };
        match self.lacks {
            Some(what) => Err(what.to_owned()),
            None => {
                Ok(Chosen { kernel: self.machine.kernel(), probe: choice("fake"), mover: choice("unreal") })
            }
        }
    }

    fn triggers(&self, triggers: &[Trigger]) -> io::Result<Box<dyn TriggerWait>> {
        Ok(Box::new(self.triggers.wait(triggers.len())))
    }

    fn plugin(
        &self,
        _: &ProjectSection,
        section: &EngineSection,
        _: &Arc<SharedProject>,
        _: Duration,
    ) -> Result<Arc<dyn Hosted>, etmem_engine::Refusal> {
        RecordingEngine::make(&section.name, &self.plugins)
    }
}

pub(super) fn registry_with(plugins: &Arc<Script>) -> Registry {
    let process = FakeProcess::new(42, "mysqld", 0x7f00_0000_0000, 600, |_, _| Access::IDLE);
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]);
    Registry::new(Arc::new(Scripted {
        machine,
        lacks: None,
        plugins: Arc::clone(plugins),
        triggers: FakeTriggers::default(),
    }))
}

fn registry_that(lacks: Option<&'static str>) -> Registry {
    let process = FakeProcess::new(42, "mysqld", 0x7f00_0000_0000, 600, |_, _| Access::IDLE);
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]);
    Registry::new(Arc::new(Scripted {
        machine,
        lacks,
        plugins: Arc::default(),
        triggers: FakeTriggers::default(),
    }))
}

fn registry() -> Registry {
    registry_that(None)
}

pub(super) fn file(text: &str) -> ConfigFile {
    etmem_config::parse(Path::new("t.yaml"), text, &etmem_engine::keys()).unwrap()
}

const PROJECT: &str = "[project]\nname=p\nloop=1\ninterval=1\nsleep=1\n";
const ENGINE: &str = "[engine]\nproject=p\nname=slide\n";
const TASK: &str = "[task]\nproject=p\nengine=slide\nname=t\ntype=pid\nvalue=42\nT=1\n";

pub(super) fn listed(text: &str) -> ListedObjects {
    etmem_config::parse_names(Path::new("t.yaml"), text, &etmem_engine::keys()).unwrap()
}

pub(super) fn all() -> ConfigFile {
    file(&format!("{PROJECT}{ENGINE}{TASK}"))
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn shown(registry: &Registry) -> String {
    project_show(&registry.show(None, false), None)
}

fn running(registry: &Registry) -> usize {
    registry.running()
}

#[test]
fn the_life_of_a_project() {
    let mut registry = registry();
    registry.add(&all()).unwrap();
    assert!(
        shown(&registry)
            .contains("1        pid      42               t                slide            false")
    );
    assert_eq!(registry.start(&name("p")).unwrap(), Vec::<String>::new());
    assert!(shown(&registry).contains("true"));
    assert_eq!(running(&registry), 1);
    assert_eq!(registry.start(&name("p")).unwrap_err().kind(), ErrorKind::ProjectStarted);
    registry.stop(&name("p")).unwrap();
    assert_eq!(running(&registry), 0);
    assert_eq!(registry.stop(&name("p")).unwrap_err().kind(), ErrorKind::ProjectStopped);
    registry.start(&name("p")).unwrap();
    registry.delete(&listed(&format!("{PROJECT}{ENGINE}{TASK}"))).unwrap();
    assert_eq!(shown(&registry), "no project exists\n\n");
    registry.shut_down(Duration::from_secs(60));
}

/// A task means the process that had its number when it was added.
#[test]
fn a_pid_of_another_process_at_the_start_is_not_the_target() {
    let process = FakeProcess::new(42, "mysqld", 0x7f00_0000_0000, 600, |_, _| Access::IDLE);
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![process.clone()]);
    let scripted = Scripted {
        machine: machine.clone(),
        lacks: None,
        plugins: Arc::default(),
        triggers: FakeTriggers::default(),
    };
    let mut registry = Registry::new(Arc::new(scripted));
    registry.add(&all()).unwrap();
    let id = ProcessId { start_time: process.id.start_time + 1, ..process.id };
    machine.start(FakeProcess { id, ..process });
    let notes = registry.start(&name("p")).unwrap();
    assert!(notes.len() == 1 && notes[0].ends_with("add it again if that one is meant"), "{notes:?}");
    assert!(shown(&registry).contains("pid      42"), "it is shown as it was written");
    registry.delete(&listed(&format!("{PROJECT}{ENGINE}{TASK}"))).unwrap();
    registry.add(&all()).unwrap();
    assert_eq!(registry.start(&name("p")).unwrap(), Vec::<String>::new());
    registry.shut_down(Duration::from_secs(60));
}

#[test]
fn what_is_refused_and_how() {
    let edited = |text: &str, edit: &str| {
        let (from, to) = edit.split_once('|').unwrap();
        file(&text.replace(from, to))
    };
    let task = |edit| edited(TASK, edit);
    for (config, kind, words) in [
        (file(PROJECT), ErrorKind::ProjectExists, "t.yaml:1: project p exists already"),
        (file(ENGINE), ErrorKind::EngineExists, "t.yaml:1: project p has an engine slide already"),
        (file(TASK), ErrorKind::TaskExists, "t.yaml:1: engine slide of project p has a task t already"),
        (
            file(&ENGINE.replace("project=p", "project=q")),
            ErrorKind::NoSuchProject,
            "t.yaml:1: there is no project q",
        ),
        (task("project=p|project=q"), ErrorKind::NoSuchProject, "t.yaml:1: there is no project q"),
        (task("engine=slide|engine=mine"), ErrorKind::NoSuchEngine, "t.yaml:1: project p has no engine mine"),
        (
            edited(&format!("{PROJECT}{ENGINE}{TASK}"), "name=p\n|name=r\n"),
            ErrorKind::EngineExists,
            "t.yaml:6: project p has an engine slide",
        ),
    ] {
        let mut registry = registry();
        registry.add(&all()).unwrap();
        let before = shown(&registry);
        let denied = registry.add(&config).unwrap_err();
        assert_eq!(denied.kind(), kind, "{denied}");
        assert!(denied.to_string().starts_with(words), "{denied}");
        assert_eq!(shown(&registry), before, "nothing has changed");
    }
}

#[test]
fn an_add_is_all_or_nothing() {
    let good = format!("{PROJECT}{ENGINE}{TASK}");
    for (bad, kind, words) in [
        (TASK.replace("T=1", "T=4"), ErrorKind::Internal, "t.yaml:15: [task] T=4: must be 0..=3"),
        (
            TASK.replace("42", "43"),
            ErrorKind::InvalidParameters,
            "t.yaml:14: [task] value=43: there is no process 43",
        ),
        (TASK.to_owned() + TASK, ErrorKind::TaskExists, "t.yaml:16: "),
        (TASK.to_owned() + ENGINE, ErrorKind::EngineExists, "t.yaml:16: "),
    ] {
        for started in [false, true] {
            let mut registry = registry();
            if started {
                registry.add(&file(&PROJECT.replace("=p", "=other"))).unwrap();
                registry.start(&name("other")).unwrap();
            }
            let before = shown(&registry);
            let denied = registry.add(&file(&format!("{PROJECT}{ENGINE}{bad}"))).unwrap_err();
            assert_eq!(denied.kind(), kind, "{denied}");
            assert!(denied.to_string().starts_with(words), "{denied}");
            assert_eq!(shown(&registry), before);
            registry.add(&file(&good)).unwrap();
        }
    }
}

#[test]
fn a_task_added_to_a_started_project_starts_at_once() {
    let mut registry = registry();
    registry.add(&file(PROJECT)).unwrap();
    assert_eq!(registry.start(&name("p")).unwrap(), ["project p has no task yet"]);
    let waits = TASK.replace("pid\nvalue=42", "name\nvalue=nobody");
    let notes = registry.add(&file(&format!("{ENGINE}{waits}"))).unwrap();
    assert_eq!(notes, ["task t: no process named nobody yet; waiting for it"]);
    assert_eq!(running(&registry), 1);
    // Refused, while the other task goes on.
    let two =
        TASK.replace("name=t\n", "name=u\n") + &TASK.replace("name=t\n", "name=v\n").replace("T=1", "T=9");
    registry.add(&file(&two)).unwrap_err();
    assert_eq!(running(&registry), 1);
}

#[test]
fn a_delete_deletes_what_there_is_and_reports_the_rest() {
    let mut registry = registry();
    registry.add(&all()).unwrap();
    registry.start(&name("p")).unwrap();
    let missing = registry
        .delete(&listed(&(TASK.replace("name=t\n", "name=u\n") + TASK + &ENGINE.replace("=p", "=q"))))
        .unwrap_err();
    let kinds: Vec<ErrorKind> = missing.iter().map(Denied::kind).collect();
    assert_eq!(kinds, [ErrorKind::NoSuchTask, ErrorKind::NoSuchProject]);
    assert_eq!(running(&registry), 0);
    let shows = registry.show(None, false);
    assert_eq!((shows.len(), shows[0].engines.len(), shows[0].engines[0].tasks.len()), (1, 1, 0));
}

#[test]
fn a_delete_looks_at_names_alone() {
    let mut registry = registry();
    registry.add(&all()).unwrap();
    let edited = TASK.replace("T=1", "T=nine").replace("42", "43") + "colour=red\n";
    registry.delete(&listed(&edited)).unwrap();
    registry.delete(&listed(&PROJECT.replace("loop=1", "loop=0"))).unwrap();
    assert!(registry.show(None, false).is_empty());
}

#[test]
fn a_project_is_deleted_by_its_name() {
    let mut registry = registry();
    registry.add(&all()).unwrap();
    registry.start(&name("p")).unwrap();
    let denied = registry.delete_project(&name("q")).unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::NoSuchProject);
    registry.delete_project(&name("p")).unwrap();
    assert!(registry.show(None, false).is_empty());
    registry.shut_down(Duration::from_secs(60));
}

#[test]
fn a_project_of_etmem_1_0() {
    let text = "options:\n\tloop : 1\n\tinterval : 1\n\tsleep : 1\n\tpolicies:\n\t\ttype : pid\n\t\tvalue : 42\n\
                \t\tengine : slide\n\t\tparam :\n\t\t\tT : 1\n";
    let project =
        etmem_config::parse_older(Path::new("t.yaml"), text, &name("old"), &etmem_engine::keys()).unwrap();
    let mut registry = registry();
    registry.add(&project).unwrap();
    assert_eq!(registry.add(&project).unwrap_err().kind(), ErrorKind::ProjectExists);
    registry.start(&name("old")).unwrap();
    assert_eq!(running(&registry), 1);
    registry.delete_project(&name("old")).unwrap();
    registry.shut_down(Duration::from_secs(60));
}

/// A hundred thousand of them would take minutes if each was compared with all others.
#[test]
fn a_file_of_many_tasks() {
    const TASKS: usize = 100_000;
    let tasks: String = (0..TASKS).map(|n| TASK.replace("name=t\n", &format!("name=t{n}\n"))).collect();
    let mut registry = registry();
    registry.add(&file(&format!("{PROJECT}{ENGINE}{tasks}"))).unwrap();
    assert_eq!(registry.show(None, false)[0].engines[0].tasks.len(), TASKS);
    let denied = registry.start(&name("p")).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "100000 tasks are to start and 0 run; at most 1024 run at once: stop others, or start fewer"
    );
    assert_eq!((denied.kind(), running(&registry)), (ErrorKind::Internal, 0));
    registry.delete(&listed(&tasks)).unwrap();
    registry.start(&name("p")).unwrap();
    registry.add(&file(&tasks)).unwrap_err();
    assert!(registry.show(None, false)[0].engines[0].tasks.is_empty());
}

#[test]
fn the_newest_is_shown_first() {
    let mut registry = registry();
    registry.add(&all()).unwrap();
    registry.add(&file(&TASK.replace("name=t\n", "name=u\n"))).unwrap();
    registry.add(&file(&PROJECT.replace("=p", "=q"))).unwrap();
    let projects: Vec<String> =
        registry.show(None, false).iter().map(|project| project.name.to_string()).collect();
    assert_eq!(projects, ["q", "p"]);
    let tasks: Vec<String> = registry.show(Some(&name("p")), false)[0].engines[0]
        .tasks
        .iter()
        .map(|task| task.name.to_string())
        .collect();
    assert_eq!(tasks, ["u", "t"]);
    assert!(registry.show(Some(&name("nobody")), false).is_empty());
}

#[test]
fn a_machine_that_cannot_says_so_and_nothing_starts() {
    let mut registry = registry_that(Some("this machine cannot run it: no BTF"));
    registry.add(&all()).unwrap();
    let denied = registry.start(&name("p")).unwrap_err();
    assert_eq!(
        (denied.kind(), denied.to_string()),
        (ErrorKind::Internal, "project p task t: this machine cannot run it: no BTF".into())
    );
    assert!(shown(&registry).contains("false"));
}

#[test]
fn how_a_task_sees_and_moves_is_shown_on_demand() {
    let mut registry = registry();
    registry.add(&all()).unwrap();
    let remarks = |registry: &Registry| registry.show(None, true)[0].remarks.clone();
    assert_eq!(remarks(&registry), ["task t: not started"]);
    registry.start(&name("p")).unwrap();
    assert_eq!(remarks(&registry), ["task t: tracker fake (the only one), mover unreal (the only one)"]);
    assert!(registry.show(None, false)[0].remarks.is_empty());
}

#[test]
fn tasks_are_shown_without_a_wait() {
    let mut registry = registry();
    registry.add(&all()).unwrap();
    registry.add(&file(&TASK.replace("name=t\n", "name=u\n").replace("T=1", "T=1\ndry_run=yes"))).unwrap();
    let shown = |registry: &Registry, task: Option<&str>| registry.tasks(&name("p"), task.map(name).as_ref());
    let tasks = shown(&registry, None).unwrap();
    let names: Vec<(&str, bool, bool)> =
        tasks.iter().map(|task| (task.task.as_str(), task.dry_run, task.running.is_some())).collect();
    assert_eq!(names, [("u", true, false), ("t", false, false)], "newest first");
    registry.start(&name("p")).unwrap();
    // The first cycle takes a second and more: what is there at once is there all the same.
    let running = shown(&registry, Some("t")).unwrap().remove(0).running;
    let Some(ShownRun::Worked(running)) = running else { panic!("a worker works for it") };
    assert_eq!((running.probe.name, running.standing.status.cycles), ("fake", 0));
    let missing = shown(&registry, Some("v")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NoSuchTask);
    assert_eq!(missing.to_string(), "project p has no task v: see etmem project show");
    assert_eq!(registry.tasks(&name("q"), None).unwrap_err().kind(), ErrorKind::NoSuchProject);
}

#[test]
fn engine_commands() {
    let mut registry = registry();
    registry.add(&all()).unwrap();
    let ask = |registry: &Registry, engine: &str, task: Option<&str>| {
        let task = task.map(name);
        match registry.command(&name("p"), &name(engine), "showtaskpages", task.as_ref()) {
            Ok(_) => panic!("answered"),
            Err(denied) => denied.kind(),
        }
    };
    assert_eq!(ask(&registry, "slide", Some("t")), ErrorKind::InvalidParameters, "does not run");
    assert_eq!(ask(&registry, "cslide", None), ErrorKind::NoSuchEngine);
    assert_eq!(ask(&registry, "slide", Some("u")), ErrorKind::NoSuchTask);
    registry.start(&name("p")).unwrap();
    assert_eq!(ask(&registry, "slide", Some("t")), ErrorKind::InvalidParameters, "slide has no commands");
}
