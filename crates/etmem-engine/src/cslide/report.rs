//! What cslide says of a process whose pages it looked at, and of a pair of nodes.

use crate::figures::{self, Figures};
use crate::reason::{Reason, ReasonName};
use crate::report::{Event, Level, Line, ProcessReport, mib, write_end};
use etmem_core::kernel::nodes::Migrated;
use etmem_core::kernel::process::ProcessId;
use etmem_core::placement::Carried;
use etmem_core::plan::Ended;
use etmem_core::policy::exchange::Exchange;
use etmem_core::policy::pairs::Pair;
use std::fmt;

figures! { pub(crate) FIGURES;
    BOUND: Counter Bytes, "skipped_bound_bytes", "bound by the program", NonZero,
        "not looked at, as the program itself, or its cpuset, says on which NUMA nodes it is to lie";
}

/// A process whose pages lie on NUMA nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// Bytes present in the mappings looked at.
    pub present: u64,
    /// Bytes of them that are hot.
    pub hot: u64,
    /// Bytes that were not looked at, as the program or its cpuset says where they are to lie.
    pub bound: u64,
    /// Those that moved to fast nodes, or did not.
    pub up: Carried,
    /// Those that moved to slow nodes, or did not.
    pub down: Carried,
    /// Why it ended early.
    pub ended: Option<Ended>,
}

/// What changed places between two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairReport {
    /// Which nodes.
    pub pair: Pair,
    /// Which memory, in words.
    pub memory: &'static str,
    /// What was to move.
    pub planned: Exchange,
    /// What moved to the fast node, or did not.
    pub up: Carried,
    /// What moved to the slow node, or did not.
    pub down: Carried,
}

impl Placed {
    /// The report on `process`.
    pub(super) fn report(self, process: ProcessId) -> ProcessReport {
        let (reason, figures) = (self.reason(), self.figures());
        ProcessReport::worked_on(process, "placed", self, reason, figures)
    }

    fn figures(&self) -> Figures {
        let Self { present, hot, bound, up, down, ended: _ } = self;
        Figures::of([
            (&figures::SCANNED, *present),
            (&figures::HOT, *hot),
            (&figures::COLD, present.saturating_sub(*hot)),
            (&figures::MOVED_UP, up.bytes),
            (&figures::MOVED_DOWN, down.bytes),
            (&figures::NOT_CARRIED, up.pages.failed() + down.pages.failed()),
            (&BOUND, *bound),
        ])
    }

    fn reason(&self) -> Option<Reason> {
        if let Some(ended) = &self.ended {
            return Some(ended.into());
        }
        if self.present == 0 && self.bound > 0 {
            return self.is_bound();
        }
        if self.present == 0 {
            let text = "none of its memory is of the kind that was asked for by vm_flags= and anon_only=";
            return Some(Reason::new(ReasonName::NothingSuitable, text));
        }
        let (up, down) = (self.up.pages, self.down.pages);
        let of = |count: fn(&Migrated) -> u64| count(&up) + count(&down);
        let failed = [
            (of(|pages| pages.no_room), ReasonName::NodeFull, "find no room on the node they are to go to"),
            (of(|pages| pages.busy), ReasonName::InUse, "are in use or pinned"),
            (of(|pages| pages.shared), ReasonName::Shared, "are shared with other processes"),
            (of(|pages| pages.refused), ReasonName::Refused, "are refused by the kernel"),
            (of(|pages| pages.vanished), ReasonName::Vanished, "were gone meanwhile"),
        ];
        // The first of those of which there are most.
        let most = failed.into_iter().rev().max_by_key(|(pages, ..)| *pages).filter(|(pages, ..)| *pages > 0);
        let Some((pages, name, what)) = most else { return self.is_bound() };
        Some(Reason::new(name, format!("{pages} of the pages that were to move {what}")))
    }

    fn is_bound(&self) -> Option<Reason> {
        let text = format!(
            "{} MiB are left where they are, as the program or its cpuset says on which nodes they are to lie",
            mib(self.bound)
        );
        (self.bound > 0).then(|| Reason::new(ReasonName::Bound, text))
    }
}

impl PairReport {
    /// What the log says of it, in each cycle.
    pub(super) fn event(self) -> Event {
        Event::always(Level::Info, Line::new(self))
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { present, hot, bound, up, down, ended } = self;
        write!(
            f,
            "scanned {} MiB, hot {} MiB, {} MiB moved to fast nodes, {} MiB to slow ones",
            mib(*present),
            mib(*hot),
            mib(up.bytes),
            mib(down.bytes)
        )?;
        if *bound > 0 {
            write!(f, ", {} MiB bound by the program", mib(*bound))?;
        }
        write_failures(f, up, down)?;
        write_end(f, ended.as_ref())
    }
}

impl fmt::Display for PairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pair, memory, planned, up, down } = self;
        write!(
            f,
            "nodes {} (fast) and {} (slow), {memory}: {} of {} MiB moved up, {} of {} MiB down",
            pair.fast,
            pair.slow,
            mib(up.bytes),
            mib(planned.up()),
            mib(down.bytes),
            mib(planned.cold_down)
        )?;
        write_failures(f, up, down)
    }
}

/// The pages that did not move, by reason.
fn write_failures(f: &mut fmt::Formatter<'_>, up: &Carried, down: &Carried) -> fmt::Result {
    for (way, Migrated { moved: _, vanished, busy, shared, no_room, refused }) in
        [("up", up.pages), ("down", down.pages)]
    {
        for (pages, what) in [
            (vanished, "gone meanwhile"),
            (busy, "in use or pinned"),
            (shared, "shared with other processes"),
            (no_room, "without room on the node"),
            (refused, "refused"),
        ] {
            if pages > 0 {
                let noun = if pages == 1 { "page" } else { "pages" };
                write!(f, ", {way}: {pages} {noun} {what}")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::nodes::NodeId;
    use etmem_core::policy::pairs::Reason as PairReason;

    fn carried(bytes: u64, pages: Migrated) -> Carried {
        Carried { bytes, pages }
    }

    #[test]
    fn moves_between_nodes_and_what_stayed() {
        let up = carried(20 << 20, Migrated { moved: 10, busy: 1, no_room: 3, ..Migrated::default() });
        let down = carried(
            4 << 20,
            Migrated { moved: 2, vanished: 1, shared: 2, refused: 2, ..Migrated::default() },
        );
        let ended = Some(Ended::Stopped);
        let placed = Placed { present: 90 << 20, hot: 40 << 20, bound: 7 << 20, up, down, ended };
        assert_eq!(
            placed.to_string(),
            "scanned 90 MiB, hot 40 MiB, 20 MiB moved to fast nodes, 4 MiB to slow ones, 7 MiB bound by the program, up: 1 page in use or pinned, \
             up: 3 pages without room on the node, down: 1 page gone meanwhile, down: 2 pages shared with other \
             processes, down: 2 pages refused, stopped"
        );
        let pair = PairReport {
            pair: Pair { fast: NodeId(0), slow: NodeId(2), reason: PairReason::Processors },
            memory: "huge pages",
            planned: Exchange { hot_up: 20 << 20, prefetch: 8 << 20, cold_down: 4 << 20 },
            up,
            down: carried(4 << 20, Migrated { moved: 2, ..Migrated::default() }),
        };
        assert_eq!(
            pair.to_string(),
            "nodes 0 (fast) and 2 (slow), huge pages: 20 of 28 MiB moved up, 4 of 4 MiB down, \
             up: 1 page in use or pinned, up: 3 pages without room on the node"
        );
    }

    #[test]
    fn bound_memory_is_the_reason_where_nothing_else_is() {
        let name = |placed: Placed| placed.reason().map(|reason| reason.name);
        let bound = Placed { bound: 8 << 20, ..Placed::default() };
        assert_eq!(name(bound.clone()), Some(ReasonName::Bound));
        assert_eq!(name(Placed { present: 1, ..bound.clone() }), Some(ReasonName::Bound));
        assert_eq!(name(Placed { present: 1, ..Placed::default() }), None);
        let down = carried(0, Migrated { busy: 1, ..Migrated::default() });
        assert_eq!(name(Placed { present: 1, down, ..bound }), Some(ReasonName::InUse));
    }

    #[test]
    fn what_moved_between_nodes_is_counted_by_direction() {
        let up = carried(6, Migrated { moved: 3, busy: 1, no_room: 2, ..Migrated::default() });
        let down =
            carried(4, Migrated { moved: 2, vanished: 1, shared: 1, refused: 1, ..Migrated::default() });
        let expected = Figures::of([
            (&figures::SCANNED, 100),
            (&figures::HOT, 40),
            (&figures::COLD, 60),
            (&figures::MOVED_UP, 6),
            (&figures::MOVED_DOWN, 4),
            (&figures::NOT_CARRIED, 6),
            (&BOUND, 8),
        ]);
        assert_eq!(Placed { present: 100, hot: 40, bound: 8, up, down, ended: None }.figures(), expected);
    }
}
