//! Probes: ways of seeing which pages were touched, one folder each.

pub mod bpf;
pub mod etmem;
