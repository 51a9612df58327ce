//! The reasons that the daemon itself has for telling nothing of a task's work, each brought about.

use super::super::hosting_tests::Script as PluginScript;
use super::{ENGINE, PROJECT, Registry, Scripted, TASK, all, file, name, registry_with};
use crate::task_show::task_show;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::Access;
use etmem_engine::ReasonName;
use etmem_linux::pacer::SystemPacer;
use etmem_testkit::fake::{FakeMachine, FakeProcess, FakeTriggers, Script};
use etmem_wire::TaskForm;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

fn registry(script: Script) -> Registry {
    let process = FakeProcess::new(42, "mysqld", 0x7f00_0000_0000, 600, script);
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]);
    Registry::new(Arc::new(Scripted {
        machine,
        lacks: None,
        plugins: Arc::default(),
        triggers: FakeTriggers::default(),
    }))
}

/// The task of project p, as `--json` shows it.
fn shown(registry: &Registry) -> Value {
    let tasks = registry.tasks(&name("p"), None).unwrap();
    serde_json::from_str(&task_show(&name("p"), &tasks, TaskForm::Json)).unwrap()
}

fn assert_reason(registry: &Registry, state: &str, reason: ReasonName) {
    let shown = shown(registry);
    assert_eq!((&shown["state"], &shown["reason"]["name"]), (&state.into(), &reason.word().into()));
}

#[test]
fn before_the_start_and_in_the_first_cycle() {
    let mut registry = registry(|_, _| Access::IDLE);
    let long = PROJECT.replace("interval=1\n", "interval=1200\n");
    registry.add(&file(&format!("{long}{ENGINE}{TASK}"))).unwrap();
    assert_reason(&registry, "stopped", ReasonName::NotStarted);
    registry.start(&name("p")).unwrap();
    assert_reason(&registry, "working", ReasonName::FirstCycle);
    registry.shut_down(Duration::from_secs(60));
}

#[test]
fn a_thread_that_ended_by_a_fault() {
    let mut registry = registry(|_, _| panic!("a fault that this test wants"));
    registry.add(&all()).unwrap();
    registry.start(&name("p")).unwrap();
    let clock = SystemPacer::new();
    while shown(&registry)["state"] != "failed" && clock.now() < Duration::from_secs(60) {
        assert_eq!(clock.pause(Duration::from_millis(20)), Pace::Continue);
    }
    assert_reason(&registry, "failed", ReasonName::Failed);
    registry.shut_down(Duration::from_secs(60));
}

#[test]
fn a_plugin_works_alone() {
    let mut registry = registry_with(&Arc::<PluginScript>::default());
    let engine = "[engine]\nproject=p\nname=thirdparty\neng_name=x\nlibname=/lib/x.so\nops_name=ops\n";
    let task = "[task]\nproject=p\nengine=x\nname=t\ntype=pid\nvalue=42\n";
    registry.add(&file(&format!("{PROJECT}{engine}{task}"))).unwrap();
    registry.start(&name("p")).unwrap();
    assert_reason(&registry, "hosted", ReasonName::Hosted);
    registry.shut_down(Duration::from_secs(60));
}
