//! A scripted machine with openEuler's kernel modules, mounted as a file system in the place of `/proc`.
//!
//! ```text
//! script (what pages do) -> process (what has come true) -> idle, swap (what the kernel would answer)
//!     -> machine (who asks, what goes wrong) -> mount (FUSE)        handle: all of it in the hands of a test
//! ```
//!
//! It is honest to the byte about `idle_pages` and `swap_pages`, as far as real reads are known; the head of
//! [`stream`] tells the rules and that of [`mount`] what FUSE cannot do. What costs is what differs: runs of pages
//! that do the same are one entry, and a process of 1 TiB is read as its bytes are made.

pub mod faults;
pub mod files;
pub mod handle;
mod hash;
pub mod idle;
mod leftover;
pub mod life;
pub mod machine;
pub mod mount;
mod pagemap;
pub mod process;
pub mod program;
pub mod random;
pub mod runs;
pub mod script;
pub mod stream;
pub mod swap;
pub mod text;

pub use faults::{Call, Fault, File, Planned};
pub use handle::{FakeProc, HandClock, lacks};
