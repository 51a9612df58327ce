//! Every rule of a configuration file that can be decided by the file alone: what it takes, and what it refuses in
//! which words. Each row names the rule; the file's own checks are in `file_checks.rs`.

mod engine;
mod meaning;
mod names;
mod older;
mod project;
mod row;
mod task;
mod whole_file;
