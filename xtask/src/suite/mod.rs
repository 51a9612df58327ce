//! The run of all tests: [`run`] runs them, [`transcript`] reads what they print, [`allowed`] lists the skips
//! that a machine may have.

mod allowed;
pub(crate) mod run;
mod transcript;
