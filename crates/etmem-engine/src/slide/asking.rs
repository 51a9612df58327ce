//! Programs are asked for what is cold, before it is taken from them (`ask=yes`).
//!
//! What is asked for is what would leave now. What a process gave back is what it has less of after `ask_wait` than before, as far as
//! the kernel did not move that to swap meanwhile. Only the rest is taken.

use super::cycle::Judged;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::pacer::Pacer;
use std::time::Duration;

/// Asks the programs of `judged` for what would leave of them, waits for `wait` if any listens, and measures.
pub(super) fn ask(judged: &mut [Judged<'_>], wait: Duration, kernel: &Kernel, pacer: &dyn Pacer) {
    let Some(programs) = &kernel.cooperation else { return };
    let due: Vec<_> = judged.iter().map(|one| (one.process(), one.due())).collect();
    let wanted: Vec<_> = due.iter().copied().filter(|(_, bytes)| *bytes > 0).collect();
    if wanted.is_empty() || programs.ask(&wanted) == 0 {
        return;
    }
    // A stop shows at each process.
    let _ = pacer.pause(wait);
    for (one, (_, bytes)) in judged.iter_mut().zip(due) {
        one.measure(bytes);
    }
}
