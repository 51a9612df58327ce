//! Which node each page of a process lies on, and carrying pages from one node to another.
//!
//! ```text
//! heat -> pages -> where do they lie? -> census: bytes by node and count
//! heat -> pages with one count -> those on the one node -> moved to the other, within a budget
//! ```
//!
//! Nothing is kept per page: a census has a number per node and count, and what is to move is asked for once more when
//! it moves, count by count (the count is what pages are sorted by), a batch at a time. That costs a second question for
//! pages of the counts that move, and spares eight bytes and more for each page of memory; and what has moved or gone
//! since the census is known. A batch takes 3 MiB at most.

mod carry;
mod census;
mod pages;

pub use carry::{Budget, Carried, Way, carry};
pub use census::{Census, take_census};
