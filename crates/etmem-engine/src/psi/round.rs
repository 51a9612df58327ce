//! One round of a psi task over one control group.
//!
//! ```text
//! what has it, and what was refaulted? -> do its programs wait, or was too much refaulted? -> how much is above its floor?
//!                                         -> ask for a share of that, piece by piece -> what really left?
//! ```

use super::balance::Balance;
use super::believed::{Believed, Inactive};
use super::keys::Preference;
use super::looks::Looked;
use super::rate::AdaptiveRate;
use super::report::{Bounded, Gate, Round, RoundEnd};
use super::room::{Room, swap_room};
use super::settings::Settings;
use etmem_core::address::PAGE_SIZE;
use etmem_core::feedback::RefaultLimiter;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::groups::{
    Group, GroupCounters, GroupError, GroupMemory, GroupPressure, Stall, Swappiness,
};
use etmem_core::kernel::memory::MemoryState;
use etmem_core::kernel::pacer::{Pace, Pacer};
use etmem_core::throttle::Throttle;

/// Most bytes of one request: a stop waits for no more than that.
const PIECE: u64 = 32 << 20;

/// By how many powers of two the first round over a group takes less than its share, and the first that takes what the kernel has as
/// in use: a little leaves first, and it is seen whether it stays out. It also makes the kernel tell apart what is in use, which
/// it does when it reclaims.
const FIRST: u32 = 6;

/// A group is in use when less than one part of it in this power of two was idle.
const USED: u32 = 6;

/// The same after programs waited or too much was refaulted.
const AGAIN: u32 = 2;

/// What is remembered of a group from round to round.
#[derive(Debug)]
pub(super) struct Known {
    rate: AdaptiveRate,
    limiter: RefaultLimiter,
    balance: Balance,
    /// What its looks found idle.
    believed: Option<Believed>,
    counters: Option<GroupCounters>,
    /// Bytes that were reclaimed and not refaulted since, and of them those of the last round.
    out: u64,
    last: u64,
    /// By how many powers of two a round takes less than its share.
    caution: u32,
}

/// What all groups of a task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) throttle: Throttle,
    /// Whether the kernel takes `swappiness=`, as far as is known.
    pub(super) takes_swappiness: bool,
}

/// What a round works with.
#[derive(Debug)]
pub(super) struct GroupRound<'a> {
    pub(super) settings: &'a Settings,
    pub(super) group: &'a Group,
    pub(super) looked: Looked,
    pub(super) machine: &'a MemoryState,
    pub(super) kernel: &'a Kernel,
    pub(super) pacer: &'a dyn Pacer,
}

impl Known {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            rate: AdaptiveRate::new(settings),
            limiter: RefaultLimiter::new(settings.goal),
            balance: Balance::default(),
            believed: None,
            counters: None,
            out: 0,
            last: 0,
            caution: FIRST,
        }
    }

    /// Takes note of how a round ended.
    fn ended(&mut self, round: &Round) {
        self.last = round.got;
        if let RoundEnd::Held(Gate::Memory(..) | Gate::Io(..) | Gate::Refaults(_)) = round.end {
            self.rate.bad();
            self.caution = self.caution.max(AGAIN);
        } else if round.end.is_reclaimed() && round.asked + round.would > 0 {
            if self.caution == 0 && round.asked > 0 {
                self.rate.good();
            }
            self.caution = self.caution.saturating_sub(1);
        }
    }

    /// Takes note of what was refaulted since the last round: of what was reclaimed, as far as that is known. What programs read
    /// back for other reasons is not the task's doing.
    fn refaulted(&mut self, memory: &GroupMemory, before: &GroupCounters, pacer: &dyn Pacer) -> u64 {
        let (anon, file) = memory.counters.refaulted_since(before);
        let refaulted = anon.saturating_add(file).min(self.out);
        self.out -= refaulted;
        // A quarter of what left last is back already: the step that came of that round was a mistake.
        if refaulted > 0 && refaulted.saturating_mul(4) > self.last {
            self.caution = (self.caution + 1).clamp(AGAIN, FIRST);
        }
        self.balance.note(pacer.now(), (anon, file), memory.swapped);
        self.limiter.refaulted(pacer.now(), refaulted, memory.current);
        refaulted
    }
}

impl GroupRound<'_> {
    /// The round.
    pub(super) fn run(&self, known: &mut Known, shared: &mut Shared) -> Result<Round, GroupError> {
        let memory = self.kernel.groups.memory(self.group)?;
        let before = known.counters.replace(memory.counters).unwrap_or(memory.counters);
        let refaulted = known.refaulted(&memory, &before, self.pacer);
        let pressure = self.kernel.groups.pressure(self.group)?;
        let swap_room = swap_room(self.settings, self.machine, &memory);
        let swappiness = self.swappiness(known, shared, swap_room);
        let may_swap = if swappiness == Some(Swappiness::FILE_ONLY) { 0 } else { swap_room };
        let room = Room::of(self.settings, &memory, may_swap);
        let mut round = Round {
            used: memory.current,
            swapped: memory.swapped,
            zswap: memory.zswap.unwrap_or(0),
            refaulted,
            room,
            pressure,
            rate: known.rate.get(),
            back_off: known.limiter.state(),
            swap_room,
            swap_total: self.machine.swap_total,
            limit_events: memory.counters.limit_events.saturating_sub(before.limit_events),
            dry_run: self.settings.dry_run,
            ..Round::default()
        };
        // Also while a gate holds: what it was before is of no use after it.
        let inactive = [room.inactive_anon, room.inactive_file];
        let believed = match self.looked {
            Looked::Knows { look, .. } => {
                known.believed.get_or_insert_with(|| Believed::first(look)).of(inactive, look)
            }
            Looked::Unable | Looked::Waits => inactive,
        };
        round.end = match self.gate(known, &pressure, &round) {
            Some(gate) => RoundEnd::Held(gate),
            None => self.reclaim(known, shared, (swappiness, believed), &mut round),
        };
        known.ended(&round);
        Ok(round)
    }

    /// Why nothing may be reclaimed now.
    fn gate(&self, known: &Known, pressure: &GroupPressure, round: &Round) -> Option<Gate> {
        let waits = |stall: Option<Stall>, most: f64| {
            let share = stall?.largest();
            (f64::from(share.hundredths()) / 100.0 >= most).then_some(share)
        };
        let Settings { pressure: most, io_pressure, .. } = self.settings;
        if let Some(share) = waits(pressure.memory, *most) {
            return Some(Gate::Memory(share, *most));
        }
        if let Some((share, most)) = io_pressure.and_then(|most| Some((waits(pressure.io, most)?, most))) {
            return Some(Gate::Io(share, most));
        }
        known.limiter.limits().paused.then_some(Gate::Refaults(round.back_off))
    }

    /// Which memory is to leave first; none: as the kernel decides.
    fn swappiness(&self, known: &Known, shared: &Shared, swap_room: u64) -> Option<Swappiness> {
        // Without any swap the kernel takes file pages only, asked or not.
        let asks = shared.takes_swappiness && self.machine.swap_total > 0;
        let most = self.machine.swap_total;
        asks.then(|| known.balance.swappiness(self.settings.preference, swap_room, most)).flatten()
    }

    /// Asks for a share of what is above the floor.
    fn reclaim(
        &self,
        known: &mut Known,
        shared: &mut Shared,
        (mut swappiness, believed): (Option<Swappiness>, Inactive),
        round: &mut Round,
    ) -> RoundEnd {
        let limits = known.limiter.limits();
        shared.throttle.halve(limits.halvings);
        round.wanted = round.room.request(round.rate, self.settings.most);
        // What holds whatever is idle comes first.
        if round.swap_room == 0 && self.machine.swap_total > 0 && swappiness.is_none() {
            return RoundEnd::Held(Gate::Swap);
        }
        if round.room.bytes < PAGE_SIZE {
            return RoundEnd::Held(Gate::Floor);
        }
        let (idle, bounded_by_idle) = match self.idle(known, shared, (&mut swappiness, believed), round) {
            Ok(idle) => idle,
            Err(gate) => {
                round.wanted = 0;
                return RoundEnd::Held(gate);
            }
        };
        let bounds = [
            (round.wanted, None),
            (round.wanted >> known.caution, Some(Bounded::Trial)),
            (idle, Some(bounded_by_idle)),
            (round.wanted >> limits.halvings, Some(Bounded::Refaults)),
            (limits.bytes.unwrap_or(u64::MAX), Some(Bounded::Refaults)),
            (shared.throttle.bytes_within(self.settings.interval), Some(Bounded::Rate)),
        ];
        // Of several that are the same, the first.
        let (most, bounded) = bounds.into_iter().min_by_key(|(bytes, _)| *bytes).unwrap_or_default();
        let most = most & !(PAGE_SIZE - 1);
        round.bounded = bounded;
        if most == 0 {
            return RoundEnd::Held(match bounded {
                Some(Bounded::Refaults) => Gate::Refaults(round.back_off),
                Some(Bounded::Rate | Bounded::Trial | Bounded::Idle) | None => Gate::Floor,
            });
        }
        if self.settings.dry_run {
            round.would = most;
            return RoundEnd::Reclaimed;
        }
        let end = self.pieces(most, shared, &mut swappiness, round);
        known.out = known.out.saturating_add(round.got);
        known.limiter.left(round.got);
        if let Some(believed) = &mut known.believed {
            believed.left(round.got);
        }
        end
    }

    /// How much may be asked for by what is idle, and what to say if that is less than the share; or why nothing may.
    fn idle(
        &self,
        known: &mut Known,
        shared: &Shared,
        (swappiness, believed): (&mut Option<Swappiness>, Inactive),
        round: &mut Round,
    ) -> Result<(u64, Bounded), Gate> {
        match self.looked {
            Looked::Unable => {
                let (inactive, little) = (round.room.inactive() / 2, round.wanted >> FIRST);
                if inactive <= little {
                    known.caution = FIRST;
                }
                Ok((inactive.max(little), Bounded::Trial))
            }
            Looked::Waits => Err(Gate::Looks),
            Looked::Knows { idle_for, .. } => {
                let Room { inactive_anon, inactive_file, bytes, .. } = round.room;
                // Of a request for both, it is not known how much would be anonymous.
                let [anon, file] = believed;
                let files_alone =
                    file > anon && shared.takes_swappiness && self.settings.preference == Preference::Auto;
                let of = |anon: u64, file: u64| match (file > anon, files_alone) {
                    (_, true) => file,
                    (true, false) => anon.saturating_add(file).min(bytes),
                    (false, false) => anon,
                };
                let (idle, least) = (of(anon, file), round.used >> USED);
                // The next look may find the same.
                if idle < least && of(inactive_anon, inactive_file) >= least {
                    return Err(Gate::Looks);
                }
                // Asked for the rest, the kernel might find less, and take what it has not seen used for some milliseconds.
                if idle < least {
                    return Err(Gate::InUse(idle, idle_for));
                }
                if files_alone {
                    *swappiness = Some(Swappiness::FILE_ONLY);
                }
                round.wanted = round.wanted.min(idle);
                Ok((idle / 2, Bounded::Idle))
            }
        }
    }

    /// Asks for `most` bytes, piece by piece, and stops early where the group has no more, or is at its floor.
    fn pieces(
        &self,
        most: u64,
        shared: &mut Shared,
        swappiness: &mut Option<Swappiness>,
        round: &mut Round,
    ) -> RoundEnd {
        while round.asked < most {
            if self.pacer.pause(shared.throttle.wait(self.pacer.now())) == Pace::Stop {
                return RoundEnd::Stopped;
            }
            // The group may have given back memory meanwhile: never ask for what is below the floor.
            let above = match self.kernel.groups.memory(self.group) {
                Ok(memory) => memory.current.saturating_sub(round.room.floor),
                Err(error) => return RoundEnd::Failed(error),
            };
            let piece = (most - round.asked).min(PIECE).min(above & !(PAGE_SIZE - 1));
            if piece == 0 {
                return RoundEnd::Reclaimed;
            }
            let (start, used) = (self.pacer.now(), self.pacer.processor_time());
            match self.kernel.groups.reclaim(self.group, piece, *swappiness) {
                Ok(reclaimed) => {
                    let processor = self.pacer.processor_time().saturating_sub(used);
                    shared.throttle.moved(start, self.pacer.now(), processor, reclaimed.got);
                    round.asked += piece;
                    round.got += reclaimed.got;
                    if reclaimed.no_more {
                        return RoundEnd::NoMore;
                    }
                }
                Err(GroupError::NoSwappiness) => {
                    shared.takes_swappiness = false;
                    if *swappiness == Some(Swappiness::FILE_ONLY) {
                        // The next round goes without.
                        let is_full = round.swap_room == 0;
                        return if is_full { RoundEnd::Held(Gate::Swap) } else { RoundEnd::Reclaimed };
                    }
                    *swappiness = None;
                }
                Err(error) => return RoundEnd::Failed(error),
            }
        }
        RoundEnd::Reclaimed
    }
}
