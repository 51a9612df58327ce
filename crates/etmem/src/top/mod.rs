//! `top`: tasks and their processes, again and again, on a terminal or as plain tables.
//!
//! ```text
//!  etmemd --metrics, task show --json--> ask --Answer--> rows (filtered, sorted) --> screen, with the View that keys change
//!                                                                               \-> plain
//! ```
//!
//! [`answer`] and [`machine`] are what the daemon says as types; [`ask`] fetches it. [`rows`] is what there is to show of it,
//! [`view`] what a person has chosen, [`screen`] and [`plain`] how it looks. [`run`] joins them. Nothing here reads a clock: times and
//! rates come from the daemon's own figures.

mod answer;
mod ask;
mod machine;
mod plain;
mod rows;
mod run;
mod screen;
mod size;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use run::Top;
