//! The checks of `cargo xtask check`. [`list`] names and runs them; each of the others is one check or a family.

mod bpf_object;
mod cargo_runs;
mod circles;
pub(crate) mod generated;
mod licences;
mod links;
pub(crate) mod list;
mod may_use;
pub(crate) mod plain_words;
mod reference;
mod source_words;
mod table;
mod tables;
mod verdict;
