//! The run of all tests: [`programs`] builds them, [`lanes`] says which run side by side, [`run`] runs them, [`transcript`]
//! reads what they print, [`allowed`] lists the skips that a machine may have.

mod allowed;
mod lanes;
mod output;
mod programs;
pub(crate) mod run;
mod transcript;
