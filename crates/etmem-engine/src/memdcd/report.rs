//! What a decider received of a process, and what is said of it.

use crate::figures::{Figures, SCANNED, WINDOW, nanoseconds};
use crate::reason::{Reason, ReasonName};
use crate::report::{Event, Level, Line, ProcessReport, mib};
use etmem_core::kernel::decider::{AbstractName, Unanswered};
use etmem_core::kernel::process::ProcessId;
use std::fmt;
use std::time::Duration;

figures! { pub(super) FIGURES;
    SENT: Counter Bytes, "sent_bytes", "sent to the decider", Always,
        "memory of which the decider received how often it was touched, and to which it did not say no";
    MESSAGES: Counter Count, "messages", "messages to the decider", Always,
        "messages of at most 512 pages that the decider received and did not refuse";
}

/// What a decider received of a process in a cycle.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    socket: AbstractName,
    /// The time over which touches were seen.
    window: Duration,
    /// Bytes in memory of what was looked at.
    pub(super) scanned: u64,
    /// Messages that were to go.
    pub(super) wanted: u64,
    /// Messages that went.
    pub(super) messages: u64,
    /// Bytes of memory that these were about.
    pub(super) memory: u64,
    /// Why no more of them went.
    pub(super) ended: Option<Unanswered>,
}

impl Sent {
    /// Nothing yet.
    pub(super) const fn new(socket: AbstractName, window: Duration) -> Self {
        Self { socket, window, scanned: 0, wanted: 0, messages: 0, memory: 0, ended: None }
    }

    /// Whether the decider has used up its time.
    pub(super) const fn is_silence(&self) -> bool {
        matches!(self.ended, Some(Unanswered::Late { .. }))
    }

    fn reason(&self) -> Option<Reason> {
        let nothing = "nothing it has in memory is of the kind that memdcd looks at (vm_flags)";
        match &self.ended {
            Some(unanswered) => Some(Reason::new(ReasonName::Decider, unanswered.to_string())),
            None => (self.wanted == 0).then(|| Reason::new(ReasonName::NothingSuitable, nothing)),
        }
    }

    pub(super) fn report(self, process: ProcessId) -> ProcessReport {
        let figures = Figures::of([
            (&SCANNED, self.scanned),
            (&SENT, self.memory),
            (&MESSAGES, self.messages),
            (&WINDOW, nanoseconds(self.window)),
        ]);
        let reason = self.reason();
        let word = if self.ended.is_some() { "not_sent" } else { "sent" };
        // One fact for all processes of the task: they have one decider.
        let unanswered = self.ended.as_ref().map(|unanswered| {
            let event = Event::once(Level::Warn, unanswered.to_string(), Line::new(unanswered.clone()));
            Event { repeated: Some(Level::Debug), of_task: true, ..event }
        });
        let mut report = ProcessReport::worked_on(process, word, self, reason, figures);
        if let Some(event) = unanswered {
            report.events = vec![event];
        }
        report
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scanned, wanted, messages, memory, socket, ended, .. } = self;
        write!(
            f,
            "scanned {} MiB, sent {} MiB in {messages} of {wanted} messages to {socket}",
            mib(*scanned),
            mib(*memory)
        )?;
        ended.as_ref().map_or(Ok(()), |unanswered| write!(f, "; {unanswered}"))
    }
}
