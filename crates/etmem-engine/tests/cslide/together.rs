//! The tasks of an engine go through each cycle together.

use super::stand::{MIB, Memory, file, keys, lying, made, pairs, placed, step, works};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::probe::Access;
use etmem_core::name::Name;
use etmem_engine::{CommandError, ProcessResult, ScanLocks, StepReport, engine};
use etmem_testkit::clock::WallClock;
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess};
use std::thread;
use std::time::Duration;

fn hot(_: u64, _: u64) -> Access {
    Access::WRITTEN
}

fn warm(page: u64, _: u64) -> Access {
    if page.is_multiple_of(2) { Access::READ } else { Access::IDLE }
}

fn task(name: &str, pid: u32) -> String {
    format!("name={name}\ntype=pid\nvalue={pid}")
}

/// Two processes of 50 MiB on the slow node: 42 is hot, 43 warm at half of its pages.
fn machine() -> FakeMachine {
    let process = |pid, script| Memory::Base.process(pid, 50 * MIB, script).placed(|_| 1);
    let nodes = vec![Memory::Base.node(0, true, 100 * MIB), Memory::Base.node(1, false, 400 * MIB)];
    FakeMachine::new(FakeMachine::roomy(), vec![process(42, hot), process(43, warm)]).with_nodes(nodes)
}

fn found(report: &StepReport) -> Vec<u32> {
    report.processes.iter().map(|one| one.process.pid.get()).collect()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[test]
fn one_leads_for_all_and_the_hottest_of_all_go_first() {
    let machine = machine();
    let file = file(&keys("1,0", 60, 0), &[&task("a", 43), &task("b", 42)]);
    let engine = made(&file);
    let mut works = works(&file, &*engine);
    assert!(works[0].step(&machine.kernel(), &FakePacer::stopping_after(0)).stopped, "leads from now on");
    // Waits for what the leader does for it, in vain as long as that does not run.
    let pacer = FakePacer::stopping_after(2);
    assert!(works[1].step(&machine.kernel(), &pacer).stopped);
    assert_eq!(pacer.pauses().len(), 3);

    let report = step(&mut *works[0], &machine);
    assert_eq!((found(&report), pairs(&report).len()), (vec![43], 1));
    // The quota is for both together; process 42 counts more.
    assert_eq!(lying(&machine, &[42], 0, |_| true), 50 * MIB);
    assert_eq!(lying(&machine, &[43], 0, |_| true), 10 * MIB);
    // The other finds its own part, without a wait and without a cycle of its own.
    let pacer = FakePacer::endless();
    let report = works[1].step(&machine.kernel(), &pacer);
    assert_eq!((found(&report), pairs(&report).len(), pacer.pauses().len()), (vec![42], 0, 0));
    assert_eq!(machine.process(42).unwrap().windows, 3);
}

#[test]
fn who_starts_together_is_in_the_first_cycle() {
    let machine = machine();
    let file = file(&keys("1,0", 60, 0), &[&task("a", 43), &task("b", 42)]);
    let mut works = works(&file, &*made(&file));
    for work in &mut works {
        work.prepare(&machine.kernel()).unwrap();
    }
    assert_eq!(found(&step(&mut *works[0], &machine)), [43]);
    let pacer = FakePacer::endless();
    assert_eq!((found(&works[1].step(&machine.kernel(), &pacer)), pacer.pauses().len()), (vec![42], 0));
}

#[test]
fn who_stops_passes_the_lead_on() {
    let machine = machine();
    let file = file(&keys("1,0", 60, 0), &[&task("a", 42), &task("b", 43)]);
    let mut works = works(&file, &*made(&file));
    step(&mut *works[0], &machine);
    assert!(works[1].step(&machine.kernel(), &FakePacer::stopping_after(0)).stopped, "somebody leads");
    works.remove(0);
    let windows = machine.process(42).unwrap().windows;
    assert_eq!(found(&step(&mut *works[0], &machine)), [43]);
    assert_eq!(machine.process(42).unwrap().windows, windows, "its task is gone");
}

#[test]
fn real_threads_take_turns_and_end() {
    let machine = machine();
    let tasks: Vec<String> = (0..8).map(|n| task(&format!("t{n}"), 42 + n % 2)).collect();
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let file = file(&keys("1,0", 60, 0), &tasks);
    let works = works(&file, &*made(&file));
    let clock = WallClock::new();
    let reports: Vec<usize> = thread::scope(|scope| {
        let (machine, clock) = (&machine, &clock);
        let threads: Vec<_> = works
            .into_iter()
            .map(|mut work| {
                scope.spawn(move || {
                    // Each its own: what makes a cycle pass at once must not make the others miss it.
                    let pacer = Hasty(clock);
                    (0..3).filter(|_| !work.step(&machine.kernel(), &pacer).stopped).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(reports, [3; 8]);
}

/// Waits a thousandth of what it is asked to.
#[derive(Debug)]
struct Hasty<'a>(&'a WallClock);

impl Pacer for Hasty<'_> {
    fn pause(&self, duration: Duration) -> Pace {
        self.0.pause(duration / 1000)
    }

    fn pace(&self) -> Pace {
        self.0.pace()
    }

    fn now(&self) -> Duration {
        self.0.now()
    }
}

#[test]
fn a_process_that_two_tasks_name_belongs_to_the_first() {
    let machine = machine();
    let file = file(&keys("1,0", 60, 0), &[&task("a", 42), "name=b\ntype=name\nvalue=qemu"]);
    let mut works = works(&file, &*made(&file));
    step(&mut *works[0], &machine);
    works[1].step(&machine.kernel(), &FakePacer::stopping_after(0));
    step(&mut *works[0], &machine);
    let report = step(&mut *works[1], &machine);
    assert_eq!(found(&report), [42, 43]);
    assert_eq!(report.processes[0].result, ProcessResult::Elsewhere("a".to_owned()));
    assert!(matches!(report.processes[1].result, ProcessResult::WorkedOn("placed")));
}

#[test]
fn huge_pages_are_not_an_ordinary_tasks_business() {
    let huge = FakeProcess::huge(42, "qemu", 0x7f00_0000_0000, 50, hot).placed(|_| 1);
    let mut nodes = vec![Memory::Base.node(0, true, 400 * MIB), Memory::Base.node(1, false, 400 * MIB)];
    for node in &mut nodes {
        (node.huge_pool.total, node.huge_pool.free) = (400 * MIB, 400 * MIB);
    }
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![huge]).with_nodes(nodes);
    for (flags, moved) in [("", 0), ("\nvm_flags=ht", 100 * MIB), ("\nvm_flags=ht mm", 0)] {
        let file = file(&keys("1,0", 1000, 0), &[&(task("a", 42) + flags)]);
        let report = step(&mut *works(&file, &*made(&file))[0], &machine);
        assert_eq!(placed(&report, 0).up.bytes, moved, "{flags:?}");
    }
}

#[test]
fn both_kinds_of_memory_share_the_quota_and_not_the_room() {
    let huge = FakeProcess::huge(42, "qemu", 0x7f00_0000_0000, 50, hot).placed(|_| 1);
    let base = FakeProcess::new(43, "redis", 0x7f00_0000_0000, 25_600, hot).placed(|_| 1);
    let mut nodes = vec![Memory::Base.node(0, true, 20 * MIB), Memory::Base.node(1, false, 400 * MIB)];
    for node in &mut nodes {
        (node.huge_pool.total, node.huge_pool.free) = (400 * MIB, 400 * MIB);
    }
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![base, huge]).with_nodes(nodes);
    let huge = task("a", 42) + "\nvm_flags=ht";
    let file = file(&keys("1,0", 70, 0), &[&huge, &task("b", 43)]);
    let mut works = works(&file, &*made(&file));
    for work in &mut works {
        assert!(work.step(&machine.kernel(), &FakePacer::stopping_after(0)).stopped);
    }
    for (huge, ordinary) in [(70, 0), (30, 20)] {
        let report = step(&mut *works[0], &machine);
        let up: Vec<(&str, u64)> = pairs(&report).iter().map(|pair| (pair.memory, pair.up.bytes)).collect();
        assert_eq!(up, [("huge pages", huge * MIB), ("ordinary memory", ordinary * MIB)]);
    }
    assert_eq!(lying(&machine, &[42], 0, |_| true), 100 * MIB);
}

#[test]
fn what_the_engine_tells() {
    let machine = machine();
    let file = file(&keys("1,0", 60, 0), &[&task("a", 42), &task("b", 43)]);
    let engine = made(&file);
    let mut works = works(&file, &*engine);
    let tells = |task: Option<&str>, command: &str| engine.command(task.map(name).as_ref(), command);
    assert_eq!(tells(Some("a"), "showtaskpages").unwrap(), "task a: no scan is complete yet\n");
    assert_eq!(tells(None, "showhostpages").unwrap(), "no scan is complete yet\n");

    works[1].step(&machine.kernel(), &FakePacer::endless());
    let _ = works[0].step(&machine.kernel(), &FakePacer::stopping_after(0));
    works[1].step(&machine.kernel(), &FakePacer::endless());
    // 42 has come up by now, as far as the quota of the second cycle went, and half of 43 before it.
    let rows = |text: &str| -> Vec<String> { text.lines().skip(1).map(str::to_owned).collect() };
    assert_eq!(
        rows(&tells(Some("b"), "showtaskpages").unwrap()),
        [
            " node       used        hot       cold",
            "    0      51200      25600      25600",
            "    1          0          0          0",
        ]
    );
    let host = tells(None, "showhostpages").unwrap();
    assert!(host.starts_with("[Thu Nov 20 23:17:00 2026] host pages info (KB):\n"), "{host}");
    assert_eq!(rows(&host).len(), 3);
    let text = tells(Some("a"), "showtaskpages").unwrap();
    assert!(text.starts_with("[Thu Nov 20 23:17:00 2026] task 42 pages info (KB):\n"), "{text}");

    assert_eq!(tells(None, "showtaskpages"), Err(CommandError::NeedsTask("showtaskpages")));
    assert_eq!(
        tells(None, "showpages").unwrap_err().to_string(),
        "engine cslide has no command showpages; it has: showtaskpages, showhostpages"
    );
    works.clear();
    assert_eq!(tells(Some("a"), "showtaskpages").unwrap(), "task a: no scan is complete yet\n");
}

#[test]
fn reports_say_where_the_pages_lie() {
    let machine = machine();
    let file = file(&keys("1,0", 7, 64), &["name=all\ntype=name\nvalue=qemu"]);
    let engine = made(&file);
    let mut works = works(&file, &*engine);
    for _ in 0..6 {
        step(&mut *works[0], &machine);
        let text = engine.command(Some(&name("all")), "showtaskpages").unwrap();
        for (node, row) in (0..).zip(text.lines().skip(2)) {
            let cells: Vec<u64> = row.split_whitespace().map(|cell| cell.parse().unwrap()).collect();
            let hot = lying(&machine, &[42], node, |_| true)
                + lying(&machine, &[43], node, |page| page.is_multiple_of(2));
            let all = lying(&machine, &[42, 43], node, |_| true);
            assert_eq!(cells, [u64::from(node), all >> 10, hot >> 10, (all - hot) >> 10]);
        }
    }
}

#[test]
fn no_two_tasks_wait_for_each_other() {
    // Two engines over the same two processes, each holding its turns until its pages have moved.
    let machine = machine();
    let clock = WallClock::new();
    let turns = ScanLocks::default();
    let file = file(&keys("1,0", 60, 0), &["name=all\ntype=name\nvalue=qemu"]);
    let engines = [(); 2].map(|()| engine(&file.engines[0], &turns).unwrap());
    thread::scope(|scope| {
        for engine in &engines {
            let mut work = engine.work(&file.projects[0], &file.tasks[0]).unwrap();
            let (machine, clock) = (&machine, &clock);
            scope.spawn(move || {
                for _ in 0..5 {
                    let report = work.step(&machine.kernel(), &Hasty(clock));
                    assert_eq!(found(&report), [42, 43]);
                }
            });
        }
    });
}
