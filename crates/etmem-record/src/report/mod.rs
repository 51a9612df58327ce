//! What is drawn of a record.
//!
//! ```text
//! a record --> Extent (where its memory is) --> Grid (address x time) --> heat map as text, SVG, HTML, CSV
//!         \--> Ages (bytes by when they were touched last, and the working set at each look) --> the same
//! ```
//!
//! A record is read twice for a heat map: its rows can only be laid out when it is known where the memory is.

pub mod about;
pub mod ages;
mod chart;
mod csv;
pub mod extent;
pub mod grid;
mod html;
pub mod scale;
mod svg;
mod text;
mod units;
mod write;

pub use about::{About, Format};
pub use ages::{Ages, AgesReport, WorkingSetReport};
pub use extent::{Extent, Layout};
pub use grid::{Grid, HeatReport};
pub use write::{room, write_ages, write_heat, write_working_set};
