//! What was set up is taken back: when its guard is dropped, on a panic, and when a signal ends the program.
//!
//! A guard holds one action. Dropping it runs the action; SIGINT, SIGTERM and SIGHUP run every action that is
//! still held, newest first (a process lets go of its swap before the swap goes), then end the program as the
//! signal would have. Only SIGKILL leaves something behind; what matters then is recognised by its owner.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::{fmt, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

type Action = Box<dyn FnOnce() + Send>;

static HELD: Mutex<Vec<(u64, Action)>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);
static WATCH: Once = Once::new();

/// Holds an action and runs it when dropped.
#[must_use = "dropping it undoes at once"]
pub struct Undo(u64);

impl Undo {
    /// Keeps `action` for later. It must not panic and must not wait for long.
    pub fn with(action: impl FnOnce() + Send + 'static) -> Self {
        WATCH.call_once(watch);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        HELD.lock().unwrap_or_else(PoisonError::into_inner).push((id, Box::new(action)));
        Self(id)
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let action = {
            let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
            held.iter().position(|(id, _)| *id == self.0).map(|at| held.remove(at).1)
        };
        if let Some(action) = action {
            action();
        }
    }
}

impl fmt::Debug for Undo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Undo").field(&self.0).finish()
    }
}

fn watch() {
    // Without the watch a Ctrl-C ends the program as ever, and leftovers are found by the next run.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let held = std::mem::take(&mut *HELD.lock().unwrap_or_else(PoisonError::into_inner));
            held.into_iter().rev().for_each(|(_, action)| action());
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn dropping_runs_the_action_also_on_a_panic() {
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        let outcome = thread::spawn(move || {
            let _undo = Undo::with(move || seen.store(true, Ordering::SeqCst));
            panic!("on purpose");
        })
        .join();
        assert!(outcome.is_err() && done.load(Ordering::SeqCst));
    }
}
