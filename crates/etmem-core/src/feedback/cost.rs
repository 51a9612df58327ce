//! What it costs a program that a page of it is read back from swap.
//!
//! It is estimated from the reads of each device of the machine's swap, of any program: what they took, by their number. Devices count as
//! much as there is in them. What is usual for a device counts as long as few of its reads were seen, and what was seen is forgotten.

use crate::kernel::memory::SwapReads;
use std::time::Duration;

/// What a fault takes besides the read: entering the kernel, a page to put it in, mapping it, and caches that are cold then. Measured in a
/// virtual machine with redis, which goes over 770 MiB that are out (`DEBUG DIGEST`): 12.5 µs a page longer than over the same in memory, of
/// which zram took 3.
const FAULT: Duration = Duration::from_micros(9);

/// Until reads have taken so long, those that are missing count as usual. The kernel counts some reads in ticks of its clock: one that takes
/// microseconds as nothing, or as some milliseconds.
const AS_USUAL: Duration = Duration::from_millis(50);

/// What was seen counts half after this time.
const HALF: Duration = Duration::from_secs(600);

/// How often to look, at least.
const EACH: Duration = Duration::from_secs(60);

/// What a page costs that is read back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RefaultCost {
    at: Option<Duration>,
    devices: Vec<Seen>,
}

/// What was seen of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    last: SwapReads,
    /// The older the less.
    reads: f64,
    seconds: f64,
}

impl Seen {
    /// What a read takes.
    fn of_read(&self) -> f64 {
        let prior = (AS_USUAL.as_secs_f64() - self.seconds).max(0.0);
        let usual = self.last.usual.as_secs_f64().max(1e-9);
        (prior + self.seconds) / (prior / usual + self.reads).max(1.0)
    }
}

impl RefaultCost {
    /// Whether it is time to look again, `now` that something refaulted, or nothing did.
    #[must_use]
    pub fn is_due(&self, now: Duration, refaulted: bool) -> bool {
        refaulted || self.at.is_none_or(|at| now.saturating_sub(at) >= EACH)
    }

    /// Takes note, `now`, of what was read of each device by then.
    pub fn saw(&mut self, now: Duration, devices: &[SwapReads]) {
        let time = now.saturating_sub(self.at.replace(now).unwrap_or(now));
        let left = 0.5_f64.powf(time.as_secs_f64() / HALF.as_secs_f64());
        let before = std::mem::take(&mut self.devices);
        self.devices = devices
            .iter()
            .map(|device| {
                let known = before.iter().find(|seen| seen.last.is_same(device));
                // One that is new counts from now on.
                let Some(Seen { last, reads, seconds }) = known.copied() else {
                    return Seen { last: *device, reads: 0.0, seconds: 0.0 };
                };
                #[expect(clippy::cast_precision_loss, reason = "a number of reads, for an average")]
                let more = device.reads.saturating_sub(last.reads) as f64;
                let took = device.took.saturating_sub(last.took).as_secs_f64();
                Seen { last: *device, reads: reads * left + more, seconds: seconds * left + took }
            })
            .collect();
    }

    /// What a page costs; none if nothing was noted.
    #[must_use]
    pub fn of_page(&self) -> Option<Duration> {
        // Where nothing is out, it will go where it goes first.
        #[expect(clippy::cast_precision_loss, reason = "figures of memory, for an average")]
        let weight = |seen: &Seen| seen.last.used as f64 + if seen.last.is_next { 1.0 } else { 0.0 };
        let (mut all, mut sum) = (0.0, 0.0);
        for seen in &self.devices {
            all += weight(seen);
            sum += weight(seen) * seen.of_read();
        }
        (all > 0.0).then(|| FAULT + Duration::from_secs_f64(sum / all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_micros(3);

    fn device(id: u64, reads: u64, took: Duration) -> SwapReads {
        SwapReads { id, reads, took, usual: USUAL, used: 4096, is_next: true }
    }

    fn reads(reads: u64, took: Duration) -> [SwapReads; 1] {
        [device(1, reads, took)]
    }

    fn micros(cost: &RefaultCost) -> u128 {
        cost.of_page().unwrap().as_micros()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_as_usual_until_it_is_seen() {
        let mut cost = RefaultCost::default();
        assert_eq!(cost.of_page(), None);
        cost.saw(seconds(1), &reads(1_000_000, seconds(9000)));
        assert_eq!(micros(&cost), 12, "what was before does not count");
        // A tick of the clock among a thousand reads says little.
        cost.saw(seconds(2), &reads(1_001_000, Duration::from_millis(9_000_004)));
        assert_eq!(micros(&cost), 12);
        cost.saw(seconds(3), &reads(1_001_010, Duration::from_millis(9_001_004)));
        assert!(micros(&cost) > 900, "a second for ten: {cost:?}");
        cost.saw(seconds(4), &[]);
        assert_eq!(cost.of_page(), None, "no swap any more");
    }

    #[test]
    fn a_dear_hour_is_forgotten_with_nothing_read_after_it() {
        let mut cost = RefaultCost::default();
        cost.saw(seconds(0), &reads(0, Duration::ZERO));
        assert!(!cost.is_due(seconds(59), false) && cost.is_due(seconds(60), false));
        cost.saw(seconds(60), &reads(1000, seconds(10)));
        assert!(cost.is_due(seconds(61), true));
        let dear = micros(&cost);
        assert!((10_000..10_100).contains(&dear), "{dear}");
        for minute in 2..=120 {
            cost.saw(seconds(60 * minute), &reads(1000, seconds(10)));
        }
        assert!(micros(&cost) < 30, "two hours later: {cost:?}");
    }

    /// Counters that fall, that rise in one figure only, and devices that come with what they have counted before.
    #[test]
    fn devices_come_and_go() {
        let mut cost = RefaultCost::default();
        cost.saw(seconds(0), &[device(1, 1_000_000, seconds(400))]);
        cost.saw(seconds(1), &[device(1, 1_000_000, seconds(400)), device(2, 200_000, seconds(900))]);
        cost.saw(seconds(2), &[device(2, 200_000, seconds(900))]);
        assert_eq!(micros(&cost), 12);
        cost.saw(seconds(3), &[device(2, 0, Duration::ZERO)]);
        assert_eq!(micros(&cost), 12);
        cost.saw(seconds(4), &[device(2, 0, seconds(500))]);
        assert!(cost.of_page().is_some());
    }

    #[test]
    fn a_device_counts_as_much_as_there_is_in_it() {
        let zram = |used| SwapReads { used, ..device(1, 0, Duration::ZERO) };
        let disk = |used| {
            let usual = Duration::from_millis(1);
            SwapReads { used, is_next: false, usual, ..device(2, 0, Duration::ZERO) }
        };
        for (devices, want) in
            [([zram(0), disk(0)], 12), ([zram(1 << 30), disk(0)], 12), ([zram(1 << 30), disk(1 << 30)], 510)]
        {
            let mut cost = RefaultCost::default();
            cost.saw(seconds(0), &devices);
            // What the files of the disk are read for does not matter while nothing of swap is there.
            let [zram, disk] = devices;
            let disk = SwapReads { reads: 50, took: Duration::from_millis(50), ..disk };
            cost.saw(seconds(60), &[zram, disk]);
            assert_eq!(micros(&cost), want, "{devices:?}");
        }
    }
}
