//! What a task waits on between two cycles, played by hand.

use super::{Rest, ShownTrigger, WokenBy};
use crate::journal::Journal;
use etmem_core::kernel::trigger::{Fired, GroupPath, Trigger, Woken};
use etmem_testkit::fake::{FakePacer, FakeTriggers};
use std::cell::RefCell;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1200);

fn triggers() -> Vec<Trigger> {
    let group = GroupPath::new("db.slice").unwrap();
    vec![Trigger::Free { below_percent: 10 }, Trigger::High { group }]
}

/// Waits once; what ended the wait, and each state of the triggers that was published.
fn wait(rest: &mut Rest, pacer: &FakePacer) -> (Option<WokenBy>, Vec<Vec<ShownTrigger>>) {
    let published = RefCell::new(Vec::new());
    let changed = |triggers| published.borrow_mut().push(triggers);
    let woken = rest.wait(PERIOD, pacer, &Journal::new("t".to_owned()), changed);
    (woken, published.into_inner())
}

#[test]
fn the_trigger_that_fired_is_named_with_its_evidence() {
    let played = FakeTriggers::default();
    let mut rest = Rest::on(triggers(), Box::new(played.wait(2)));
    played.play(Woken::Fired(Fired { place: 1, evidence: "over memory.high 3 times since".to_owned() }));
    played.play(Woken::Timer);
    let pacer = FakePacer::endless();
    let (woken, published) = wait(&mut rest, &pacer);
    let want = WokenBy {
        cause: "trigger",
        trigger: Some("high db.slice".to_owned()),
        evidence: Some("over memory.high 3 times since".to_owned()),
    };
    assert_eq!((woken, published), (Some(want), Vec::new()));
    assert_eq!(wait(&mut rest, &pacer).0, Some(WokenBy::TIMER));
    assert_eq!(played.limits(), [PERIOD, PERIOD], "the timer is the longest wait");
    assert!(pacer.pauses().is_empty(), "the triggers wait, not the clock");
}

#[test]
fn a_fault_is_published_when_it_comes_and_when_it_goes() {
    let played = FakeTriggers::default();
    let mut rest = Rest::on(triggers(), Box::new(played.wait(2)));
    played.fail(vec![None, Some("its group was removed".to_owned())]);
    // The same again is no news.
    played.play(Woken::Changed);
    played.play(Woken::Timer);
    let (woken, published) = wait(&mut rest, &FakePacer::endless());
    let fault = |published: &[ShownTrigger]| published[1].fault.clone();
    assert_eq!(woken, Some(WokenBy::TIMER));
    assert_eq!(published.len(), 1);
    assert_eq!(fault(&published[0]).as_deref(), Some("its group was removed"));
    played.fail(vec![None, None]);
    played.play(Woken::Timer);
    let (_, published) = wait(&mut rest, &FakePacer::endless());
    assert_eq!((published.len(), fault(&published[0])), (1, None));
}

#[test]
fn a_stop_ends_the_wait_from_another_thread() {
    let played = FakeTriggers::default();
    let mut rest = Rest::on(triggers(), Box::new(played.wait(2)));
    let interrupt = rest.interrupt().unwrap();
    let waiting = std::thread::spawn(move || wait(&mut rest, &FakePacer::endless()).0);
    interrupt.interrupt();
    assert_eq!(waiting.join().unwrap(), None);
}

#[test]
fn without_triggers_the_clock_alone_counts() {
    let pacer = FakePacer::stopping_after(1);
    let mut rest = Rest::default();
    assert_eq!((rest.triggers(), rest.interrupt().is_none()), (Vec::new(), true));
    assert_eq!(wait(&mut rest, &pacer).0, Some(WokenBy::TIMER));
    assert_eq!(wait(&mut rest, &pacer).0, None);
    assert_eq!(pacer.pauses(), [PERIOD, PERIOD]);
}
