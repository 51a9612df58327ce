//! What became of the pages that were moved out, and what follows from it.
//!
//! ```text
//! heat of a cycle + what was known (Standings) -> settle -> what refaulted, what may go (ranks), what is known now
//!                                                   |
//!                          refaults, working set -> RefaultLimiter -> how long idle, how much, or not at all
//!                                                   |
//!                  plan of the ranks, what left of it -> mark_out -> what is known now
//! ```
//!
//! Before much leaves, a sample does: [`Trust`] says whether a probe is believed about a target.
//!
//! [`Standing`] is what is known of one page, [`Standings`] of all pages of a process, [`settle()`] and [`mark_out`] bring
//! it forward, [`RefaultLimiter`] keeps a task within its goal. All of it is pure: time and figures are handed in.
//!
//! What it costs: nothing per page for runs of blocks whose pages stand alike, a bit for each page of a block where pages
//! stand in two ways (moved out and touched), two bits for up to four ways, four for up to sixteen, eight beyond; three
//! bytes for each page in a block where few differ from the rest. There is no allocation per page or per block.

mod back_off;
mod cost;
mod encoding;
mod estimate;
mod goal;
mod last_touch;
mod mark;
mod page_set;
mod refault_limiter;
mod settle;
mod standing;
mod standings;
mod tally;
mod trust;
mod walk;

pub use back_off::BackOff;
pub use cost::RefaultCost;
pub use estimate::refaulted_by_faults;
pub use goal::Goal;
pub(crate) use goal::{FLOOR, InTime};
pub use last_touch::{LOOKS_MAX, LastTouches};
pub use mark::{Marked, mark_out};
pub use page_set::{PageSet, PageSetBuilder};
pub use refault_limiter::{RefaultLimiter, RefaultLimits};
pub(crate) use settle::TOUCHED_RANK;
pub use settle::{ScannedCycle, Settled, settle};
pub use standing::{IDLE_CYCLES_MAX, Standing};
pub use standings::Standings;
pub use trust::{Evidence, SAMPLE_LEAST, Trust};
