//! Probes: ways of seeing which pages were touched, one folder each; `sight` has the table of which sees what.

pub mod bpf;
pub mod damon;
pub mod etmem;
pub mod idle;
pub(crate) mod none;
pub(crate) mod sight;
