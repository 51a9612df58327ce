//! Whether the host needs memory, and which guest gives it.

use super::settings::HostSettings;
use etmem_core::kernel::Kernel;
use etmem_core::kernel::process::ProcessError;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// How the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// This much is missing, in bytes.
    Short(u64),
    /// Neither: what was taken stays taken.
    Enough,
    /// This much may be given back, in bytes.
    Well(u64),
}

/// How many percent of its memory more than `host_free` have to be available before guests get memory back.
const MARGIN: u64 = 5;

/// Bytes that are missing where only the wait of programs says so: a round at a time.
const FOR_PRESSURE: u64 = 100 << 20;

impl Host {
    /// How it is now.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(super) fn now(settings: HostSettings, kernel: &Kernel) -> Result<Self, ProcessError> {
        let (memory, pressure) = (kernel.memory.state()?, kernel.pressure.pressure()?);
        let waits = pressure.zip(settings.pressure).is_some_and(|(now, most)| now.some_avg10 > most);
        let share = |percent: u64| memory.total / 100 * percent;
        let missing = share(settings.free).saturating_sub(memory.available);
        if missing > 0 || waits {
            return Ok(Self::Short(missing.max(if waits { FOR_PRESSURE } else { 0 })));
        }
        let room = memory.available.saturating_sub(share((settings.free + MARGIN).min(100)));
        Ok(if room > 0 { Self::Well(room) } else { Self::Enough })
    }
}

/// What a guest can give, as its task found it last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// Bytes that it can give in a round, or is about to give.
    pub(super) gives: u64,
    /// What is available to it, by its shares: the more, the sooner it gives.
    pub(super) weight: u64,
    /// Page faults since its last report: at the same weight, the guest with fewer gives first.
    pub(super) faults: u64,
    /// Bytes that were taken of it.
    pub(super) taken: u64,
}

/// What all guests of an engine offer.
#[derive(Debug, Default)]
pub(super) struct Offers {
    next: Mutex<u64>,
    of: Mutex<BTreeMap<u64, Offer>>,
}

impl Offers {
    /// A number for another guest.
    pub(super) fn number(&self) -> u64 {
        let mut next = self.next.lock();
        *next += 1;
        *next
    }

    /// Notes what the guest with this number offers.
    pub(super) fn put(&self, number: u64, offer: Offer) {
        self.of.lock().insert(number, offer);
    }

    /// The guest with this number offers nothing any more.
    pub(super) fn forget(&self, number: u64) {
        self.of.lock().remove(&number);
    }

    /// How much of `missing` bytes the guest with this number is to give: what those before it do not.
    pub(super) fn to_give(&self, number: u64, missing: u64) -> u64 {
        let of = self.of.lock();
        let mut order: Vec<_> = of.iter().collect();
        order.sort_by_key(|(number, offer)| (std::cmp::Reverse(offer.weight), offer.faults, **number));
        let before = order
            .iter()
            .take_while(|(one, _)| **one != number)
            .fold(0_u64, |sum, (_, offer)| sum.saturating_add(offer.gives));
        let own = of.get(&number).map_or(0, |offer| offer.gives);
        missing.saturating_sub(before).min(own)
    }

    /// How much of `room` bytes the guest with this number gets back: what those from which less was taken leave.
    pub(super) fn to_get(&self, number: u64, room: u64) -> u64 {
        let of = self.of.lock();
        let mut order: Vec<_> = of.iter().collect();
        order.sort_by_key(|(number, offer)| (offer.taken, **number));
        let before = order
            .iter()
            .take_while(|(one, _)| **one != number)
            .fold(0_u64, |sum, (_, offer)| sum.saturating_add(offer.taken));
        let own = of.get(&number).map_or(0, |offer| offer.taken);
        room.saturating_sub(before).min(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::memory::MemoryState;
    use etmem_core::kernel::pressure::{Pressure, Share};
    use etmem_testkit::fake::FakeMachine;

    #[test]
    fn short_enough_or_well() {
        let gib = |count: u64| count << 30;
        let settings = HostSettings { free: 20, pressure: Some(Share::of_percent(10)) };
        let host = |available, pressure| {
            let memory = MemoryState { total: gib(100), available, ..MemoryState::default() };
            let machine = FakeMachine::new(memory, Vec::new());
            let some_avg10 = Share::of_percent(pressure);
            machine.set_pressure(Some(Pressure { some_avg10, ..Pressure::default() }));
            Host::now(settings, &machine.kernel()).unwrap()
        };
        assert_eq!(host(gib(15), 0), Host::Short(gib(100) / 100 * 20 - gib(15)));
        assert_eq!(host(gib(22), 0), Host::Enough);
        assert_eq!(host(gib(30), 10), Host::Well(gib(30) - gib(100) / 100 * 25));
        assert_eq!(host(gib(30), 11), Host::Short(100 << 20));
    }

    #[test]
    fn the_guest_with_the_most_gives_first_and_the_one_that_lacks_least_gets_first() {
        let offers = Offers::default();
        let numbers: Vec<u64> = (0..3).map(|_| offers.number()).collect();
        let offer = |gives, weight, faults, taken| Offer { gives, weight, faults, taken };
        offers.put(numbers[0], offer(10, 100, 5, 7));
        offers.put(numbers[1], offer(10, 300, 0, 30));
        offers.put(numbers[2], offer(10, 100, 2, 3));
        let give =
            |missing| numbers.iter().map(|number| offers.to_give(*number, missing)).collect::<Vec<_>>();
        assert_eq!(give(5), [0, 5, 0]);
        assert_eq!(give(15), [0, 10, 5]);
        assert_eq!(give(100), [10, 10, 10]);
        let get = |room| numbers.iter().map(|number| offers.to_get(*number, room)).collect::<Vec<_>>();
        assert_eq!(get(5), [2, 0, 3]);
        assert_eq!(get(100), [7, 30, 3]);
        offers.forget(numbers[1]);
        assert_eq!(offers.to_give(numbers[0], 15), 5);
    }
}
