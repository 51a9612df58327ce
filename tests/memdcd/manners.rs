//! The port itself, and deciders of every manner.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::decider::{AbstractName, Deciders, Unanswered};
use etmem_core::kernel::pacer::Pacer;
use etmem_linux::decider::MachineDeciders;
use etmem_linux::pacer::SystemPacer;
use etmem_testkit::original::decider::{Manner, OriginalDecider};

const LIMIT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

/// A message about one page.
fn message() -> Vec<u8> {
    let mut bytes = vec![0; 12_336];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(8, &42_i32.to_ne_bytes());
    put(12, &1_i32.to_ne_bytes());
    put(16, &0xFFFF_FF01_u32.to_ne_bytes());
    put(24, &24_u64.to_ne_bytes());
    put(32, &1_u64.to_ne_bytes());
    put(48, &0x7000_u64.to_ne_bytes());
    put(56, &4096_u64.to_ne_bytes());
    put(64, &3_i32.to_ne_bytes());
    bytes
}

fn name_of(decider: &OriginalDecider) -> Result<AbstractName> {
    AbstractName::new(decider.name()).context("a name")
}

fn ask(name: &AbstractName, limit: Duration) -> Result<(), Unanswered> {
    MachineDeciders.ask(name, &message(), limit, &SystemPacer::new())
}

pub(crate) fn every_manner() -> Result<()> {
    for manner in [Manner::Succeeds, Manner::Closes, Manner::ByteByByte, Manner::WithoutZero] {
        let decider = OriginalDecider::start(manner)?;
        for _ in 0..3 {
            ask(&name_of(&decider)?, LIMIT).with_context(|| format!("{manner:?}"))?;
        }
        let heard = decider.end()?;
        ensure!(heard.len() == 3 && heard[0].pages == [(0x7000, 4096, 3)], "{manner:?}: {heard:?}");
        ensure!((heard[0].pid, heard[0].total, heard[0].status) == (42, 1, 0), "{heard:?}");
    }
    let decider = OriginalDecider::start(Manner::Fails)?;
    let name = name_of(&decider)?;
    let refused = Unanswered::Refused { name: name.clone(), text: "failed".to_owned() };
    ensure!(ask(&name, LIMIT) == Err(refused));
    decider.end()?;
    ensure!(ask(&name, LIMIT) == Err(Unanswered::Absent(name)), "it has gone");
    let decider = OriginalDecider::start(Manner::ClosesAtOnce)?;
    for _ in 0..20 {
        let answer = ask(&name_of(&decider)?, LIMIT);
        ensure!(matches!(answer, Err(Unanswered::Failed { .. })), "{answer:?}");
    }
    Ok(())
}

pub(crate) fn late() -> Result<()> {
    for manner in [Manner::Silent, Manner::FailsWithoutZero, Manner::TakesNone] {
        let decider = OriginalDecider::start(manner)?;
        let name = name_of(&decider)?;
        let late = Unanswered::Late { name: name.clone(), limit: SHORT };
        let refused = Unanswered::Refused { name: name.clone(), text: "failed".to_owned() };
        let want = if manner == Manner::FailsWithoutZero { refused } else { late };
        let clock = SystemPacer::new();
        let answer = ask(&name, SHORT);
        ensure!(answer == Err(want), "{manner:?}: {answer:?}");
        ensure!(clock.now() >= SHORT, "{manner:?}: it had less time");
    }
    Ok(())
}

/// Not before it waits: the decider has heard the message then.
pub(crate) fn stop() -> Result<()> {
    let decider = OriginalDecider::start(Manner::Silent)?;
    let name = name_of(&decider)?;
    let pacer = Arc::new(SystemPacer::new());
    let clock = Arc::clone(&pacer);
    let asking =
        thread::spawn(move || MachineDeciders.ask(&name, &message(), Duration::from_secs(3600), &*clock));
    while decider.heard().is_empty() {
        thread::yield_now();
    }
    pacer.stop();
    let answer = asking.join().ok().context("it panicked")?;
    ensure!(answer == Err(Unanswered::Stopped), "{answer:?}");
    Ok(())
}
