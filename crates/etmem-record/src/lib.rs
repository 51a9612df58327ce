//! Records of what programs touch.
//!
//! ```text
//! looks --> Memory (what is unlike the look before) --> Writer --> FILE --> Reader --> Memory --> report, replay
//! damo's JSON ------------------------------------------^
//! ```
//!
//! [`memory`] is what a look found and how little of it has to be written; [`writer`] and [`reader`] are the file, [`header`] what it says of
//! itself; [`damo`] reads records of DAMON's user space tool. [`report`] draws. No file is opened here and no clock is read: what writes
//! and reads is passed in.

mod bits;
pub mod damo;
mod frame;
pub mod header;
pub mod memory;
mod number;
pub mod reader;
pub mod report;
pub mod writer;

pub use bits::PageBits;
pub use memory::{BlockPages, Memory};
pub use reader::{Event, Look, Reader};
pub use writer::Writer;
