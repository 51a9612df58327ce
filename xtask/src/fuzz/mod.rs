//! `cargo xtask fuzz`: looks for bytes that a reader of bytes from outside cannot cope with.
//!
//! ```text
//!  target (which there are) --> build (libFuzzer and a target) --> search (a run of N seconds) --> output (what it told)
//! ```
//!
//! libFuzzer comes as C++ with the crate libfuzzer-sys. What it needs of the compiler, counters at the branches and
//! the values compared, stable Rust gives, too; memory errors are not looked for, as the readers are safe Rust.

mod build;
pub(crate) mod chore;
mod output;
mod search;
mod target;
