//! When each daemon is killed: the same phases and shares of them for the same seeds.

use std::fmt;

use etmem_testkit::workload::content::Random;

/// What the daemon is doing when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It starts.
    Start,
    /// `obj add`.
    Add,
    /// `project start`: what it looks with is loaded.
    Begin,
    /// It waits between two looks, or sets up what it looks with.
    Scan,
    /// It looks, and decides.
    Look,
    /// It moves.
    Move,
    /// `project stop`, somewhere in a cycle.
    Stop,
    /// `obj del`, somewhere in a cycle.
    Delete,
    /// It ends by SIGTERM, somewhere in a cycle.
    Exit,
}

impl Phase {
    pub(crate) const ALL: [Self; 9] = [
        Self::Start,
        Self::Add,
        Self::Begin,
        Self::Scan,
        Self::Look,
        Self::Move,
        Self::Stop,
        Self::Delete,
        Self::Exit,
    ];

    /// How many of 24 rounds are for it.
    fn weight(self) -> usize {
        match self {
            Self::Add | Self::Delete => 1,
            Self::Stop => 2,
            Self::Begin | Self::Scan | Self::Exit => 3,
            Self::Start | Self::Look => 3,
            Self::Move => 5,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Add => "obj add",
            Self::Begin => "project start",
            Self::Scan => "scan",
            Self::Look => "look",
            Self::Move => "move",
            Self::Stop => "project stop",
            Self::Delete => "obj del",
            Self::Exit => "exit",
        }
    }
}

/// A share of a time, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share(u32);

impl Share {
    const WHOLE: u32 = 1000;

    fn any(random: &mut Random) -> Self {
        Self(u32::try_from(random.below(Self::WHOLE as usize)).unwrap_or(0))
    }

    /// That much of `time`.
    pub(crate) fn of(self, time: std::time::Duration) -> std::time::Duration {
        time * self.0 / Self::WHOLE
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.0, Self::WHOLE)
    }
}

/// A moment to kill at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// What it was made of.
    pub(crate) seed: u64,
    pub(crate) phase: Phase,
    /// How far into that.
    pub(crate) share: Share,
    /// How far into a cycle that begins, where it ends one.
    pub(crate) lead: Share,
}

/// The moment of round `number` of the series with `seed`, whose rounds have these phases.
pub(crate) fn moment(seed: u64, number: usize, phases: &[Phase]) -> Moment {
    let seed = seed * 1000 + number as u64;
    let mut random = Random::new(seed);
    let deck: Vec<Phase> =
        phases.iter().flat_map(|phase| std::iter::repeat_n(*phase, phase.weight())).collect();
    let phase = deck[random.below(deck.len())];
    Moment { seed, phase, share: Share::any(&mut random), lead: Share::any(&mut random) }
}
