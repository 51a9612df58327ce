//! Waits on files of a folder in place of the kernel's.

use super::MachineTriggers;
use crate::pacer::SystemPacer;
use crate::root::{ProcRoot, Roots, SysRoot};
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::kernel::trigger::{Fired, GroupPath, Stalled, Trigger, Woken};
use parking_lot::Mutex;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A clock that is 7 s later each time that it is read, so that no wait takes time.
#[derive(Debug, Default)]
struct Hurried(Mutex<Duration>);

impl Pacer for Hurried {
    fn pause(&self, _: Duration) -> Pace {
        Pace::Continue
    }

    fn pace(&self) -> Pace {
        Pace::Continue
    }

    fn now(&self) -> Duration {
        let mut now = self.0.lock();
        *now += Duration::from_secs(7);
        *now
    }
}

const LONG: Duration = Duration::from_secs(1200);
const GROUP: &str = "sys/fs/cgroup/db.slice";

fn machine(tree: &Path) -> MachineTriggers {
    fs::create_dir_all(tree.join("sys/fs/cgroup")).unwrap();
    fs::create_dir_all(tree.join("proc/pressure")).unwrap();
    MachineTriggers(Roots { proc: ProcRoot::new(tree.join("proc")), sys: SysRoot::new(tree.join("sys")) })
}

fn write(tree: &Path, file: &str, text: &str) {
    let path = tree.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn usage(mib: u64) -> Trigger {
    Trigger::Usage { group: GroupPath::new("db.slice").unwrap(), bytes: mib << 20 }
}

fn fired(place: usize, evidence: &str) -> Woken {
    Woken::Fired(Fired { place, evidence: evidence.to_owned() })
}

fn memory(tree: &Path, free_kib: u64) {
    write(tree, "proc/meminfo", &format!("MemTotal: 1048576 kB\nMemFree: {free_kib} kB\n"));
}

#[test]
fn a_threshold_fires_on_the_way_up_alone() {
    let tree = tempfile::tempdir().unwrap();
    let (tree, clock) = (tree.path(), Hurried::default());
    write(tree, "sys/fs/cgroup/cgroup.controllers", "memory\n");
    let current = format!("{GROUP}/memory.current");
    let use_mib = |mib: u64| fs::write(tree.join(&current), format!("{}\n", mib << 20)).unwrap();
    write(tree, &current, "");
    use_mib(700);
    memory(tree, 600_000);
    let triggers = [Trigger::Free { below_percent: 50 }, usage(512)];
    let mut wait = machine(tree).watch(&triggers).unwrap();
    assert_eq!(wait.faults(), [None, None]);
    assert_eq!(wait.wait(LONG, &clock), Woken::Timer, "it was above when the task started");
    use_mib(511);
    assert_eq!(wait.wait(LONG, &clock), Woken::Timer);
    use_mib(512);
    assert_eq!(wait.wait(LONG, &clock), fired(1, "its memory is 512 MiB"));
    use_mib(900);
    assert_eq!(wait.wait(LONG, &clock), Woken::Timer, "it stayed above");
    memory(tree, 500_000);
    assert_eq!(wait.wait(LONG, &clock), fired(0, "488 MiB are free"));
    assert_eq!(wait.wait(LONG, &clock), Woken::Timer);
}

#[test]
fn what_cannot_be_watched_is_said_and_tried_again() {
    let tree = tempfile::tempdir().unwrap();
    let (tree, clock) = (tree.path(), Hurried::default());
    let group = || GroupPath::new("db.slice").unwrap();
    let pressure = |group| Trigger::Pressure {
        stalled: Stalled::Some,
        stall: Duration::from_millis(150),
        window: Duration::from_secs(2),
        group,
    };
    let triggers = [usage(512), pressure(None), pressure(Some(group())), Trigger::High { group: group() }];
    let machine = machine(tree);
    let reasons = |wants: [&str; 4]| {
        let wait = machine.watch(&triggers).unwrap();
        let faults = wait.faults();
        for (fault, want) in faults.iter().zip(wants) {
            assert!(fault.as_ref().is_some_and(|fault| fault.contains(want)), "{fault:?}: {want}");
        }
        wait
    };
    let no_group = "cgroup2) are not mounted";
    reasons([no_group, "boot with psi=1", no_group, no_group]);
    write(tree, "sys/fs/cgroup/cgroup.controllers", "memory\n");
    let no_group = "there is no control group ";
    reasons([no_group, "boot with psi=1", no_group, no_group]);
    write(tree, &format!("{GROUP}/cgroup.pressure"), "0\n");
    let mut wait = reasons([
        "memory.current: the group has no memory controller",
        "pressure/memory: No such file",
        "PSI is switched off for the group",
        "memory.events: the group has no memory controller",
    ]);
    // With the first of these, the threshold that was crossed meanwhile has fired.
    write(tree, &format!("{GROUP}/memory.current"), &(600u64 << 20).to_string());
    assert_eq!(wait.wait(LONG, &clock), fired(0, "its memory is 600 MiB"));
    assert_eq!(wait.faults()[0], None);
    write(tree, &format!("{GROUP}/memory.events"), "low 0\nhigh 7\nmax 0\n");
    assert_eq!(wait.wait(LONG, &clock), Woken::Changed);
    assert!(wait.faults()[0].is_none() && wait.faults()[3].is_none(), "{:?}", wait.faults());
    assert_eq!(wait.wait(LONG, &clock), Woken::Timer, "what stays as it is, is no news");
}

#[test]
fn an_event_and_a_stop_end_a_wait_at_once() {
    let tree = tempfile::tempdir().unwrap();
    let (tree, clock) = (tree.path(), SystemPacer::new());
    write(tree, "sys/fs/cgroup/cgroup.controllers", "memory\n");
    let events = format!("{GROUP}/memory.events");
    write(tree, &events, "low 0\nhigh 7\nmax 0\n");
    let triggers = [Trigger::High { group: GroupPath::new("db.slice").unwrap() }];
    let mut wait = machine(tree).watch(&triggers).unwrap();
    write(tree, &events, "low 0\nhigh 8\nmax 0\n");
    assert_eq!(
        wait.wait(Duration::ZERO, &clock),
        Woken::Timer,
        "what the cycle may have caused does not count"
    );
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait.wait(LONG, &clock));
        // Whether it is written before the wait begins or after, one of the writes is an event.
        for high in 9.. {
            if waiting.is_finished() {
                break;
            }
            // In one write, as the kernel shows it.
            let text = format!("low 0\nhigh {high:<9}\nmax 0\n");
            let file = fs::File::options().write(true).open(tree.join(&events)).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, text.as_bytes(), 0).unwrap();
        }
        let woken = waiting.join().unwrap();
        assert!(
            matches!(&woken, Woken::Fired(fired) if fired.evidence.starts_with("over memory.high")),
            "{woken:?}"
        );
    });
    let (bell, stopped) = (wait.interrupt(), SystemPacer::new());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait.wait(LONG, &stopped));
        stopped.stop();
        bell.interrupt();
        assert_eq!(waiting.join().unwrap(), Woken::Stop);
    });
}
