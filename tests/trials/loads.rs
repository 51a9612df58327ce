//! The loads. To add one: a row of `ALL`.

use etmem_testkit::workload::content::Random;

use crate::stores::StoreKind;

/// A server and what it is asked for.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) store: StoreKind,
    pub(crate) keys: usize,
    pub(crate) asked: Asked,
    /// At the beginning of each minute whose number is a multiple of this, a forked child writes a snapshot of all.
    pub(crate) snapshot_each: Option<u32>,
    /// Least share of the data that is to be out at the end.
    pub(crate) out_at_least: f64,
}

/// Which keys are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked {
    /// One in ten, all alike; the others once in this number of reads, or never.
    Tenth { others_in: Option<u64> },
    /// All, by Pareto's: this share of them in all other reads, of what these leave the same share, and so on.
    Pareto(f64),
    /// All, by Zipf's law with this exponent, the most popular ones anywhere.
    Zipf(f64),
}

pub(crate) static ALL: &[Load] = &[
    Load {
        name: "redis, a tenth hot",
        store: StoreKind::Redis,
        keys: 1_000_000,
        asked: Asked::Tenth { others_in: None },
        snapshot_each: None,
        out_at_least: 0.7,
    },
    Load {
        name: "redis, a tenth hot, BGSAVE",
        store: StoreKind::Redis,
        keys: 1_000_000,
        asked: Asked::Tenth { others_in: None },
        snapshot_each: Some(4),
        out_at_least: 0.7,
    },
    Load {
        name: "redis, zipf 0.99",
        store: StoreKind::Redis,
        keys: 1_000_000,
        asked: Asked::Zipf(0.99),
        snapshot_each: None,
        out_at_least: 0.0,
    },
    Load {
        name: "JVM, a tenth hot, marking",
        store: StoreKind::Jvm,
        keys: 1_000_000,
        asked: Asked::Tenth { others_in: None },
        snapshot_each: None,
        out_at_least: 0.0,
    },
    Load {
        name: "MariaDB, pareto 0.2",
        store: StoreKind::MariaDb,
        keys: 1_000_000,
        asked: Asked::Pareto(0.2),
        snapshot_each: None,
        out_at_least: 0.0,
    },
    Load {
        name: "PostgreSQL, pareto 0.2",
        store: StoreKind::Postgres,
        keys: 1_000_000,
        asked: Asked::Pareto(0.2),
        snapshot_each: None,
        out_at_least: 0.0,
    },
    Load {
        name: "memcached, a tenth hot, 0.01 % anywhere, crawler",
        store: StoreKind::Memcached { crawls: true },
        keys: 1_000_000,
        asked: Asked::Tenth { others_in: Some(10_000) },
        snapshot_each: None,
        out_at_least: 0.0,
    },
    Load {
        name: "memcached, a tenth hot, 0.01 % anywhere",
        store: StoreKind::Memcached { crawls: false },
        keys: 1_000_000,
        asked: Asked::Tenth { others_in: Some(10_000) },
        snapshot_each: None,
        // 90 % of what is hardly ever read.
        out_at_least: 0.81,
    },
];

/// The next keys of a load.
#[derive(Debug)]
pub(crate) struct Chooser {
    keys: usize,
    random: Random,
    law: Law,
}

/// How a key is drawn.
#[derive(Debug)]
enum Law {
    Tenth {
        others_in: Option<u64>,
    },
    /// The exponent.
    Pareto(f64),
    Zipf(Zipf),
}

/// What it takes to draw by Zipf's law in constant time (Gray and others, "Quickly generating billion-record synthetic
/// databases", 1994).
#[derive(Debug)]
struct Zipf {
    theta: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    fn new(keys: usize, theta: f64) -> Self {
        let zeta = |count: usize| (1..=count).map(|rank| (rank as f64).powf(-theta)).sum::<f64>();
        let all = zeta(keys);
        let eta = (1.0 - (2.0 / keys as f64).powf(1.0 - theta)) / (1.0 - zeta(2) / all);
        Self { theta, zeta: all, alpha: 1.0 / (1.0 - theta), eta }
    }

    /// A rank below `keys`, from 0, for a number from 0 to 1.
    fn rank(&self, keys: usize, uniform: f64) -> usize {
        let scaled = uniform * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(self.theta) {
            return 1;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to the number of keys"
        )]
        let rank = (keys as f64 * (self.eta * uniform - self.eta + 1.0).powf(self.alpha)) as usize;
        rank.min(keys - 1)
    }
}

/// From 0 to below 1.
fn uniform(random: &mut Random) -> f64 {
    (random.next() >> 11) as f64 / (1_u64 << 53) as f64
}

fn share_of(share: f64, keys: u64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to the number of keys"
    )]
    let key = (share * keys as f64) as u64;
    key.min(keys - 1)
}

impl Chooser {
    pub(crate) fn new(load: &Load) -> Self {
        let law = match load.asked {
            Asked::Zipf(theta) => Law::Zipf(Zipf::new(load.keys, theta)),
            Asked::Tenth { others_in } => Law::Tenth { others_in },
            Asked::Pareto(share) => Law::Pareto(share.ln() / (1.0 - share).ln()),
        };
        Self { keys: load.keys, random: Random::new(7), law }
    }

    pub(crate) fn next(&mut self) -> usize {
        let (keys, random) = (self.keys as u64, &mut self.random);
        let key = match &self.law {
            Law::Zipf(zipf) => {
                // A prime that does not divide the number of keys: neighbours by rank are not neighbours in memory.
                (zipf.rank(self.keys, uniform(random)) as u64).wrapping_mul(15_485_863) % keys
            }
            // Neighbours by rank lie beside one another, as in tables that are read from their beginning.
            Law::Pareto(exponent) => share_of(uniform(random).powf(*exponent), keys),
            Law::Tenth { others_in: Some(reads) } if random.next() % reads == 0 => random.next() % keys,
            // As they were written one after the other, they lie beside one another.
            Law::Tenth { .. } => random.next() % (keys / 10),
        };
        usize::try_from(key).unwrap_or(0)
    }
}
