//! A program with a hot and a cold part of memory, and the handle by which tests drive it.
//!
//! The program ([`program`]) fills its memory ([`memory`]) with content that anybody can compute again
//! ([`content`]), says where it is ([`footprint`]), and touches hot pages at random without pause. The other side
//! ([`client`]) starts it, reads how fast it goes, and asks it to check every byte.

pub mod client;
pub mod content;
pub mod footprint;
pub mod memory;
pub mod options;
pub mod pace;
pub mod program;

pub use client::{Sample, Workload};
pub use footprint::{Footprint, HotRule};
pub use options::{Layout, Options};
pub use pace::{Mark, Pace};
pub use program::main;
