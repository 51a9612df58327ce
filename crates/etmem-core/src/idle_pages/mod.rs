//! The stream that openEuler's module etmem_scan writes about a process's pages (`/proc/PID/idle_pages`).
//!
//! In come bytes of one read ([`Decoder`]); out come runs of equal pages ([`Run`]), and from these the blocks that a
//! probe gives to its sink, without what lies outside the ranges asked for ([`Blocks`]). A run stays a run: nothing is
//! done page by page where neighbours are alike, and nothing is allocated.
//!
//! A byte `type << 4 | count` covers `count` (1 to 15) pages of that type from the current address, which then is
//! the one after them. A byte `0xA0` and eight more, big-endian, set the current address; each stream begins with one:
//!
//! ```text
//! a0 00 00 70 00 00 00 00 00   52     03       5f      84      52      8e       5f 55    01     53
//! address 0x700000000000       2 idle 3 read   15 idle 4 holes 2 idle  14 holes 20 idle  1 read 3 idle
//! ```
//!
//! | type | pages | size | adds to the count |
//! | --- | --- | --- | --- |
//! | 0, 3, 5 | read, written, idle | base | 1, 3, 0 |
//! | 1, 4, 6 | read, written, idle | huge (PMD) | 1, 3, 0 |
//! | 2 | present | huge (PUD) | 1 |
//! | 7 | idle base pages | as many as a PMD covers | 0 |
//! | 8, 9 | holes | base, PMD | |
//!
//! Nothing here knows a file; the daemon's probe is in `etmem-linux`.

mod blocks;
mod sizes;
mod stream;

pub use blocks::Blocks;
pub use sizes::PageSizes;
pub use stream::{Content, Decoder, Run, StreamError};
