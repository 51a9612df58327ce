//! Cool pages go to the slow node of a pair, and those that are cool no longer come back: what engine tiers does before pages leave memory.
//!
//! A page that goes down and is touched again costs slow touches and two moves, and only a later look can tell. So the first step down is
//! small, and the next is twice as large only while nearly all that is down is still cool.

use crate::contract::EngineError;
use crate::cslide::BOUND;
use crate::figures::{self, Figures};
use crate::node_pairs::{self, NodePair};
use crate::reason::{Reason, ReasonName};
use crate::report::mib;
use etmem_core::address::{AddressRange, PAGE_SIZE};
use etmem_core::feedback::{Evidence, Trust};
use etmem_core::heat::{COUNT_MAX, HeatMap};
use etmem_core::kernel::nodes::{Migrated, NodeId, NodePages, Numa, NumaNodes, Place};
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use etmem_core::placement::{Budget, Carried, Census, Way, carry, take_census};
use etmem_core::policy::pairs::Pair;
use etmem_core::scan::{Observed, ScanEnd};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Which pages of a task are to lie where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cooling {
    /// Between which nodes they move.
    pub(crate) pairs: Vec<NodePair>,
    /// A page that counts less is cool.
    pub(crate) below: u16,
}

impl Cooling {
    /// Whether the machine has the nodes that it names.
    ///
    /// # Errors
    /// Which is not there, or why the machine does not tell.
    pub(super) fn check(&self, nodes: &dyn NumaNodes) -> Result<(), EngineError> {
        node_pairs::check(&self.pairs, nodes).map_err(EngineError::of_task)
    }

    /// Which node of each pair is the fast one; none if the machine does not tell.
    pub(super) fn decided(&self, nodes: &dyn NumaNodes) -> Vec<Pair> {
        node_pairs::decide(&self.pairs, &nodes.nodes().unwrap_or_default()).unwrap_or_default()
    }
}

/// Bytes of a process that go down in a cycle at first, and at most.
const STEP_FIRST: u64 = 8 << 20;
const STEP_MOST: u64 = 256 << 20;

/// Where more than this part of what lies on slow nodes is not cool, nothing goes down for a cycle, then for two, and so on, up to `REST_MOST`:
/// pages that count now less, now more come and go no more often than that.
const WRONG: u64 = 20;
const REST_MOST: u32 = 64;

/// How much of a process goes down in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    bytes: u64,
    /// Whether the last cycle had as much to send.
    is_spent: bool,
    /// For how many cycles nothing goes down, and how many that were the last time.
    rest: u32,
    rested: u32,
    /// Bytes that are not cool and found no room on fast nodes: they are known.
    stuck: u64,
}

impl Default for Step {
    fn default() -> Self {
        Self { bytes: STEP_FIRST, is_spent: false, rest: 0, rested: 0, stuck: 0 }
    }
}

impl Step {
    /// The next one, where of what is down `cool` bytes are cool and `back` are not.
    fn next(self, cool: u64, back: u64) -> Self {
        let Self { bytes, is_spent, rest, rested, stuck } = self;
        let back = back.saturating_sub(stuck);
        if back > (cool + back) / WRONG {
            let rest = (rested * 2).clamp(1, REST_MOST);
            return Self { bytes: STEP_FIRST, is_spent: false, rest, rested: rest, stuck };
        }
        if rest > 1 {
            return Self { rest: rest - 1, ..self };
        }
        let bytes = if is_spent { (bytes * 2).min(STEP_MOST) } else { bytes };
        // What was right twice over is forgiven.
        Self { bytes, is_spent: false, rest: 0, rested: if is_spent { rested / 2 } else { rested }, stuck }
    }

    /// Whether what is known by it should be written down.
    pub(super) const fn is_news(self) -> bool {
        self.is_spent || self.rest > 0
    }

    /// Bytes that go down now.
    const fn now(self) -> u64 {
        if self.rest == 0 { self.bytes } else { 0 }
    }
}

/// What changed places in a cycle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cooled {
    /// To fast nodes, or not.
    pub up: Carried,
    /// To slow nodes, or not.
    pub down: Carried,
    /// Bytes that are cool and stay on fast nodes, and those that are not and stay on slow ones, as the others have no room above the
    /// kernel's watermark.
    pub no_room: (u64, u64),
    /// Bytes left where they are, as the program or its cpuset says where they are to lie.
    pub bound: u64,
    /// Bytes that would go down and come up, where nothing moves (`dry_run=yes`).
    pub would: Option<(u64, u64)>,
    /// Why no more moved.
    pub refused: Option<ProcessError>,
    /// What it took.
    pub processor_time: Duration,
}

impl Cooled {
    pub(super) fn add_to(&self, figures: &mut Figures) {
        figures.add(&figures::MOVED_UP, self.up.bytes);
        figures.add(&figures::MOVED_DOWN, self.down.bytes);
        figures.add(&figures::NOT_CARRIED, self.up.pages.failed() + self.down.pages.failed());
        figures.add(&BOUND, self.bound);
    }

    /// Why not all lies where it belongs.
    pub(super) fn reason(&self) -> Option<Reason> {
        if let Some(error) = &self.refused {
            return Some(Reason::new(ReasonName::Refused, format!("between NUMA nodes: {error}")));
        }
        let (cool, hot) = self.no_room;
        let refused = self.up.pages.no_room + self.down.pages.no_room;
        let text = match (cool, hot, refused) {
            (0, 0, 0) => return None,
            (0, 0, pages) => {
                format!("{pages} of the pages that were to move found no room on the other node")
            }
            (_, 0, _) => format!(
                "{} MiB are cool and stay on fast nodes: slow ones have no room above the kernel's watermark",
                mib(cool)
            ),
            (..) => format!(
                "{} MiB are not cool and stay on slow nodes: fast ones have no room above the kernel's watermark",
                mib(hot)
            ),
        };
        Some(Reason::new(ReasonName::NodeFull, text))
    }
}

impl fmt::Display for Cooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.would {
            Some((down, up)) => write!(
                f,
                "; dry run: {} MiB would move to slow nodes, {} MiB to fast ones",
                mib(down),
                mib(up)
            ),
            None => {
                let (up, down) = (mib(self.up.bytes), mib(self.down.bytes));
                write!(f, "; {down} MiB moved to slow nodes, {up} MiB to fast ones")
            }
        }
    }
}

/// Room is asked for and used by one process at a time, of whichever task.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Whose pages, and how they may move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placing<'a> {
    pub(super) process: ProcessId,
    pub(super) numa: &'a Numa,
    pub(super) seen: &'a Observed,
    /// Whether what the probe says is believed, in this cycle.
    pub(super) trust: Trust,
    pub(super) cycle: u64,
    /// Most bytes that may leave in a cycle, by `max_rate`.
    pub(super) most: u64,
    pub(super) dry_run: bool,
    pub(super) pacer: &'a dyn Pacer,
}

impl Placing<'_> {
    /// Puts pages where they belong, as far as there is room: at most a step down. What was done is in `cooled`, also where it ends
    /// early.
    pub(super) fn place(
        &self,
        cooling: &Cooling,
        step: &mut Step,
        cooled: &mut Cooled,
    ) -> Result<(), ScanEnd> {
        let Self { process, numa, seen, pacer, .. } = *self;
        let heat = &seen.heat;
        let mut pairs = node_pairs::decide(&cooling.pairs, &numa.nodes.nodes()?)
            .map_err(|error| ProcessError::refused(node_pairs::NAME, error))?;
        let placement = node_pairs::own_placement(numa, process, &pairs)?;
        pairs.retain(|pair| node_pairs::allows(&placement, *pair));
        cooled.bound = placement.bound_bytes;
        let mut pages = Free { inner: numa.mover.attach(process)?, bound: &placement.bound };
        let mut census = take_census(heat, &mut pages, pacer)?;
        let on_slow = |census: &Census, bytes: fn(&Census, NodeId, u16) -> u64| -> u64 {
            pairs.iter().map(|pair| bytes(census, pair.slow, cooling.below)).sum()
        };
        if !seen.is_whole() {
            // What was stuck lies elsewhere.
            step.stuck = 0;
        }
        *step = step.next(on_slow(&census, Census::cold), on_slow(&census, Census::hot));
        let idle = self.idle_most(&census, &pairs);
        let most = if idle.is_some() { step.now().min(self.most) & !(PAGE_SIZE - 1) } else { 0 };
        let mut moves = Moves { most, left: most, idle: idle.unwrap_or(0) };
        let mut done = Ok(());
        for pair in pairs.iter().copied() {
            let (below, census, pages) = (cooling.below, &mut census, &mut pages);
            let mut hands = Hands { heat, pair, below, census, pages, numa, pacer };
            done = if self.dry_run {
                hands.rehearse(&mut moves, cooled)
            } else {
                hands.exchange(&mut moves, cooled)
            };
            if done.is_err() {
                break;
            }
        }
        step.is_spent = most > 0 && moves.left < PAGE_SIZE;
        step.stuck = on_slow(&census, Census::hot);
        done
    }

    /// How many bytes that were not touched at all may go down; `None` if nothing may. A probe that sees a page touched is not blind to
    /// it; one that sees nothing is believed once a sample stayed out of memory.
    fn idle_most(&self, census: &Census, pairs: &[Pair]) -> Option<u64> {
        let idle = |node: NodeId| census.at(node, 0);
        let down: u64 = pairs.iter().map(|pair| idle(pair.slow)).sum();
        let all = down + pairs.iter().map(|pair| idle(pair.fast)).sum::<u64>();
        match self.trust.evidence(self.cycle, all, census.total()) {
            Evidence::Enough => Some(u64::MAX),
            Evidence::Sample(_) => Some(STEP_FIRST.saturating_sub(down)),
            Evidence::SampleAlone(_) | Evidence::Blind => None,
        }
    }
}

/// What may go down of a process in a cycle, for all pairs together, in bytes.
struct Moves {
    most: u64,
    left: u64,
    /// Of these, what was not touched at all.
    idle: u64,
}

impl Moves {
    fn took(&mut self, bytes: u64, idle: u64) {
        self.left = self.left.saturating_sub(bytes);
        self.idle = self.idle.saturating_sub(idle);
    }
}

/// Bytes that nodes have above the kernel's watermark.
struct Room {
    fast: u64,
    slow: u64,
}

/// Carries pages of one process between the nodes of a pair.
struct Hands<'a> {
    heat: &'a HeatMap,
    pair: Pair,
    below: u16,
    census: &'a mut Census,
    pages: &'a mut dyn NodePages,
    numa: &'a Numa,
    pacer: &'a dyn Pacer,
}

impl Hands<'_> {
    /// Bytes that are cool and lie on the fast node.
    fn cool(&self) -> u64 {
        self.census.cold(self.pair.fast, self.below)
    }

    /// Bytes that are not, and lie on the slow one.
    fn hot(&self) -> u64 {
        self.census.hot(self.pair.slow, self.below)
    }

    fn room(&self) -> Result<Room, ProcessError> {
        let nodes = self.numa.nodes.nodes()?;
        let room = |node: NodeId| -> Result<u64, ProcessError> {
            let free = nodes.iter().find(|known| known.id == node).map_or(0, |known| known.memory.free);
            Ok(free.saturating_sub(self.numa.mover.watermark(node)?))
        };
        Ok(Room { fast: room(self.pair.fast)?, slow: room(self.pair.slow)? })
    }

    /// What would move.
    fn rehearse(&self, moves: &mut Moves, cooled: &mut Cooled) -> Result<(), ScanEnd> {
        let idle = self.census.at(self.pair.fast, 0);
        let room = self.room()?;
        let down = (self.cool() - idle.saturating_sub(moves.idle)).min(moves.left).min(room.slow);
        moves.took(down, idle.min(down));
        let (all_down, all_up) = cooled.would.unwrap_or_default();
        cooled.would = Some((all_down + down, all_up + self.hot().min(room.fast + down)));
        Ok(())
    }

    /// Down as far as there is room, then up, and down as far as that has left room.
    fn exchange(&mut self, moves: &mut Moves, cooled: &mut Cooled) -> Result<(), ScanEnd> {
        let _turn = ONE_AT_A_TIME.lock();
        let (wanted, before) = (self.cool().min(moves.left), cooled.down.bytes);
        self.down(moves, &mut cooled.down)?;
        let first = cooled.down.bytes - before;
        let up = self.up(&mut cooled.up)?;
        if up > 0 && first < wanted {
            self.down(moves, &mut cooled.down)?;
        }
        let cool = if moves.most > 0 { self.cool() } else { 0 };
        let hot = self.hot();
        if cool > 0 || hot > 0 {
            let room = self.room()?;
            cooled.no_room.0 += if room.slow < PAGE_SIZE { cool } else { 0 };
            cooled.no_room.1 += if room.fast < PAGE_SIZE { hot } else { 0 };
        }
        Ok(())
    }

    /// The coolest first.
    fn down(&mut self, moves: &mut Moves, carried: &mut Carried) -> Result<(), ScanEnd> {
        if self.cool().min(moves.left) == 0 {
            return Ok(());
        }
        let Pair { fast, slow, .. } = self.pair;
        let way = Way { from: fast, to: slow };
        let (room, before) = (self.room()?.slow, carried.bytes);
        let done = self.carry(way, 0..1, moves.left.min(room).min(moves.idle), carried);
        let idle = carried.bytes - before;
        moves.took(idle, idle);
        done?;
        let done = self.carry(way, 1..self.below, moves.left.min(room.saturating_sub(idle)), carried);
        moves.took(carried.bytes - before - idle, 0);
        done
    }

    /// Those that count most first. Returns how many bytes.
    fn up(&mut self, carried: &mut Carried) -> Result<u64, ScanEnd> {
        let Pair { fast, slow, .. } = self.pair;
        let before = carried.bytes;
        if self.hot() == 0 {
            return Ok(0);
        }
        loop {
            // Others take memory meanwhile.
            let room = self.room()?.fast.min(STEP_MOST);
            let now = carried.bytes;
            self.carry(Way { from: slow, to: fast }, (self.below..=COUNT_MAX).rev(), room, carried)?;
            if carried.bytes - now < STEP_MOST {
                return Ok(carried.bytes - before);
            }
        }
    }

    fn carry(
        &mut self,
        way: Way,
        counts: impl Iterator<Item = u16>,
        bytes: u64,
        carried: &mut Carried,
    ) -> Result<(), ScanEnd> {
        let mut budget = Budget::new(bytes);
        for count in counts {
            if budget.is_over() {
                break;
            }
            if self.census.at(way.from, count) == 0 {
                continue;
            }
            let mut now = Carried::default();
            let done = carry(self.heat, count, way, &mut budget, self.pages, &mut now, self.pacer);
            self.census.moved(way.from, way.to, count, now.bytes);
            carried.add(now);
            done?;
        }
        Ok(())
    }
}

/// Pages of a process but for those that it bound itself.
#[derive(Debug)]
struct Free<'a> {
    inner: Box<dyn NodePages>,
    /// In ascending order.
    bound: &'a [AddressRange],
}

impl NodePages for Free<'_> {
    fn where_are(&mut self, pages: &[u64], places: &mut Vec<Place>) -> Result<(), ProcessError> {
        self.inner.where_are(pages, places)?;
        for (page, place) in pages.iter().zip(places) {
            let next = self.bound.partition_point(|range| range.end <= *page);
            if self.bound.get(next).is_some_and(|range| range.start <= *page) {
                *place = Place::Absent;
            }
        }
        Ok(())
    }

    fn move_to(&mut self, pages: &[u64], node: NodeId) -> Result<Migrated, ProcessError> {
        self.inner.move_to(pages, node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_what_is_down_stays_cool() {
        let spent = |bytes| Step { bytes, is_spent: true, ..Step::default() };
        for (before, cool, back, want) in [
            (Step::default(), 0, 0, STEP_FIRST),
            (spent(STEP_FIRST), STEP_FIRST, 0, 2 * STEP_FIRST),
            (spent(STEP_MOST), 1 << 40, 0, STEP_MOST),
            (Step { bytes: 4 * STEP_FIRST, ..Step::default() }, 1 << 30, 0, 4 * STEP_FIRST),
            (spent(4 * STEP_FIRST), 95, 5, 8 * STEP_FIRST),
            (spent(4 * STEP_FIRST), 94, 6, 0),
            (spent(STEP_FIRST), 0, 1, 0),
        ] {
            assert_eq!(before.next(cool, back).now(), want, "{before:?} {cool} {back}");
        }
    }

    /// All that goes down comes back, again and again.
    #[test]
    fn what_comes_back_each_time_goes_down_ever_more_rarely() {
        let (mut step, mut down, mut total) = (Step::default(), 0, 0);
        for _ in 0..1000 {
            step = step.next(0, std::mem::take(&mut down));
            down = step.now();
            step.is_spent = down > 0;
            total += down;
        }
        assert!((10..30).contains(&(total / STEP_FIRST)), "{} steps", total / STEP_FIRST);
        // The first that stays down is followed by others.
        for cycle in 0..100 {
            step = step.next(if cycle > 64 { 1 << 30 } else { 0 }, 0);
            step.is_spent = step.now() > 0;
        }
        assert_eq!((step.now(), step.rested), (STEP_MOST, 0));
    }
}
