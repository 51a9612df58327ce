//! A task of tiers over scripted devices.

use super::report::{BUDGET_LEFT, COMPRESSED, DISK_READ_BACK, FREED_SLOTS, ON_DISK, SUNK};
use crate::figures::WOULD_MOVE;
use crate::report::{Level, StepReport};
use crate::{ReasonName, ScanLocks, TaskRunner, engine};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::sinking::{SinkRefusal, Sinking};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeSinking, FakeZram};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PAGE: u64 = 4096;

fn runner(keys: &str) -> Box<dyn TaskRunner> {
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=60\n[engine]\nproject=p\nname=tiers\n\
         [task]\nproject=p\nengine=tiers\nname=t\ntype=machine\nsink_rate=none\n{keys}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &crate::keys()).unwrap();
    let tiers = engine(&file.engines[0], &ScanLocks::default()).unwrap();
    tiers.work(&file.projects[0], &file.tasks[0]).unwrap()
}

struct Stand {
    runner: Box<dyn TaskRunner>,
    pacer: Arc<FakePacer>,
    zram: FakeSinking,
    kernel: Kernel,
}

impl Stand {
    /// A task with `keys` over `device`, after the machine has run for `seconds`.
    fn new(device: FakeZram, keys: &str, seconds: u64) -> Self {
        let pacer = Arc::new(FakePacer::endless());
        let _ = pacer.pause(Duration::from_secs(seconds));
        let zram = FakeSinking::new(vec![device], pacer.clone());
        let sinking: Option<Arc<dyn Sinking>> = Some(Arc::new(zram.clone()));
        let kernel = Kernel { sinking, ..FakeMachine::new(FakeMachine::roomy(), Vec::new()).kernel() };
        Self { runner: runner(keys), pacer, zram, kernel }
    }

    fn step(&mut self) -> StepReport {
        self.runner.step(&self.kernel, &*self.pacer)
    }

    fn wait(&self, seconds: u64) {
        let _ = self.pacer.pause(Duration::from_secs(seconds));
    }

    fn written(&self) -> Vec<u32> {
        self.zram.first().unwrap().written.iter().map(|(_, slot)| *slot).collect()
    }
}

fn reason(report: &StepReport) -> Option<ReasonName> {
    report.devices.as_ref().unwrap()[0].reason.as_ref().map(|reason| reason.name)
}

fn figure(report: &StepReport, row: &'static crate::figures::Row) -> u64 {
    report.figures().get(row).unwrap()
}

#[test]
fn what_is_old_enough_is_written_the_oldest_first_and_nothing_else() {
    let mut stand = Stand::new(FakeZram::new(10_000, 1000), "sink_after=10m\nsink_high=100", 1100);
    let report = stand.step();
    assert_eq!(stand.written(), (0..=500).collect::<Vec<_>>());
    assert_eq!(figure(&report, &SUNK), 501 * PAGE);
    assert_eq!((figure(&report, &ON_DISK), figure(&report, &COMPRESSED)), (501 * PAGE, 499 * PAGE));
    assert_eq!(reason(&report), None);
    let text = report.devices.as_ref().unwrap()[0].text.to_string();
    assert_eq!(
        text,
        "1 MiB in memory as 0 MiB (4 % full), 1 MiB on disk, 1 MiB of it written now, the oldest untouched for 1100 s"
    );
    let report = stand.step();
    assert_eq!((figure(&report, &SUNK), reason(&report)), (0, Some(ReasonName::NothingOld)));
    stand.wait(10);
    stand.zram.change(|zram| zram.disk_reads = 7);
    assert_eq!(figure(&stand.step(), &DISK_READ_BACK), 7 * PAGE);
    assert_eq!(stand.written(), (0..=510).collect::<Vec<_>>());
    assert_eq!(stand.zram.first().unwrap().limit, None, "put back");
}

#[test]
fn too_full_it_goes_down_to_the_low_mark_whatever_the_age() {
    let mut stand = Stand::new(FakeZram::new(1000, 950), "sink_after=none\nsink_high=90\nsink_low=70", 1000);
    let report = stand.step();
    assert_eq!(stand.written(), (0..250).collect::<Vec<_>>());
    assert_eq!((figure(&report, &SUNK), reason(&report)), (250 * PAGE, None));
    assert_eq!(figure(&stand.step(), &SUNK), 0, "between the marks it is left alone");
    // By the memory that it may take: 700 pages take 175.
    stand.zram.change(|zram| zram.memory_limit = 180 * PAGE);
    stand.step();
    let zram = stand.zram.first().unwrap();
    assert_eq!(zram.pages.values().filter(|(_, on_disk)| !on_disk).count(), 504, "of which a quarter is 126");
}

#[test]
fn a_day_has_its_budget_said_once_and_kept_over_a_restart() {
    let keys = "sink_after=1s\nsink_high=100\nsink_per_day=1m";
    let mut stand = Stand::new(FakeZram::new(10_000, 600), keys, 1000);
    let report = stand.step();
    assert_eq!((stand.written().len(), reason(&report)), (256, Some(ReasonName::SinkBudget)));
    assert_eq!((figure(&report, &SUNK), figure(&report, &BUDGET_LEFT)), (1 << 20, 0));
    assert_eq!(figure(&report, &ON_DISK), 1 << 20, "also where the cycle ended early");
    let warned = |report: &StepReport| {
        let events = &report.devices.as_ref().unwrap()[0].events;
        let warned: Vec<_> = events.iter().filter(|event| event.level == Level::Warn).collect();
        assert_eq!(warned.len(), 1);
        assert_eq!(warned[0].repeated, None, "one message while it lasts");
        warned[0].key.clone()
    };
    assert_eq!(warned(&report), warned(&stand.step()));
    let known = stand.runner.remembered(&stand.kernel, false).unwrap();
    assert_eq!(stand.runner.remembered(&stand.kernel, false), None, "no news");
    stand.runner = runner(keys);
    stand.runner.recall(&known, Duration::ZERO, &stand.kernel).unwrap();
    assert_eq!(figure(&stand.step(), &SUNK), 0);
    stand.wait(23 * 3600);
    assert_eq!(figure(&stand.step(), &SUNK), 0);
    stand.wait(2 * 3600);
    assert_eq!(figure(&stand.step(), &SUNK), 1 << 20);
    assert!(runner(keys).recall(b"\xff", Duration::ZERO, &stand.kernel).is_err());
}

#[test]
fn a_rate_holds_and_a_cycle_ends_in_time() {
    let mut stand =
        Stand::new(FakeZram::new(100_000, 65_536), "sink_after=1s\nsink_high=100\nsink_rate=1m", 70_000);
    let before = stand.pacer.now();
    let report = stand.step();
    let took = (stand.pacer.now() - before).as_secs();
    assert_eq!(reason(&report), Some(ReasonName::Later));
    let sunk = figure(&report, &SUNK);
    assert!((60..=64).contains(&took), "{took}");
    assert!(sunk <= (took + 2) << 20 && sunk >= 50 << 20, "{sunk} bytes in {took} s");
}

#[test]
fn every_refusal_ends_the_cycle_with_what_was_done() {
    for (change, sunk, name) in [
        (
            (|zram| zram.can_sink = Err(SinkRefusal::NotBuilt)) as fn(&mut FakeZram),
            0,
            ReasonName::NoWriteback,
        ),
        (|zram| zram.can_sink = Err(SinkRefusal::NoDisk), 0, ReasonName::NoBackingDevice),
        (|zram| zram.can_sink = Err(SinkRefusal::NoAges("x".into())), 0, ReasonName::NoSlotAges),
        (|zram| zram.refuses = Some(SinkRefusal::Busy), 0, ReasonName::WritebackBusy),
        (|zram| zram.refuses = Some(SinkRefusal::LimitReached), 0, ReasonName::WritebackLimit),
        (|zram| zram.fault = Some((5, SinkRefusal::DiskFull)), 5, ReasonName::DiskFull),
        (|zram| zram.fault = Some((5, SinkRefusal::Busy)), 5, ReasonName::WritebackBusy),
        (|zram| zram.fault = Some((5, SinkRefusal::DiskFails("x".into()))), 5, ReasonName::DiskFails),
        (|zram| zram.fault = Some((5, SinkRefusal::LimitReached)), 5, ReasonName::WritebackLimit),
        (|zram| zram.gone_after = Some(5), 5, ReasonName::DeviceGone),
        (|zram| zram.fault = Some((5, SinkRefusal::refused("x", "y"))), 5, ReasonName::KernelRefused),
    ] {
        let mut device = FakeZram::new(1000, 100);
        change(&mut device);
        let mut stand = Stand::new(device, "sink_after=1s", 200);
        let report = stand.step();
        assert_eq!((figure(&report, &SUNK), reason(&report)), (sunk * PAGE, Some(name)));
        assert!(stand.zram.first().is_none_or(|zram| zram.limit.is_none()), "{name} leaves a limit");
    }
}

#[test]
fn slots_that_are_freed_meanwhile_are_counted() {
    let mut device = FakeZram::new(1000, 100);
    device.freed = (0..40).collect();
    let mut stand = Stand::new(device, "sink_after=1s", 200);
    let report = stand.step();
    assert_eq!((figure(&report, &SUNK), figure(&report, &FREED_SLOTS)), (60 * PAGE, 40));
    // All of them.
    let mut device = FakeZram::new(1000, 100);
    device.freed = (0..100).collect();
    let report = Stand::new(device, "sink_after=1s", 200).step();
    assert_eq!((figure(&report, &SUNK), figure(&report, &FREED_SLOTS)), (0, 100));
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_it_would() {
    for (keys, pages) in
        [("sink_after=100s\nsink_high=100", 101), ("sink_after=none\nsink_high=10\nsink_low=5", 50)]
    {
        let mut stand = Stand::new(FakeZram::new(1000, 100), &format!("{keys}\ndry_run=yes"), 200);
        let report = stand.step();
        let want = if pages == 101 { 100 } else { pages };
        assert_eq!((figure(&report, &WOULD_MOVE), reason(&report)), (want * PAGE, Some(ReasonName::DryRun)));
        assert!(stand.written().is_empty() && stand.zram.first().unwrap().limits.is_empty());
    }
}

#[test]
fn a_stop_ends_it_between_two_batches() {
    let clock = Arc::new(FakePacer::stopping_after(3));
    let _ = clock.pause(Duration::from_secs(70_000));
    let zram = FakeSinking::new(vec![FakeZram::new(100_000, 65_536)], clock.clone());
    let sinking: Option<Arc<dyn Sinking>> = Some(Arc::new(zram.clone()));
    let kernel = Kernel { sinking, ..FakeMachine::new(FakeMachine::roomy(), Vec::new()).kernel() };
    let report = runner("sink_after=1s").step(&kernel, &*clock);
    assert_eq!(reason(&report), Some(ReasonName::Stopped));
    let count = zram.first().unwrap().written.len();
    assert!((1..65_536).contains(&count), "{count}");
}

#[test]
fn what_a_person_should_know_before_the_first_cycle() {
    let mut device = FakeZram::new(1000, 100);
    device.can_sink = Err(SinkRefusal::NoDisk);
    let stand = Stand::new(device, "dry_run=yes", 1);
    let notes = stand.runner.notes(&stand.kernel);
    assert_eq!(notes.len(), 2);
    assert!(notes[1].starts_with("task t: zram0: there is no disk behind it"), "{notes:?}");
    let none = FakeSinking::new(Vec::new(), Arc::new(FakePacer::endless()));
    let kernel = Kernel { sinking: Some(Arc::new(none)), ..stand.kernel };
    assert_eq!(runner("").notes(&kernel), ["task t: no zram device is swap yet; waiting for one"]);
    let report = runner("").step(&kernel, &FakePacer::endless());
    assert!(report.is_empty() && report.fault.is_none());
}
