//! Cycles of a minute over a simulated program, through the same functions as a real task's.

use crate::program::{PAGES, Program};
use crate::scripted::heat;
use etmem_core::address::{AddressRange, BLOCK_SIZE, PAGE_SIZE};
use etmem_core::feedback::{
    Goal, PageSet, PageSetBuilder, RefaultLimiter, ScannedCycle, Standings, mark_out, settle,
};
use etmem_core::kernel::probe::Access;
use etmem_core::kernel::process::ProcessMemory;
use etmem_core::plan::Plan;
use etmem_core::policy::{ColdRule, pick};
use std::time::Duration;

/// Two weeks.
const MINUTES: u64 = 14 * 24 * 60;
/// Each page of the program stands for this many of a real one, which is too large to be simulated: the goal's floor is for
/// programs that are really small.
const SCALE: u64 = 512;
/// Bytes that may leave in a minute, before anything holds them back: all is out in three.
const PER_CYCLE: u64 = PAGES as u64 * PAGE_SIZE / 4;

/// How it went.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) goal: Option<f64>,
    /// Bytes that came back.
    pub(crate) refaulted: u64,
    /// The same in percent of the working set and minute, over all of the time.
    pub(crate) rate: f64,
    /// The same of the worst hour.
    pub(crate) worst_hour: f64,
    /// Share of the minutes in which more came back than the goal allows in one.
    pub(crate) minutes_over: f64,
    /// What is out at the end of what an oracle would have out, on average over the last half of the time.
    pub(crate) of_oracle: f64,
    /// Share of the time in which nothing moved.
    pub(crate) paused: f64,
}

/// Runs `program` with the goal `goal`, in percent a minute.
pub(crate) fn run(program: Program, goal: Option<f64>) -> Outcome {
    let mut limiter = RefaultLimiter::new(goal.map(|goal| Goal::percent_per_minute(goal).unwrap()));
    let mut standings = Standings::default();
    let mut out_since: Vec<Option<u64>> = vec![None; PAGES];
    let range = AddressRange::new(BLOCK_SIZE, BLOCK_SIZE + PAGES as u64 * PAGE_SIZE);
    let cold: Vec<bool> = (0..PAGES).map(|page| program.is_cold(page)).collect();
    let (mut back, mut sets) = (Vec::new(), Vec::new());
    let (mut paused, mut of_oracle) = (0u64, 0.0);
    for minute in 0..MINUTES {
        let mut seen = Vec::with_capacity(PAGES);
        for (page, out) in out_since.iter_mut().enumerate() {
            let touched = program.touches(page, minute, *out);
            *out = out.filter(|_| !touched);
            seen.push(match (touched, &out) {
                (true, _) => Access::READ,
                (false, Some(_)) => Access::ABSENT,
                (false, None) => Access::IDLE,
            });
        }
        let heat = heat(&seen);
        let whole = AddressRange::new(0, u64::MAX);
        let cycle = ScannedCycle {
            number: minute,
            ticks: (minute.saturating_sub(1), minute),
            window: whole,
            ranges: &[range],
            working_set_ticks: 2,
            leave_alone: goal.is_some(),
            swap_shrank: false,
        };
        let settled = settle(standings, &heat, &cycle);
        limiter.refaulted(
            Duration::from_secs(60 * minute),
            settled.refaulted * SCALE,
            settled.working_set * SCALE,
        );
        back.push(settled.refaulted);
        sets.push(settled.working_set.max(1));
        let limits = limiter.limits();
        paused += u64::from(limits.paused);
        let budget = if limits.paused { 0 } else { PER_CYCLE >> limits.halvings };
        let budget = budget.min(limits.bytes.map_or(u64::MAX, |bytes| bytes / SCALE));
        let ranks = settled.ranks.histogram();
        let figures = ProcessMemory::default();
        let (selection, _) = pick(ColdRule::Below(1), limits.idle_cycles, budget, &ranks, &figures);
        let mut given = PageSetBuilder::default();
        for range in Plan::new(&settled.ranks, &ranks, selection).ranges() {
            given.add(range);
            for at in (range.start..range.end).step_by(4096) {
                out_since[usize::try_from((at - BLOCK_SIZE) / PAGE_SIZE).unwrap()] = Some(minute);
            }
        }
        let marked = mark_out(settled.standings, given.finish(), PageSet::default());
        limiter.left(marked.left * SCALE);
        standings = marked.standings;
        if minute >= MINUTES / 2 {
            let out = out_since.iter().zip(&cold).filter(|(out, cold)| out.is_some() && **cold).count();
            let all = cold.iter().filter(|cold| **cold).count();
            of_oracle += out as f64 / all as f64 / (MINUTES / 2) as f64;
        }
    }
    let percent = |back: &[u64], sets: &[u64]| {
        back.iter().sum::<u64>() as f64 / sets.iter().sum::<u64>() as f64 * 100.0
    };
    let hours = back.chunks(60).zip(sets.chunks(60)).map(|(back, sets)| percent(back, sets));
    let over =
        back.iter().zip(&sets).filter(|(back, set)| percent(&[**back], &[**set]) > goal.unwrap_or(0.2));
    Outcome {
        goal,
        refaulted: back.iter().sum(),
        rate: percent(&back, &sets),
        worst_hour: hours.fold(0.0, f64::max),
        minutes_over: over.count() as f64 / MINUTES as f64,
        of_oracle,
        paused: paused as f64 / MINUTES as f64,
    }
}
