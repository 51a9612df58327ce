//! DAMON, the kernel's own monitor of accesses: huge pages and, by way of the kernel's notifiers, what a KVM guest touches.
//!
//! Per process a kdamond, a thread of the kernel's, is given `regions`: a region for each block of the wanted ranges,
//! or several blocks where there are very many. In each sampling interval it looks at one page of each region: was
//! it touched since the last look? `prepare` begins to count again from 0, `check` reads how often each region was found
//! touched. DAMON is kept from merging and splitting regions, so that one huge page is one region and each count is its
//! own; it does that at the end of an aggregation, and here no aggregation ends (`session`).
//!
//! What goes into the heat: DAMON counts how often a block was touched, not whether it was written. A block never found touched is idle; one
//! that was counts as read, and one found touched at least half as often as the most touched block of the process, of
//! at least `regions::OFTEN_LEAST` times, counts as written: three times as much. Which pages are in memory, and which
//! are huge, comes from `frames`, not from DAMON.
//!
//! There is one DAMON for the whole machine. `crate::damon` makes sure that another program's settings stay, and that etmem's
//! are taken back, also those of an etmem that was killed.

mod regions;
mod session;
mod source;
mod watch;

pub use source::Damon;
