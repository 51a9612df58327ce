//! Tasks over the same control groups.

use super::*;

fn task(task: &str, group: &str) -> String {
    format!("[task]\nproject=p\nengine=slide\nname={task}\ntype=cgroup\nvalue={group}\nT=1\n")
}

fn registry() -> Registry {
    let process = |pid, group: &str| FakeProcess {
        group: group.to_owned(),
        ..FakeProcess::new(pid, "db", 0x7f00_0000_0000, 8, |_, _| Access::IDLE)
    };
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![process(42, "a/b"), process(43, "a/c")]);
    Registry::new(Arc::new(Scripted {
        machine,
        lacks: None,
        plugins: Arc::default(),
        triggers: FakeTriggers::default(),
    }))
}

#[test]
fn groups_of_two_tasks_that_overlap_are_said_at_the_start() {
    for (one, other, want) in [("a/b", "a/c", 0), ("a/*", "a/c", 1), ("a", "a/**", 1), ("a/b", "nothing", 0)]
    {
        let mut registry = registry();
        let tasks = format!("{}{}", task("one", one), task("other", other));
        registry.add(&file(&format!("{PROJECT}{ENGINE}{tasks}"))).unwrap();
        let notes = registry.start(&name("p")).unwrap();
        let said: Vec<_> = notes.iter().filter(|note| note.contains("the same control groups")).collect();
        assert_eq!(said.len(), want, "{one} {other}: {notes:?}");
        if let Some(said) = said.first() {
            assert!(said.contains("task one of project p and task other of project p"), "{said}");
        }
        registry.shut_down(Duration::from_secs(60));
    }
}

#[test]
fn a_task_that_comes_to_a_started_one_is_compared_with_it() {
    let mut registry = registry();
    registry.add(&file(&format!("{PROJECT}{ENGINE}{}", task("one", "a/*")))).unwrap();
    assert_eq!(registry.start(&name("p")).unwrap(), Vec::<String>::new());
    let notes = registry.add(&file(&task("other", "a/b"))).unwrap();
    assert!(notes.iter().any(|note| note.contains("(process 42 is in both)")), "{notes:?}");
    registry.shut_down(Duration::from_secs(60));
}
