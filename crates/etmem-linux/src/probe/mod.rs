//! Probes: ways of seeing which pages were touched, one folder each.

pub mod bpf;
pub mod damon;
pub mod etmem;
pub mod idle;
