//! Tasks of an engine damon over a scripted machine.

use super::*;
use crate::contract::Engine;
use crate::figures::MOVED;
use crate::reason::ReasonName;
use crate::{EngineError, FaultClass, ScanLocks};
use etmem_config::ConfigFile;
use etmem_core::address::AddressRange;
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::monitoring::{Action, Bounds, Done, Region};
use etmem_core::kernel::probe::Access;
use etmem_core::kernel::process::{Pid, ProcessError};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess};
use std::path::Path;

const PROJECT: &str = "[project]\nname=p\nscan_type=region\nsample_interval=5000\naggr_interval=100000\n\
                       update_interval=2000000\nmin_nr_regions=10\nmax_nr_regions=1000\n";

fn file(project: &str, engine: &str) -> ConfigFile {
    let tasks: String = ["a", "b"]
        .map(|name| format!("[task]\nproject=p\nengine=damon\nname={name}\ntype=name\nvalue={name}\n"))
        .concat();
    let text = format!(
        "{project}[engine]\nproject=p\nname=damon\nmin_size=4096\nmax_size=1073741824\nmin_acc=0\nmax_acc=1\n\
         min_age=20\nmax_age=100000\n{engine}\n{tasks}"
    );
    etmem_config::parse(Path::new("test.yaml"), &text, &crate::keys()).unwrap()
}

/// The engine, and the work of its two tasks, which name the processes `a` and `b`.
fn works(keys: &str) -> (Box<dyn Engine>, [Box<dyn TaskRunner>; 2]) {
    let file = file(PROJECT, keys);
    let engine = crate::engine(&file.engines[0], &ScanLocks::default()).unwrap();
    let work = |number: usize| engine.work(&file.projects[0], &file.tasks[number]).unwrap();
    let works = [work(0), work(1)];
    (engine, works)
}

fn process(pid: u32, name: &str) -> FakeProcess {
    FakeProcess::new(pid, name, 0x1000_0000, 1024, |_, _| Access::IDLE)
}

fn machine() -> FakeMachine {
    FakeMachine::new(FakeMachine::roomy(), vec![process(42, "a"), process(43, "b"), process(44, "b")])
}

fn watched(machine: &FakeMachine) -> Vec<u32> {
    machine.monitoring().watched.iter().map(|process| process.pid.get()).collect()
}

fn done_of(report: &StepReport) -> u64 {
    report.figures().get(super::super::report::FIGURES[2]).unwrap_or(0)
}

#[test]
fn one_monitor_watches_the_processes_of_all_tasks() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let (_engine, [mut a, mut b]) = works("action=pageout");
    let kernel = machine.kernel();
    let first = a.step(&kernel, &pacer);
    assert_eq!((watched(&machine), first.processes.len()), (vec![42], 1));
    b.step(&kernel, &pacer);
    let (report, of_b) = (a.step(&kernel, &pacer), b.step(&kernel, &pacer));
    assert_eq!((watched(&machine), machine.monitoring().begun), (vec![42, 43, 44], 1));
    assert_eq!((done_of(&report), done_of(&of_b)), (2 << 20, 0), "the first reports what was done");
    assert_eq!(of_b.processes.len(), 2);
    let text = report.processes[0].text.to_string();
    assert_eq!(text, "the kernel watches it, action pageout; 4 MiB in memory, 0 MiB in swap");
    assert_eq!(a.period(), Duration::from_secs(2));
    // The lead passes on, and with the last task all is taken back.
    drop(a);
    assert_eq!(done_of(&b.step(&kernel, &pacer)), 2 << 20);
    assert_eq!(watched(&machine), [43, 44]);
    drop(b);
    assert_eq!(machine.monitoring().set, None);
}

#[test]
fn what_the_keys_say_is_set() {
    let machine = machine();
    let (_engine, [mut a, _]) = works("action=cold\nmax_rate=50m\nmax_cpu=5");
    a.step(&machine.kernel(), &FakePacer::endless());
    let (attributes, scheme) = machine.monitoring().set.unwrap();
    assert_eq!(attributes.regions, Bounds { min: 10, max: 1000 });
    assert_eq!(
        [attributes.sample, attributes.aggregation, attributes.update].map(|time| time.as_micros()),
        [5_000, 100_000, 2_000_000]
    );
    assert_eq!((scheme.action, scheme.size), (Action::Cold, Bounds { min: 4096, max: 1 << 30 }));
    assert_eq!((scheme.accesses, scheme.age), (Bounds { min: 0, max: 1 }, Bounds { min: 20, max: 100_000 }));
    assert_eq!(scheme.quota.bytes_per_second, Some(50 << 20));
    assert_eq!(scheme.quota.time_per_second, Some(Duration::from_millis(50)));
    let (_engine, [mut a, _]) = works("action=pageout");
    a.step(&machine.kernel(), &FakePacer::endless());
    assert_eq!(machine.monitoring().set.unwrap().1.quota, etmem_core::kernel::monitoring::Quota::default());
}

#[test]
fn paging_out_pauses_while_swap_is_full() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let (_engine, [mut a, _]) = works("action=pageout");
    let full = MemoryState { swap_free: 1 << 30, ..FakeMachine::roomy() };
    machine.set_memory(full);
    let report = a.step(&machine.kernel(), &pacer);
    assert!(!machine.monitoring().acts && watched(&machine) == [42], "it watches on");
    assert_eq!(report.processes[0].reason.as_ref().map(|reason| reason.name), Some(ReasonName::SwapUse));
    assert!(report.events[0].text.to_string().starts_with("the action is paused: "), "{report:?}");
    machine.set_memory(FakeMachine::roomy());
    let report = a.step(&machine.kernel(), &pacer);
    assert!(machine.monitoring().acts && report.processes[0].reason.is_none(), "{report:?}");
    // What needs no swap goes on.
    machine.set_memory(full);
    let (_engine, [mut cold, _]) = works("action=cold");
    cold.step(&machine.kernel(), &pacer);
    assert!(machine.monitoring().acts);
}

#[test]
fn what_left_and_what_was_refaulted_is_counted_and_stops_the_rest() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let (_engine, [mut a, _]) = works("action=pageout\nmax_refault=0");
    let mut step = || {
        let report = a.step(&machine.kernel(), &pacer);
        let _ = pacer.pause(Duration::from_secs(1));
        report
    };
    step();
    machine.change(42, |process| process.swapped[..512].fill(true));
    assert_eq!(step().figures().get(&MOVED), Some(2 << 20));
    machine.change(42, |process| {
        process.swapped.fill(false);
        process.major_faults += 512;
    });
    let report = step();
    assert_eq!(report.figures().get(&crate::figures::REFAULTED), Some(2 << 20));
    assert!(!machine.monitoring().acts, "nothing more is paged out");
    let reason = report.processes[0].reason.as_ref().map(|reason| reason.name);
    assert_eq!(reason, Some(ReasonName::TooManyRefaults));
}

#[test]
fn a_refusal_of_the_kernel_is_said_and_all_is_set_up_again() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let (_engine, [mut a, _]) = works("action=pageout");
    a.step(&machine.kernel(), &pacer);
    let refused = ProcessError::refused("DAMON is in use by another program", "1 kdamonds are set up");
    machine.change_monitoring(|kernel| kernel.fails = Some(refused.clone()));
    let report = a.step(&machine.kernel(), &pacer);
    assert_eq!(report.processes[0].result, ProcessResult::Lost(refused));
    machine.change_monitoring(|kernel| kernel.fails = None);
    let report = a.step(&machine.kernel(), &pacer);
    assert_eq!((report.processes[0].result.word(), machine.monitoring().begun), ("watched", 2));
}

#[test]
fn regions_are_listed_for_stat_alone() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let region = Region { range: AddressRange::new(0x1000, 0x3000), accesses: 7, age: 9 };
    machine.change_monitoring(|kernel| kernel.regions = vec![region]);
    for (keys, want) in [("action=stat", true), ("action=pageout", false)] {
        let (engine, [mut a, _]) = works(keys);
        assert!(engine.command(None, "showregions").unwrap().starts_with("no regions yet"));
        a.step(&machine.kernel(), &pacer);
        let text = engine.command(None, "showregions").unwrap();
        assert_eq!(text.contains("0x1000") && text.contains("0x3000"), want, "{text}");
    }
    let (engine, _) = works("action=stat");
    assert_eq!(
        engine.command(None, "showhostpages").unwrap_err().to_string(),
        "engine damon has no command showhostpages; it has: showregions"
    );
}

#[test]
fn a_process_of_two_tasks_is_reported_once() {
    let (machine, pacer) = (machine(), FakePacer::endless());
    let (_engine, [mut a, mut b]) = works("action=pageout");
    machine.change(44, |process| process.parent = Pid::new(42));
    let kernel = machine.kernel();
    a.step(&kernel, &pacer);
    let report = b.step(&kernel, &pacer);
    let words: Vec<&str> = report.processes.iter().map(|one| one.result.word()).collect();
    assert_eq!(words, ["watched", "elsewhere"]);
}

#[test]
fn it_needs_a_project_of_regions() {
    let file = file("[project]\nname=p\nloop=1\ninterval=1\nsleep=1\n", "action=stat");
    let engine = crate::engine(&file.engines[0], &ScanLocks::default()).unwrap();
    let error = engine.work(&file.projects[0], &file.tasks[0]).unwrap_err();
    assert_eq!(error, EngineError::ScanType { engine: "damon", needed: "region" });
    assert_eq!(error.class(), FaultClass::InvalidParameters);
}

#[test]
fn nothing_is_done_after_a_stop() {
    let machine = machine();
    let (_engine, [mut a, _]) = works("action=pageout");
    let pacer = FakePacer::stopping_after(0);
    let _ = pacer.pause(Duration::ZERO);
    assert!(a.step(&machine.kernel(), &pacer).stopped);
    assert_eq!(machine.monitoring().begun, 0);
    let none = Done::default();
    machine.change_monitoring(|kernel| kernel.done = none);
    let report = a.step(&machine.kernel(), &FakePacer::endless());
    assert_eq!(done_of(&report), 0);
}
