//! Cycles of a memdcd task over a scripted machine.

use super::*;
use crate::reason::ReasonName;
use etmem_core::kernel::probe::Access;
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess};
use std::path::Path;

const START: u64 = 0x1000_0000;

fn runner(keys: &str) -> Box<dyn TaskRunner> {
    let text = format!(
        "[project]\nname=p\nloop=3\ninterval=1\nsleep=9\n[engine]\nproject=p\nname=memdcd\n\
         [task]\nproject=p\nengine=memdcd\nname=t\ntype=name\nvalue=db\nSock=-\n{keys}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &crate::keys()).unwrap();
    let engine = crate::engine(&file.engines[0], &ScanLocks::default()).unwrap();
    engine.work(&file.projects[0], &file.tasks[0]).unwrap()
}

/// Of its pages the first hundred are read, the others idle.
fn process(pid: u32, pages: usize) -> FakeProcess {
    let script = |page, _| if page < 100 { Access::READ } else { Access::IDLE };
    let flags = ["rd", "us"].map(|flag| VmFlag::new(flag).unwrap()).to_vec();
    FakeProcess { flags, ..FakeProcess::new(pid, "db", START, pages, script) }
}

fn machine(processes: Vec<FakeProcess>) -> FakeMachine {
    FakeMachine::new(FakeMachine::roomy(), processes)
}

fn reasons(report: &StepReport) -> Vec<Option<ReasonName>> {
    report.processes.iter().map(|one| one.reason.as_ref().map(|reason| reason.name)).collect()
}

fn sent(report: &StepReport) -> Vec<(u64, u64)> {
    let sent = report.processes.iter().filter_map(|one| one.text.value::<Sent>());
    sent.map(|sent| (sent.messages, sent.memory >> 12)).collect()
}

#[test]
fn counts_of_all_looks_reach_the_decider() {
    let machine = machine(vec![process(42, 600), process(43, 7)]);
    let mut runner = runner("");
    let report = runner.step(&machine.kernel(), &FakePacer::endless());
    assert_eq!((reasons(&report), sent(&report)), (vec![None, None], vec![(2, 600), (1, 7)]));
    let messages = machine.decider().messages;
    assert!(messages.iter().all(|(name, bytes)| name.bytes() == b"_memdcd.server" && bytes.len() == 12_336));
    let number =
        |message: usize, at: usize| i32::from_ne_bytes(messages[message].1[at..at + 4].try_into().unwrap());
    let pid_status = |message| (number(message, 8), number(message, 40));
    assert_eq!([0, 1, 2].map(pid_status), [(42, 0), (42, 2), (43, 0)]);
    // The counts of the first page, and of page 100: three looks.
    assert_eq!((number(0, 48 + 16), number(0, 48 + 100 * 24 + 16)), (3, 0));
    assert_eq!(
        report.processes[0].text.to_string(),
        "scanned 2 MiB, sent 2 MiB in 2 of 2 messages to @_memdcd.server"
    );
    assert!(machine.process(42).unwrap().swapped_pages().is_empty());
    assert_eq!(runner.period(), Duration::from_secs(9));
}

#[test]
fn only_what_the_flags_say_is_looked_at() {
    let machine = machine(vec![process(42, 9)]);
    for (keys, want) in [("vm_flags=rd us", 1), ("vm_flags=rd", 1), ("vm_flags=rd wr", 0)] {
        let before = machine.decider().messages.len();
        let report = runner(keys).step(&machine.kernel(), &FakePacer::endless());
        assert_eq!(machine.decider().messages.len() - before, want, "{keys}");
        let suits = if want == 0 { Some(ReasonName::NothingSuitable) } else { None };
        assert_eq!(reasons(&report), [suits], "{keys}");
    }
}

/// As in the original, a round ends with the first message that is refused, and the next cycle begins it again.
#[test]
fn a_refusal_ends_the_round_of_the_process() {
    let machine = machine(vec![process(42, 1600)]);
    let name = AbstractName::new("_memdcd.server").unwrap();
    machine.decider_fails(1, Unanswered::Refused { name, text: "failed".into() });
    let mut runner = runner("");
    let report = runner.step(&machine.kernel(), &FakePacer::endless());
    assert_eq!((reasons(&report), sent(&report)), (vec![Some(ReasonName::Decider)], vec![(1, 512)]));
    assert_eq!(machine.decider().messages.len(), 2);
    let text = report.processes[0].text.to_string();
    assert!(text.ends_with("1 of 4 messages to @_memdcd.server; the decider at @_memdcd.server answered \"failed\", not \"success\""), "{text}");
}

#[test]
fn a_silent_decider_is_waited_for_once_a_cycle() {
    let machine = machine(vec![process(42, 9), process(43, 9), process(44, 9)]);
    let name = AbstractName::new("_memdcd.server").unwrap();
    machine.decider_fails(0, Unanswered::Late { name, limit: ANSWER_LIMIT });
    let mut runner = runner("");
    for cycle in 1..=2 {
        let report = runner.step(&machine.kernel(), &FakePacer::endless());
        assert_eq!(reasons(&report), [Some(ReasonName::Decider); 3]);
        assert_eq!(machine.decider().messages.len(), cycle);
        let keys: Vec<&str> =
            report.processes.iter().flat_map(|one| &one.events).map(|event| &*event.key).collect();
        assert!(keys.iter().all(|key| *key == keys[0]), "one line for all: {keys:?}");
    }
}

#[test]
fn a_stop_is_heeded_at_every_wait() {
    let words = |pauses| {
        let machine = machine(vec![process(42, 9)]);
        let report = runner("").step(&machine.kernel(), &FakePacer::stopping_after(pauses));
        (report.processes[0].result.word(), machine.decider().messages.len())
    };
    // An interval before the first look, and one before each of the others.
    assert_eq!([0, 1, 2, 3].map(words), [("stopped", 0), ("stopped", 0), ("stopped", 0), ("sent", 1)]);
}
