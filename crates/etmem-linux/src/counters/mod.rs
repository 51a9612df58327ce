//! What the machine says of its swap, for monitoring: what lies on which level, what compressed memory takes, what was read back.
//!
//! ```text
//!  rows: name, unit, help, where it is --> the files, each read once --> readings
//! ```
//!
//! Rows are what node_exporter does not have: no collector of it reads zram or zswap, and its `vmstat` leaves refaults out by its
//! default filter. A line that a kernel does not have is left out, and so is a row without any.

mod read;
mod rows;

pub use read::{Reading, readings};
pub use rows::{Counts, Row, Unit, rows};
