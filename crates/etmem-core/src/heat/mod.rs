//! How often each page of a process was touched.
//!
//! In come the blocks that a probe saw, scan after scan ([`HeatUpdate`]); out go counts, in address order
//! ([`HeatMap::cursor`]), from which the policy picks.
//!
//! The counts live as a byte stream, written and read front to back ([`encoding`](self) says how): everything
//! that is done with heat is done in address order, so nothing needs an index. An update reads the old stream
//! while it writes the new one and frees the old as it goes, so the peak is one stream and two segments.
//!
//! What it costs: nothing per page for runs of blocks whose pages are all equal; half a byte per page while
//! counts stay below 15 (five scans), one byte below 255, nine bits above; 64 bytes more for a block with holes.
//! A block with fewer than about 50 pages present is a list of two bytes per page. There is never an
//! allocation per page or per block.

mod counts;
mod encoding;
mod map;
mod update;

pub use counts::{ABSENT, BlockCounts, COUNT_MAX};
pub(crate) use map::Writer;
pub use map::{Cursor, Entry, HeatMap, Histogram};
pub use update::HeatUpdate;
