//! What the mover `madvise` moves.

use crate::swap::{self, Swap};
use crate::target::Target;
use crate::{Outcome, trial};
use etmem_core::address::AddressRange;
use etmem_core::kernel::mover::{Moved, PageMover};
use etmem_core::kernel::process::{ProcessError, ProcessId, ProcessTable};
use etmem_core::kernel::wishes::Wishes;
use etmem_linux::capabilities::Capability;
use etmem_linux::choice::Interfaces;
use etmem_linux::mover::madvise::Madvise;
use etmem_linux::process::table::Processes;
use etmem_linux::root::{ProcRoot, Roots};
use libtest_mimic::Trial;

pub(crate) fn trials(can_move: &Result<(), String>) -> Vec<Trial> {
    let can_swap = can_move.clone().and_then(|()| swap::possible());
    vec![
        trial("pages leave memory and come back as they were", &can_swap, out_and_back),
        trial("holes and locked memory are counted apart", can_move, holes),
        trial("nothing moves after exec", can_move, exec),
        trial("nothing moves after exit", can_move, exit),
        trial("another process of the same pid is not moved", can_move, another_process),
        trial("what is available is put together", &Ok(()), wiring),
    ]
}

fn mover() -> Result<Madvise, String> {
    Madvise::detect(&ProcRoot::default()).map_err(|reason| reason.to_string())
}

fn out_and_back() -> Outcome {
    let _swap = Swap::new()?;
    let mut target = Target::start();
    let region = target.map(64 << 20, "base");
    target.write(region, 0, 1, region.pages());
    let processes = Processes::new(ProcRoot::default());
    let before = processes.memory(target.id())?;
    let mut advice = mover()?.attach(target.id())?;
    // Every second page of the first half, and the second half as a whole.
    let half = region.pages() / 2;
    let mut ranges: Vec<AddressRange> = (0..half)
        .step_by(2)
        .map(|page| AddressRange::new(region.address(page), region.address(page + 1)))
        .collect();
    ranges.push(AddressRange::new(region.address(half), region.range.end));
    let asked: u64 = ranges.iter().map(AddressRange::bytes).sum();
    assert_eq!(advice.swap_out(&ranges)?, Moved { applied: asked, ..Moved::default() });
    let after = processes.memory(target.id())?;
    // The kernel leaves alone what others hold on to in passing.
    let left = before.resident.saturating_sub(after.resident);
    assert!(left >= asked / 100 * 98, "{left} of {asked} bytes left memory");
    assert!(after.swapped >= asked / 100 * 98, "{} of {asked} bytes are in swap", after.swapped);
    assert_eq!(target.intact(region, region.pages()), region.pages());
    Ok(())
}

fn holes() -> Outcome {
    let mut target = Target::start();
    let regions = [target.map(2 << 20, "base"), target.map(2 << 20, "base"), target.map(2 << 20, "locked")];
    for region in regions {
        target.write(region, 0, 1, region.pages());
    }
    let [_, gone, locked] = regions;
    target.unmap(gone);
    let mut ranges = regions.map(|region| region.range);
    ranges.sort_unstable();
    let mut advice = mover()?.attach(target.id())?;
    let moved = advice.swap_out(&ranges)?;
    assert_eq!(moved, Moved { applied: 2 << 20, vanished: 2 << 20, refused: 2 << 20 });
    assert_eq!(advice.swap_out(&[locked.range])?, Moved { refused: 2 << 20, ..Moved::default() });
    assert_eq!(advice.swap_out(&[])?, Moved::default());
    Ok(())
}

fn exec() -> Outcome {
    let mut target = Target::start();
    let region = target.map(2 << 20, "base");
    target.write(region, 0, 1, region.pages());
    let mut advice = mover()?.attach(target.id())?;
    assert_eq!(advice.swap_out(&[region.range])?.applied, 2 << 20);
    target.exec();
    assert_eq!(advice.swap_out(&[region.range]), Err(ProcessError::Replaced));
    Ok(())
}

fn exit() -> Outcome {
    let mut target = Target::start();
    let process = target.id();
    let region = target.map(2 << 20, "base");
    let mut advice = mover()?.attach(process)?;
    target.end();
    assert_eq!(advice.swap_out(&[region.range]), Err(ProcessError::Exited));
    assert_eq!(mover()?.attach(process).map(drop), Err(ProcessError::Exited));
    Ok(())
}

fn another_process() -> Outcome {
    let target = Target::start();
    let process = target.id();
    let earlier = ProcessId { start_time: process.start_time - 1, ..process };
    assert_eq!(mover()?.attach(earlier).map(drop), Err(ProcessError::Exited));
    Ok(())
}

fn wiring() -> Outcome {
    let capabilities = Interfaces::new(Roots::default()).capabilities();
    let first = |list: &[Capability]| list.iter().find(|one| one.available.is_ok()).map(|one| one.name);
    let best = (first(&capabilities.probes), first(&capabilities.movers));
    match Interfaces::new(Roots::default()).kernel(&Wishes::default()).map(|chosen| chosen.kernel) {
        Ok(kernel) => {
            let mover = kernel.moving.out()?.name();
            assert_eq!((Some(kernel.probe.name()), Some(mover)), best);
        }
        Err(reason) => {
            assert!(best.0.is_none() || best.1.is_none(), "{best:?}: {reason}");
            assert!(!reason.to_string().contains('\n'), "{reason}");
        }
    }
    Ok(())
}
