//! Cslide over a scripted machine with NUMA nodes.

#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test fails by panicking")]

mod any;
mod faults;
mod placing;
mod stand;
mod together;
