//! How far the cycle under way has come, for readers who do not wait for its end.

use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;

/// How far a cycle has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SoFar {
    /// Processes that were found.
    pub found: u64,
    /// Of them, those whose pages were looked at once.
    pub looked_at: u64,
    /// What these have in memory, in bytes.
    pub scanned_bytes: u64,
}

/// A [`SoFar`] that the task's thread writes and others read.
#[derive(Debug, Clone, Default)]
pub struct SharedSoFar(Arc<Mutex<SoFar>>);

impl SharedSoFar {
    /// A cycle over `found` processes begins.
    pub fn begin(&self, found: usize) {
        *self.0.lock() = SoFar { found: found as u64, ..SoFar::default() };
    }

    /// A process with so much in memory was looked at.
    pub fn looked_at(&self, bytes: u64) {
        let mut so_far = self.0.lock();
        so_far.looked_at += 1;
        so_far.scanned_bytes += bytes;
    }

    /// How far it has come by now.
    #[must_use]
    pub fn get(&self) -> SoFar {
        *self.0.lock()
    }
}
