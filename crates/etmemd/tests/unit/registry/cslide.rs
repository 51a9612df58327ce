//! Engine cslide from a file to its answers, in whole bytes; its tasks run on threads of their own.

use super::{PROJECT, Registry, Scripted, file, listed, name};
use crate::dispatch::{Reply, dispatch};
use etmem_core::kernel::nodes::Node;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::Access;
use etmem_linux::pacer::SystemPacer;
use etmem_testkit::fake::{FakeMachine, FakeProcess, FakeTriggers, fake_node};
use etmem_wire::{ErrorKind, Request};
use std::sync::Arc;
use std::time::Duration;

const MIB: u64 = 1 << 20;

const ENGINE: &str = "[engine]\nproject=p\nname=cslide\nnode_pair=0,1\nhot_threshold=1\nnode_mig_quota=64\n\
                      node_hot_reserve=16\n";
const VM: &str = "[task]\nproject=p\nengine=cslide\nname=vm\ntype=pid\nvalue=4711\nvm_flags=ht\n";
const OTHER: &str = "[task]\nproject=p\nengine=cslide\nname=other\ntype=name\nvalue=redis-server\n";

fn half(page: u64, _: u64) -> Access {
    if page.is_multiple_of(2) { Access::READ } else { Access::IDLE }
}

/// 16 MiB of huge pages in process 4711 and 8 MiB of others in 4712, all on node 1; half of each is hot.
fn machine() -> FakeMachine {
    let vm = FakeProcess::huge(4711, "qemu-kvm", 0x7f00_0000_0000, 8, half).placed(|_| 1);
    let other = FakeProcess::new(4712, "redis-server", 0x7f00_0000_0000, 2048, half).placed(|_| 1);
    let node = |id, has_processors| fake_node(id, has_processors, 32 * MIB, 1024 * MIB);
    let mut nodes: Vec<Node> = vec![node(0, true), node(1, false)];
    nodes[0].huge_pool.free = 28 * MIB;
    FakeMachine::new(FakeMachine::roomy(), vec![vm, other]).with_nodes(nodes)
}

fn registry(machine: &FakeMachine) -> Registry {
    Registry::new(Arc::new(Scripted {
        machine: machine.clone(),
        lacks: None,
        plugins: Arc::default(),
        triggers: FakeTriggers::default(),
    }))
}

fn ask(registry: &mut Registry, command: &str, task: &str) -> Vec<u8> {
    let line = format!("proj_name p file_name - cmd 5 eng_name cslide eng_cmd {command} task_name {task}");
    match dispatch(registry, &mut None, &Request::decode(line.as_bytes()).unwrap()) {
        Reply::Response(response) => response.encode(),
        Reply::Later(pending) => pending.wait().encode(),
    }
}

/// Asks until a scan is complete: the text, and the last byte.
fn told(registry: &mut Registry, command: &str, task: &str, want: &str) -> (String, u8) {
    let clock = SystemPacer::new();
    loop {
        let mut bytes = ask(registry, command, task);
        let status = bytes.pop().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        if text.contains(want) || clock.now() > Duration::from_secs(60) {
            return (text, status);
        }
        assert_eq!(clock.pause(Duration::from_millis(20)), Pace::Continue);
    }
}

/// The text without its time, which must be there in the form of `asctime`: `[Thu Nov 20 23:17:00 2026]`.
fn timeless(text: &str) -> &str {
    let (time, rest) = text.strip_prefix('[').unwrap().split_once("] ").unwrap();
    let pattern = "Aaa Aaa 99 99:99:99 9999";
    let class = |c: char| match c {
        'a'..='z' => 'a',
        'A'..='Z' => 'A',
        '0'..='9' => '9',
        other => other,
    };
    let shape: String = time.chars().map(class).collect();
    assert!(shape == pattern || shape == pattern.replace(" 99 ", "  9 "), "{time}");
    rest
}

#[test]
fn where_pages_lie_in_whole_bytes() {
    let machine = machine();
    let mut registry = registry(&machine);
    registry.add(&file(&format!("{PROJECT}{ENGINE}{VM}{OTHER}"))).unwrap();
    let invalid = |bytes: &[u8], reason: &str| {
        let want = format!("error: invalid parameters\n{reason}");
        assert_eq!(
            (String::from_utf8_lossy(&bytes[..bytes.len() - 1]), bytes.last()),
            (want.into(), Some(&0xFE))
        );
    };
    let start_first = "project p does not run: start it first (etmem project start)";
    invalid(&ask(&mut registry, "showhostpages", "-"), start_first);

    let decision = "engine cslide: node 0 is fast and node 1 slow: node 1 has no processors";
    assert_eq!(registry.start(&name("p")).unwrap(), [decision]);
    assert_eq!(registry.show(None, true)[0].remarks[2], decision);

    // What is hot has come up, and with it as much cold memory as finds room beyond the reserve of 16 MiB: of huge
    // pages 28 MiB were free, so that 4 MiB of them do; of the others 32 were, and all do.
    let (text, status) = told(&mut registry, "showtaskpages", "vm", "    0      12288");
    assert_eq!(
        (timeless(&text), status),
        (
            "task 4711 pages info (KB):\n\
             \x20node       used        hot       cold\n\
             \x20   0      12288       8192       4096\n\
             \x20   1       4096          0       4096\n",
            0xFF
        )
    );
    let (text, _) = told(&mut registry, "showtaskpages", "other", "    0       8192");
    assert_eq!(
        timeless(&text),
        "task redis-server pages info (KB):\n\
         \x20node       used        hot       cold\n\
         \x20   0       8192       4096       4096\n\
         \x20   1          0          0          0\n"
    );
    let (text, _) = told(&mut registry, "showhostpages", "-", "    0    1048576      20480");
    assert_eq!(
        timeless(&text),
        "host pages info (KB):\n\
         \x20node      total       used        hot       cold\n\
         \x20   0    1048576      20480      12288       8192\n\
         \x20   1    1048576       4096          0       4096\n"
    );

    let no_task = "showtaskpages is about one task: name it with -t";
    invalid(&ask(&mut registry, "showtaskpages", "-"), no_task);
    let unknown = "engine cslide has no command showpages; it has: showtaskpages, showhostpages";
    invalid(&ask(&mut registry, "showpages", "vm"), unknown);
    let missing = String::from_utf8_lossy(&ask(&mut registry, "showtaskpages", "vn")).into_owned();
    assert!(missing.starts_with(&ErrorKind::NoSuchTask.to_string()), "{missing}");

    // A task that is deleted is not in the figures any more, whichever task led.
    registry.delete(&listed(VM)).unwrap();
    let (text, _) = told(&mut registry, "showhostpages", "-", "    0    1048576       8192");
    assert!(text.ends_with("    1    1048576          0          0          0\n"), "{text}");
    registry.delete(&listed(OTHER)).unwrap();
    invalid(&ask(&mut registry, "showhostpages", "-"), "engine cslide of project p has no task");
    registry.shut_down(Duration::from_secs(60));
}

#[test]
fn nodes_that_are_not_there_are_refused_with_the_file() {
    let machine = machine();
    let mut registry = registry(&machine);
    let wrong = ENGINE.replace("node_pair=0,1", "node_pair=0,7");
    let denied = registry.add(&file(&format!("{PROJECT}{wrong}{VM}"))).unwrap_err();
    let want = "t.yaml:6: [engine] node_pair=0,7: there is no node 7 with memory; this machine has 0, 1";
    assert_eq!((denied.to_string().as_str(), denied.kind()), (want, ErrorKind::Internal));
    assert!(registry.show(None, false).is_empty(), "nothing of it remains");

    // One that has gone by the time of the start.
    registry.add(&file(&format!("{PROJECT}{ENGINE}{VM}"))).unwrap();
    machine.change_nodes(|nodes| drop(nodes.pop()));
    let denied = registry.start(&name("p")).unwrap_err();
    assert!(denied.to_string().ends_with("there is no node 1 with memory; this machine has 0"), "{denied}");
    assert!(!registry.show(None, false)[0].started);
}

#[test]
fn a_stop_during_a_scan_ends_all_tasks_and_a_start_begins_again() {
    let machine = machine();
    let mut registry = registry(&machine);
    registry
        .add(&file(&format!("{}{ENGINE}{VM}{OTHER}", PROJECT.replace("interval=1", "interval=1200"))))
        .unwrap();
    for _ in 0..3 {
        registry.start(&name("p")).unwrap();
        let answer = ask(&mut registry, "showhostpages", "-");
        assert_eq!(String::from_utf8_lossy(&answer[..answer.len() - 1]), "no scan is complete yet\n");
        registry.stop(&name("p")).unwrap();
    }
    // Within the deadline, though a look is twenty minutes away.
    let clock = SystemPacer::new();
    registry.shut_down(Duration::from_secs(60));
    assert!(clock.now() < Duration::from_secs(60));
}
