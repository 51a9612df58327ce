//! Which memory of a group leaves first, by what was seen of it (`swappiness=auto`).

use super::keys::Preference;
use etmem_core::kernel::groups::Swappiness;
use std::time::Duration;

/// Over about what time refaults and the filling of swap are remembered.
const MEMORY: Duration = Duration::from_secs(60);

/// Swap that would be full within this time at the present rate gets less.
const FILLING: f64 = 600.0;

/// Refaults of less than this decide nothing, in bytes.
const LITTLE: f64 = 1_048_576.0;

/// What was refaulted and swapped out lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Balance {
    refaulted_anon: f64,
    refaulted_file: f64,
    /// Bytes a second that go to swap.
    swap_rate: f64,
    last: Option<(Duration, u64)>,
}

impl Balance {
    /// Takes note, `now`, of what was refaulted since the last round, and of how much the group has in swap.
    pub(super) fn note(&mut self, now: Duration, (anon, file): (u64, u64), swapped: u64) {
        let passed = now.saturating_sub(self.last.map_or(now, |(at, _)| at)).as_secs_f64();
        let keep = (-passed / MEMORY.as_secs_f64()).exp();
        self.refaulted_anon = self.refaulted_anon.mul_add(keep, float(anon));
        self.refaulted_file = self.refaulted_file.mul_add(keep, float(file));
        if let Some((_, before)) = self.last
            && passed > 0.0
        {
            let rate = float(swapped.saturating_sub(before)) / passed;
            self.swap_rate = self.swap_rate.mul_add(keep, rate * (1.0 - keep));
        }
        self.last = Some((now, swapped));
    }

    /// What to ask of the kernel where `room` of `most` bytes may go to swap; nothing: it decides.
    pub(super) fn swappiness(&self, preference: Preference, room: u64, most: u64) -> Option<Swappiness> {
        if room == 0 {
            return Some(Swappiness::FILE_ONLY);
        }
        match preference {
            Preference::Kernel => None,
            Preference::Fixed(swappiness) => Some(swappiness),
            Preference::Auto => {
                let (anon, file) = (self.refaulted_anon + LITTLE, self.refaulted_file + LITTLE);
                let by_room = float(room) / float(most).max(1.0);
                let by_rate = 1.0 - self.swap_rate * FILLING / float(room);
                let factor = by_room.min(by_rate).clamp(0.0, 1.0);
                let number = f64::from(Swappiness::MOST) * file / (anon + file) * factor;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 200")]
                // There is room: some of it may be used.
                Swappiness::new((number.round() as u8).max(1))
            }
        }
    }
}

fn float(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 8 PiB")]
    let bytes = bytes as f64;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const ROOM: u64 = 1000 * MIB;

    fn auto(balance: &Balance, room: u64) -> u8 {
        balance.swappiness(Preference::Auto, room, ROOM).unwrap().get()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_follows_the_room_in_swap() {
        let balance = Balance::default();
        assert_eq!([ROOM, ROOM / 2, ROOM / 1000, 0].map(|room| auto(&balance, room)), [100, 50, 1, 0]);
        let fixed = Preference::Fixed(Swappiness::new(150).unwrap());
        assert_eq!(balance.swappiness(fixed, 0, ROOM), Some(Swappiness::FILE_ONLY));
        assert_eq!(balance.swappiness(fixed, 1, ROOM), Swappiness::new(150));
        assert_eq!(balance.swappiness(Preference::Kernel, 1, ROOM), None);
    }

    #[test]
    fn what_is_refaulted_leaves_less() {
        let mut balance = Balance::default();
        balance.note(seconds(0), (9 * MIB, 0), 0);
        assert_eq!(auto(&balance, ROOM), 18);
        balance.note(seconds(600), (0, 9 * MIB), 0);
        assert_eq!(auto(&balance, ROOM), 182);
        balance.note(seconds(1200), (0, 0), 0);
        assert_eq!(auto(&balance, ROOM), 100, "what was long ago is forgotten");
    }

    #[test]
    fn swap_that_fills_fast_gets_less() {
        let mut balance = Balance::default();
        balance.note(seconds(0), (0, 0), 0);
        // 1 MiB a second, for long: in 600 s more than half of what is left is used.
        for second in 1..600 {
            balance.note(seconds(second), (0, 0), second * MIB);
        }
        assert_eq!((auto(&balance, ROOM), auto(&balance, 600 * MIB)), (40, 1));
        for second in 600..1200 {
            balance.note(seconds(second), (0, 0), 599 * MIB);
        }
        assert_eq!(auto(&balance, ROOM), 100);
    }
}
