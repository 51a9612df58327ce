//! `make demo`: a workload, a daemon, the real commands, and a verdict from the kernel's own figures.
//!
//! [`story`] is what happens, [`figures`] and [`waiting`] what is measured of the workload, [`verdict`] what must hold,
//! [`project`] the configuration, also one that does harm. Where the machine or the user cannot do it, [`simulated`]
//! shows the same story over a scripted machine.

pub mod figures;
pub mod project;
pub mod simulated;
pub mod story;
pub mod verdict;
pub mod waiting;

pub use story::main;
pub use verdict::Verdict;
