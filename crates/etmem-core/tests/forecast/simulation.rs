//! Two weeks of cycles over a simulated program, through the same functions as a real task's.

use crate::oracle::Oracle;
use crate::program::Program;
use crate::scripted::heat;
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use etmem_core::age::{Age, ByAge};
use etmem_core::feedback::{
    Goal, PageSet, PageSetBuilder, RefaultLimiter, ScannedCycle, Standings, mark_out, settle,
};
use etmem_core::forecast::{AgeRule, Forecast, Seen};
use etmem_core::kernel::probe::Access;
use etmem_core::kernel::process::ProcessMemory;
use etmem_core::plan::Plan;
use etmem_core::policy::{ColdRule, pick};
use std::time::Duration;

const WEEKS: Duration = Duration::from_secs(14 * 86_400);
/// A program has this much memory: each of its pages stands for many, which would take too long to simulate.
const MEMORY: u64 = 4 << 30;
const GOAL: f64 = 0.2;

/// What decides.
#[derive(Debug)]
pub(crate) enum Policy {
    /// At once, until too much refaulted: `age=none`.
    AtOnce(Box<RefaultLimiter>),
    /// At the age at which nothing refaults: `age=auto`.
    AtAge(Box<Forecast>),
}

impl Policy {
    pub(crate) fn at_once() -> Self {
        Self::AtOnce(Box::new(RefaultLimiter::new(Goal::percent_per_minute(GOAL))))
    }

    pub(crate) fn at_age(tick: Duration) -> Self {
        let goal = Goal::percent_per_minute(GOAL);
        Self::AtAge(Box::new(Forecast::new(goal, AgeRule::Auto, tick)))
    }
}

/// How it went.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// What refaulted, in percent of the working set and minute, over all of the time.
    pub(crate) rate: f64,
    /// The same of the worst hour.
    pub(crate) worst_hour: f64,
    /// The same without pages that left before the first surprise was over.
    pub(crate) worst_later: f64,
    /// Hours in which more refaulted than the goal allows.
    pub(crate) hours_over: usize,
    /// What was out all the time, of all pages.
    pub(crate) out: f64,
    /// Of what an oracle has out at the same rate of refaults, and of what one age has out that is the best in hindsight.
    pub(crate) of_oracle: f64,
    pub(crate) of_best_age: f64,
}

struct Run<'a> {
    program: &'a Program,
    policy: Policy,
    standings: Standings,
    /// When each page left.
    out_since: Vec<Option<u64>>,
    oracle: Oracle,
    range: AddressRange,
    /// How many pages one stands for.
    scale: u64,
}

/// What happened in a tick, in pages.
#[derive(Debug, Clone, Copy, Default)]
struct Tick {
    back: u64,
    /// Of these, what left after the first surprise.
    back_later: u64,
    working_set: u64,
    out: u64,
}

impl Run<'_> {
    /// What the program does in `tick`, as a probe sees it; and what refaulted of what left after `surprise`.
    fn touch(&mut self, tick: u64, surprise: Option<u64>) -> (Vec<Access>, u64) {
        let mut seen = Vec::with_capacity(self.program.pages);
        let mut later = 0;
        for (page, out) in self.out_since.iter_mut().enumerate() {
            let touched = self.program.touches(page, tick, out.is_some());
            if touched {
                self.oracle.touched(page, tick);
                let left = out.take();
                later += u64::from(left > surprise && left.is_some() && surprise.is_some());
            }
            seen.push(match (touched, &out) {
                (true, _) => Access::READ,
                (false, Some(_)) => Access::ABSENT,
                (false, None) => Access::IDLE,
            });
        }
        (seen, later)
    }

    fn tick(&mut self, tick: u64, surprise: Option<u64>) -> Tick {
        let (seen, back_later) = self.touch(tick, surprise);
        let cycle = ScannedCycle {
            number: tick,
            ticks: (tick.saturating_sub(1), tick),
            window: AddressRange::new(0, u64::MAX),
            ranges: &[self.range],
            working_set_ticks: 120_u64.div_ceil(self.program.tick.as_secs()),
            leave_alone: matches!(self.policy, Policy::AtOnce(_)),
            swap_shrank: false,
        };
        let scale = self.scale;
        let settled = settle(std::mem::take(&mut self.standings), &heat(&seen), &cycle);
        let (refaulted, working_set) = (settled.refaulted * scale, settled.working_set * scale);
        let (idle_for, bytes) = match &mut self.policy {
            Policy::AtOnce(limiter) => {
                limiter.refaulted(self.program.tick * u32::try_from(tick).unwrap(), refaulted, working_set);
                let limits = limiter.limits();
                let budget = if limits.paused { 0 } else { self.most() >> limits.halvings };
                (limits.idle_cycles, budget.min(limits.bytes.map_or(u64::MAX, |bytes| bytes / scale)))
            }
            Policy::AtAge(forecast) => {
                let now = self.program.tick * u32::try_from(tick).unwrap();
                let mut returned = settled.returned;
                returned.add_all(&settled.refaulted_by_age);
                let (returned, idle) = (scaled(&returned, scale), scaled(&settled.idle, scale));
                forecast.saw(now, &Seen { returned: &returned, refaulted, idle: &idle, working_set });
                let limits = forecast.limits(now);
                limits.age.map_or((1, 0), |age| (age.step(), limits.bytes / scale))
            }
        };
        let bytes = bytes.min(self.most()) / PAGE_SIZE * PAGE_SIZE;
        let ranks = settled.ranks.histogram();
        let (selection, _) = pick(ColdRule::Below(1), idle_for, bytes, &ranks, &ProcessMemory::default());
        let mut given = PageSetBuilder::default();
        for range in Plan::new(&settled.ranks, &ranks, selection).ranges() {
            given.add(range);
            for at in (range.start..range.end).step_by(4096) {
                self.out_since[usize::try_from((at - BLOCK_SIZE) / PAGE_SIZE).unwrap()] = Some(tick);
            }
        }
        let marked = mark_out(settled.standings, given.finish(), PageSet::default());
        match &mut self.policy {
            Policy::AtOnce(limiter) => limiter.left(marked.left * scale),
            Policy::AtAge(forecast) => forecast.left(marked.left * scale),
        }
        self.standings = marked.standings;
        let out = self.out_since.iter().filter(|out| out.is_some()).count() as u64;
        let working_set = (settled.working_set / PAGE_SIZE).max(1);
        Tick { back: settled.refaulted / PAGE_SIZE, back_later, working_set, out }
    }

    /// Bytes that may leave in a minute, before anything holds them back: all is out in four.
    fn most(&self) -> u64 {
        self.program.pages as u64 * PAGE_SIZE / 4
    }
}

/// Runs `program` under `policy` for two weeks.
pub(crate) fn run(program: &Program, policy: Policy) -> Outcome {
    let ticks = WEEKS.as_secs() / program.tick.as_secs();
    let pages = program.pages;
    let mut run = Run {
        program,
        policy,
        standings: Standings::default(),
        out_since: vec![None; pages],
        oracle: Oracle::new(pages, ticks),
        range: AddressRange::new(BLOCK_SIZE, BLOCK_SIZE + pages as u64 * PAGE_SIZE),
        scale: MEMORY / PAGE_SIZE / pages as u64,
    };
    let hour_of = 3600 / program.tick.as_secs();
    let mut hours = vec![Tick::default(); usize::try_from(ticks.div_ceil(hour_of)).unwrap()];
    let mut surprise = None;
    for tick in 0..ticks {
        let now = run.tick(tick, surprise);
        let hour = &mut hours[usize::try_from(tick / hour_of).unwrap()];
        hour.back += now.back;
        hour.back_later += now.back_later;
        hour.working_set += now.working_set;
        hour.out += now.out;
        let allowed = percent(1, now.working_set * hour_of, program) * hour.back as f64;
        surprise = surprise.or((allowed > GOAL).then_some(tick));
    }
    run.oracle.end(ticks);
    let sum = |of: fn(&Tick) -> u64| hours.iter().map(of).sum::<u64>();
    let (back, out) = (sum(|hour| hour.back), sum(|hour| hour.out));
    let worst = |of: fn(&Tick) -> u64| {
        hours.iter().map(|hour| percent(of(hour), hour.working_set, program)).fold(0.0, f64::max)
    };
    let of = |best: f64| if best > 0.0 { out as f64 / best } else { 1.0 };
    Outcome {
        rate: percent(back, sum(|hour| hour.working_set), program),
        worst_hour: worst(|hour| hour.back),
        worst_later: worst(|hour| hour.back_later),
        hours_over: hours.iter().filter(|hour| percent(hour.back, hour.working_set, program) > GOAL).count(),
        out: out as f64 / (ticks * pages as u64) as f64,
        of_oracle: of(run.oracle.of_future(back)),
        of_best_age: of(run.oracle.of_best_age(back)),
    }
}

/// Percent of the working set and minute, of sums over ticks.
fn percent(back: u64, working_sets: u64, program: &Program) -> f64 {
    back as f64 / working_sets as f64 * 100.0 / program.tick.as_secs_f64() * 60.0
}

fn scaled(bytes: &ByAge, scale: u64) -> ByAge {
    let mut scaled = ByAge::NONE;
    for age in Age::all() {
        scaled.add(age, bytes.of(age) * scale);
    }
    scaled
}
