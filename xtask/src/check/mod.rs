//! The checks of `cargo xtask check`. [`list`] names and runs them; each of the others is one check or a family.

mod bpf_object;
mod cargo_runs;
pub(crate) mod generated;
mod licences;
pub(crate) mod list;
mod may_use;
mod may_use_table;
mod source_words;
mod verdict;
