//! Hosted engines in the registry: which calls they receive, in which order, and what a refusal leaves.

use super::tests::{all, file, listed, name, registry_with, shown};
use super::{CommandAnswer, Registry};
use etmem_config::TaskSection;
use etmem_core::kernel::process::ProcessId;
use etmem_core::name::Name;
use etmem_engine::{Hosted, Question, Refusal};
use etmem_wire::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The calls so far, line by line, and what is refused or late.
#[derive(Debug, Default)]
pub(super) struct Script {
    told: Mutex<Vec<String>>,
    refused: Mutex<Option<&'static str>>,
    late: Mutex<bool>,
}

impl Script {
    fn tell(&self, what: String) -> Result<(), Refusal> {
        let refused = *self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match refused {
            Some(start) if what.starts_with(start) => {
                Err(Refusal { reason: format!("refused: {what}"), class: etmem_config::FaultClass::Internal })
            }
            Some(_) | None => Ok(()),
        };
        self.told.lock().unwrap().push(what);
        result
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    fn refuse(&self, what: Option<&'static str>) {
        *self.refused.lock().unwrap() = what;
    }
}

/// An engine that records its calls.
#[derive(Debug)]
pub(super) struct RecordingEngine {
    name: Name,
    script: Arc<Script>,
}

impl RecordingEngine {
    pub(super) fn make(name: &Name, script: &Arc<Script>) -> Result<Arc<dyn Hosted>, Refusal> {
        script.tell(format!("make {name}"))?;
        Ok(Arc::new(Self { name: name.clone(), script: Arc::clone(script) }))
    }

    fn tell(&self, what: &str, task: &Name) -> Result<(), Refusal> {
        self.script.tell(format!("{what} {} {task}", self.name))
    }
}

impl Hosted for RecordingEngine {
    fn add_task(&self, task: &TaskSection, _: Duration) -> Result<(), Refusal> {
        self.tell("add", &task.name)
    }

    fn start_task(&self, task: &Name, processes: &[ProcessId], _: Duration) -> Result<(), Refusal> {
        assert!(processes.iter().all(|process| process.pid.get() == 42));
        self.tell(if processes.is_empty() { "start-without" } else { "start" }, task)
    }

    fn stop_task(&self, task: &Name) {
        let _ = self.tell("stop", task);
    }

    fn remove_task(&self, task: &Name) {
        let _ = self.tell("remove", task);
    }

    fn project_runs(&self, runs: bool) {
        let _ = self.script.tell(format!("runs {} {runs}", self.name));
    }

    fn close(&self) {
        let _ = self.script.tell(format!("close {}", self.name));
    }

    fn settle(&self, _: Duration) -> Option<String> {
        self.script.late.lock().unwrap().then(|| format!("engine {} is late", self.name))
    }

    fn question(&self, task: Option<&Name>, command: &str) -> Question {
        let text = format!("{} {command} {}", self.name, task.map_or("-", Name::as_str));
        Box::new(move || Ok(text))
    }
}

fn engine(of: &str) -> String {
    format!("[engine]\nproject=p\nname=thirdparty\neng_name={of}\nlibname=/lib/x.so\nops_name=ops\n")
}

fn task(of: &str, task: &str) -> String {
    format!("[task]\nproject=p\nengine={of}\nname={task}\ntype=pid\nvalue=42\n")
}

fn project() -> String {
    "[project]\nname=p\nloop=1\ninterval=1\nsleep=1\n".to_owned()
}

fn two_plugins() -> String {
    [project(), engine("x"), engine("y"), task("x", "a"), task("x", "b"), task("y", "c")].concat()
}

#[test]
fn the_life_of_a_project_as_plugins_see_it() {
    let script = Arc::<Script>::default();
    let mut registry = registry_with(&script);
    registry.add(&file(&two_plugins())).unwrap();
    assert_eq!(script.take(), ["make x", "make y", "add x a", "add x b", "add y c"]);
    registry.start(&name("p")).unwrap();
    assert_eq!(script.take(), ["start x a", "start x b", "start y c", "runs x true", "runs y true"]);
    let nobody = task("y", "d").replace("pid\nvalue=42", "name\nvalue=nobody");
    let notes = registry.add(&file(&nobody)).unwrap();
    assert!(notes[0].starts_with("task d: no process named nobody yet; its plugin"), "{notes:?}");
    assert_eq!(script.take(), ["add y d", "start-without y d"]);
    registry.delete(&listed(&task("x", "a"))).unwrap();
    assert_eq!(script.take(), ["stop x a", "remove x a"]);
    assert_eq!(registry.show(None, true)[0].remarks[0], "task d: works by its plugin");
    registry.stop(&name("p")).unwrap();
    assert_eq!(script.take(), ["stop y d", "stop y c", "stop x b", "runs x false", "runs y false"]);
    registry.start(&name("p")).unwrap();
    script.take();
    registry.delete(&listed(&engine("y"))).unwrap();
    assert_eq!(script.take(), ["stop y d", "stop y c", "remove y d", "remove y c", "close y"]);
    registry.delete(&listed(&project())).unwrap();
    assert_eq!(script.take(), ["stop x b", "runs x false", "remove x b", "close x"]);
    assert!(registry.show(None, false).is_empty());
}

#[test]
fn a_shut_down_stops_removes_and_closes() {
    let script = Arc::<Script>::default();
    let mut registry = registry_with(&script);
    registry.add(&file(&two_plugins())).unwrap();
    registry.start(&name("p")).unwrap();
    script.take();
    registry.shut_down(Duration::from_secs(60));
    let want = ["stop y c", "stop x b", "stop x a", "runs x false", "runs y false"];
    let rest = ["remove y c", "close y", "remove x b", "remove x a", "close x"];
    assert_eq!(script.take(), [&want[..], &rest[..]].concat());
}

#[test]
fn a_refusal_leaves_all_as_it_was() {
    let script = Arc::<Script>::default();
    let mut registry = registry_with(&script);
    let refused = |registry: &mut Registry, what, text: &str, told: &[&str]| {
        let before = shown(registry);
        script.refuse(Some(what));
        let denied = registry.add(&file(text)).unwrap_err();
        script.refuse(None);
        assert_eq!((denied.kind(), shown(registry)), (ErrorKind::Internal, before));
        assert!(denied.to_string().contains(&format!("refused: {what}")), "{denied}");
        assert_eq!(script.take(), told);
    };
    refused(&mut registry, "make y", &two_plugins(), &["make x", "make y", "close x"]);
    refused(
        &mut registry,
        "add x b",
        &two_plugins(),
        &["make x", "make y", "add x a", "add x b", "remove x a", "close y", "close x"],
    );
    registry.add(&file(&two_plugins())).unwrap();
    script.take();
    script.refuse(Some("start y c"));
    let denied = registry.start(&name("p")).unwrap_err();
    assert_eq!(denied.to_string(), "refused: start y c");
    script.refuse(None);
    assert_eq!(script.take(), ["start x a", "start x b", "start y c", "stop x b", "stop x a"]);
    assert!(shown(&registry).contains("false") && !shown(&registry).contains("true"));
    registry.start(&name("p")).unwrap();
    script.take();
    refused(&mut registry, "start x d", &task("x", "d"), &["add x d", "start x d", "remove x d"]);
    refused(
        &mut registry,
        "start y e",
        &(task("x", "d") + &task("y", "e")),
        &["add x d", "add y e", "start x d", "start y e", "stop x d", "remove y e", "remove x d"],
    );
    let denied = registry.add(&file(&engine("x"))).unwrap_err();
    assert_eq!((denied.kind(), script.take()), (ErrorKind::EngineExists, Vec::<String>::new()));
}

#[test]
fn an_engine_that_is_late_is_reported_and_everything_is_still_done() {
    let script = Arc::<Script>::default();
    let mut registry = registry_with(&script);
    registry.add(&file(&two_plugins())).unwrap();
    registry.start(&name("p")).unwrap();
    *script.late.lock().unwrap() = true;
    assert_eq!(registry.stop(&name("p")).unwrap(), ["engine y is late", "engine x is late"]);
    assert!(!shown(&registry).contains("true"));
    assert_eq!(registry.delete_project(&name("p")).unwrap(), ["engine x is late", "engine y is late"]);
    assert!(registry.show(None, false).is_empty());
}

#[test]
fn the_answer_to_a_command_is_waited_for_outside_the_registry() {
    let script = Arc::<Script>::default();
    let mut registry = registry_with(&script);
    registry.add(&file(&two_plugins())).unwrap();
    let ask = |registry: &Registry, task: Option<&str>| {
        let task = task.map(name);
        match registry.command(&name("p"), &name("x"), "tell", task.as_ref()) {
            Ok(CommandAnswer::Later(question)) => Ok(question().unwrap()),
            Ok(CommandAnswer::Ready(text)) => panic!("{text}"),
            Err(denied) => Err(denied.kind()),
        }
    };
    assert_eq!(ask(&registry, None), Err(ErrorKind::InvalidParameters));
    registry.start(&name("p")).unwrap();
    assert_eq!(ask(&registry, None), Ok("x tell -".to_owned()));
    assert_eq!(ask(&registry, Some("a")), Ok("x tell a".to_owned()));
    assert_eq!(ask(&registry, Some("c")), Err(ErrorKind::NoSuchTask));
}

#[test]
fn plugins_and_built_in_engines_in_one_project() {
    let script = Arc::<Script>::default();
    let mut registry = registry_with(&script);
    registry.add(&all()).unwrap();
    registry.add(&file(&(engine("x") + &task("x", "a")))).unwrap();
    registry.start(&name("p")).unwrap();
    assert_eq!((registry.running(), script.take().len()), (2, 4));
    registry.stop(&name("p")).unwrap();
    assert_eq!((registry.running(), script.take()), (0, vec!["stop x a".into(), "runs x false".into()]));
    registry.shut_down(Duration::from_secs(60));
}
