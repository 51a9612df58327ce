//! `make demo`: a workload, a daemon, the real commands, and a verdict from the kernel's own figures.
//!
//! [`story`] is what happens, [`figures`] what is measured of the workload each second, [`verdict`] what must hold.
//! Where the machine or the user cannot do it, [`simulated`] tells the same story over a scripted machine.

pub mod figures;
pub mod simulated;
pub mod story;
pub mod verdict;

pub use story::main;
