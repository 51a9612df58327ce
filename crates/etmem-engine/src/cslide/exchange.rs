//! Hot and cold pages change places between the nodes of a pair.

use super::report::PairReport;
use super::settings::Kind;
use super::watch::ScannedProcess;
use crate::report::Event;
use etmem_core::heat::COUNT_MAX;
use etmem_core::kernel::nodes::{Node, NodeId, NodeMemory};
use etmem_core::kernel::pacer::{Pacer, Stopped};
use etmem_core::placement::{Budget, Carried, Way, carry};
use etmem_core::plan::Ended;
use etmem_core::policy::exchange::{self, Exchange, NodeBytes, QuotaLimits};
use etmem_core::policy::pairs::Pair;
use etmem_core::scan::ScanEnd;

#[derive(Debug, Clone, Copy)]
enum Direction {
    /// To the fast node.
    Up,
    /// To the slow node.
    Down,
}

/// All processes of an engine, and what is to be done with them.
#[derive(Debug)]
pub(super) struct Hands<'a, 'p> {
    pub(super) seen: &'a mut [ScannedProcess<'p>],
    pub(super) nodes: &'a [Node],
    /// A page that counts as much is hot.
    pub(super) hot: u16,
    pub(super) pacer: &'a dyn Pacer,
}

impl Hands<'_, '_> {
    /// Does for `pair` what its nodes have room for, within `limits`: one kind of memory after the other. What was done
    /// is added to `events`, also where a stop ends it.
    pub(super) fn exchange(
        &mut self,
        pair: Pair,
        mut limits: QuotaLimits,
        events: &mut Vec<Event>,
    ) -> Result<(), Stopped> {
        for kind in Kind::ALL {
            if !self.seen.iter().any(|seen| seen.member.settings.kind == kind) {
                continue;
            }
            let held = self.held(pair, kind);
            let planned = exchange::exchange(limits, held, kind.page());
            limits = planned.left_of(limits);
            let memory = match kind {
                Kind::HugePool => "huge pages",
                Kind::Ordinary => "ordinary memory",
            };
            let (up, down) = (Carried::default(), Carried::default());
            let mut report = PairReport { pair, memory, planned, up, down };
            let done = self.carry_out(kind, planned, held, &mut report);
            events.push(report.event());
            done?;
        }
        Ok(())
    }

    fn held(&self, pair: Pair, kind: Kind) -> NodeBytes {
        let node = |id: NodeId| {
            let node = self.nodes.iter().find(|node| node.id == id);
            node.map_or(NodeMemory::default(), |node| kind.of(node))
        };
        let of_kind = self.seen.iter().filter(|seen| seen.member.settings.kind == kind);
        let mut held = NodeBytes {
            fast_free: node(pair.fast).free,
            slow_free: node(pair.slow).free,
            ..NodeBytes::default()
        };
        for seen in of_kind.filter(|seen| seen.is_there()) {
            held.fast_cold += seen.census.cold(pair.fast, self.hot);
            held.slow_cold += seen.census.cold(pair.slow, self.hot);
            held.slow_hot += seen.census.hot(pair.slow, self.hot);
        }
        held
    }

    /// Cold down first, then hot up.
    fn carry_out(
        &mut self,
        kind: Kind,
        planned: Exchange,
        held: NodeBytes,
        report: &mut PairReport,
    ) -> Result<(), Stopped> {
        let (coldest_first, hottest_first) = (0..self.hot, (self.hot..=COUNT_MAX).rev());
        // Some of it may find no room before hot pages have left the slow node.
        let at_once = planned.cold_down.min(held.slow_free);
        self.carry(kind, Direction::Down, coldest_first.clone(), at_once, report)?;
        // Should less have gone down than was to, less comes up.
        let room = held.fast_free.saturating_add(report.down.bytes);
        self.carry(kind, Direction::Up, hottest_first, planned.hot_up.min(room), report)?;
        let room = room.saturating_sub(report.up.bytes);
        self.carry(kind, Direction::Up, coldest_first.clone().rev(), planned.prefetch.min(room), report)?;
        self.carry(kind, Direction::Down, coldest_first, planned.cold_down - at_once, report)
    }

    /// Carries at most `bytes` between the nodes of the report's pair: the counts in the order given, and of each count
    /// the pages of all processes.
    fn carry(
        &mut self,
        kind: Kind,
        direction: Direction,
        counts: impl Iterator<Item = u16>,
        bytes: u64,
        report: &mut PairReport,
    ) -> Result<(), Stopped> {
        let Pair { fast, slow, .. } = report.pair;
        let (way, total) = match direction {
            Direction::Up => (Way { from: slow, to: fast }, &mut report.up),
            Direction::Down => (Way { from: fast, to: slow }, &mut report.down),
        };
        let mut budget = Budget::new(bytes);
        for count in counts {
            if budget.is_over() {
                break;
            }
            let there = |seen: &&mut ScannedProcess<'_>| {
                let of_kind = seen.member.settings.kind == kind;
                of_kind && seen.is_there() && seen.may_go_to(way.to) && seen.census.at(way.from, count) > 0
            };
            for seen in self.seen.iter_mut().filter(there) {
                let mut carried = Carried::default();
                let (heat, mover) = (&seen.heat, &mut *seen.mover);
                let done = carry(heat, count, way, &mut budget, mover, &mut carried, self.pacer);
                seen.census.moved(way.from, way.to, count, carried.bytes);
                match direction {
                    Direction::Up => seen.up.add(carried),
                    Direction::Down => seen.down.add(carried),
                }
                total.add(carried);
                match done {
                    // What is left alone is so before it is scanned, and has no heat.
                    Ok(()) | Err(ScanEnd::Left(_)) => {}
                    Err(ScanEnd::Process(error)) => seen.ended = Some(Ended::Process(error)),
                    Err(ScanEnd::Stopped) => {
                        seen.ended = Some(Ended::Stopped);
                        return Err(Stopped);
                    }
                }
            }
        }
        Ok(())
    }
}
