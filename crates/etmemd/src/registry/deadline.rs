//! How long requests wait for plugins.

use etmem_core::kernel::pacer::Pacer;
use etmem_linux::pacer::SystemPacer;
use std::time::Duration;

/// How long a request waits for engines that it adds to or starts. The registry does nothing else meanwhile, and
/// clients of etmem 1.x wait for ten seconds.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// How long a request waits for engines that it stops or removes; what they have not done by then is done later.
pub(super) const STOP_LIMIT: Duration = Duration::from_millis(900);

/// Longer than any request takes: it may wait for plugins to be added or started, and then to be taken back.
pub(crate) const LONGEST_REQUEST: Duration =
    ANSWER_LIMIT.saturating_add(STOP_LIMIT).saturating_add(Duration::from_secs(2));

/// Until when to wait.
#[derive(Debug)]
pub(super) struct Deadline {
    clock: SystemPacer,
    limit: Duration,
}

impl Deadline {
    /// `limit` from now.
    pub(super) fn new(limit: Duration) -> Self {
        Self { clock: SystemPacer::new(), limit }
    }

    /// The time that is left.
    pub(super) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.clock.now())
    }
}
