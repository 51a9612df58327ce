//! How tiers comes to each of its reasons: a function for each.

use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::ProcessError;
use etmem_core::kernel::sinking::SinkRefusal;
use etmem_engine::{ScanLocks, StepReport, TaskRunner, engine};
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeSinking, FakeZram};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Of a device with 1000 pages, one for each second that the machine has run, and 200 s more.
fn device() -> FakeZram {
    FakeZram::new(100_000, 1000)
}

fn runner(keys: &str) -> Box<dyn TaskRunner> {
    let text = format!(
        "[project]\nname=p\nscan_type=page\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=p\nname=tiers\n\
         [task]\nproject=p\nengine=tiers\nname=t\ntype=machine\n{keys}\n"
    );
    let file = etmem_config::parse(Path::new("test.yaml"), &text, &etmem_engine::keys()).unwrap();
    let tiers = engine(&file.engines[0], &ScanLocks::default()).unwrap();
    tiers.work(&file.projects[0], &file.tasks[0]).unwrap()
}

/// A cycle over `devices` with `keys`, by `pacer`.
fn cycle(devices: Vec<FakeZram>, keys: &str, pacer: FakePacer) -> Vec<StepReport> {
    let pacer = Arc::new(pacer);
    let _ = pacer.pause(Duration::from_secs(1200));
    let kernel = FakeMachine::new(FakeMachine::roomy(), Vec::new()).kernel();
    let kernel = Kernel { sinking: Some(Arc::new(FakeSinking::new(devices, pacer.clone()))), ..kernel };
    vec![runner(keys).step(&kernel, &*pacer)]
}

fn of(change: fn(&mut FakeZram), keys: &str) -> Vec<StepReport> {
    let mut device = device();
    change(&mut device);
    cycle(vec![device], keys, FakePacer::endless())
}

pub(crate) fn no_table() -> Vec<StepReport> {
    let fault = ProcessError::refused("/proc/swaps", "Permission denied");
    let failing = FakeSinking::new(Vec::new(), Arc::new(FakePacer::endless())).failing(fault);
    let kernel = FakeMachine::new(FakeMachine::roomy(), Vec::new()).kernel();
    let failing = Kernel { sinking: Some(Arc::new(failing)), ..kernel.clone() };
    [failing, kernel].map(|kernel| runner("").step(&kernel, &FakePacer::endless())).into()
}

pub(crate) fn no_zram() -> Vec<StepReport> {
    cycle(Vec::new(), "", FakePacer::endless())
}

pub(crate) fn no_writeback() -> Vec<StepReport> {
    of(|device| device.can_sink = Err(SinkRefusal::NotBuilt), "")
}

pub(crate) fn no_backing_device() -> Vec<StepReport> {
    of(|device| device.can_sink = Err(SinkRefusal::NoDisk), "")
}

pub(crate) fn no_slot_ages() -> Vec<StepReport> {
    of(|device| device.can_sink = Err(SinkRefusal::NoAges("block_state: missing".into())), "")
}

pub(crate) fn nothing_old() -> Vec<StepReport> {
    [of(|_| (), "sink_after=2h"), of(|_| (), "sink_after=none")].concat()
}

pub(crate) fn sink_budget() -> Vec<StepReport> {
    of(|_| (), "sink_after=1s\nsink_per_day=1m")
}

pub(crate) fn writeback_limit() -> Vec<StepReport> {
    of(|device| device.refuses = Some(SinkRefusal::LimitReached), "sink_after=1s")
}

pub(crate) fn disk_full() -> Vec<StepReport> {
    of(|device| device.fault = Some((3, SinkRefusal::DiskFull)), "sink_after=1s")
}

pub(crate) fn disk_fails() -> Vec<StepReport> {
    of(
        |device| device.fault = Some((3, SinkRefusal::DiskFails("Input/output error".into()))),
        "sink_after=1s",
    )
}

pub(crate) fn writeback_busy() -> Vec<StepReport> {
    of(|device| device.refuses = Some(SinkRefusal::Busy), "sink_after=1s")
}

pub(crate) fn device_gone() -> Vec<StepReport> {
    of(|device| device.gone_after = Some(3), "sink_after=1s")
}

pub(crate) fn kernel_refused() -> Vec<StepReport> {
    of(
        |device| device.refuses = Some(SinkRefusal::refused("writeback", "Permission denied")),
        "sink_after=1s",
    )
}

pub(crate) fn dry_run() -> Vec<StepReport> {
    of(|_| (), "sink_after=1s\ndry_run=yes")
}

pub(crate) fn later() -> Vec<StepReport> {
    let mut device = FakeZram::new(1_000_000, 40_000);
    device.pages.values_mut().for_each(|(touched, _)| *touched = Duration::ZERO);
    cycle(vec![device], "sink_after=1s\nsink_rate=1m", FakePacer::endless())
}

pub(crate) fn stopped() -> Vec<StepReport> {
    let mut device = FakeZram::new(1_000_000, 40_000);
    device.pages.values_mut().for_each(|(touched, _)| *touched = Duration::ZERO);
    cycle(vec![device], "sink_after=1s\nsink_rate=1m", FakePacer::stopping_after(3))
}

/// A cycle in which slots were freed meanwhile, and one after pages were read back from disk.
pub(crate) fn with_all_figures() -> Vec<StepReport> {
    let pacer = Arc::new(FakePacer::endless());
    let _ = pacer.pause(Duration::from_secs(1200));
    let zram = FakeSinking::new(vec![FakeZram { freed: vec![1, 2], ..device() }], pacer.clone());
    let kernel = FakeMachine::new(FakeMachine::roomy(), Vec::new()).kernel();
    let kernel = Kernel { sinking: Some(Arc::new(zram.clone())), ..kernel };
    let mut runner = runner("sink_after=10m");
    let first = runner.step(&kernel, &*pacer);
    zram.change(|zram| zram.disk_reads = 5);
    vec![first, runner.step(&kernel, &*pacer)]
}
