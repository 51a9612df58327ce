//! The objects of the command line, one in each file: options, help, and the request that they make.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod engine;
pub(crate) mod idle;
pub(crate) mod ksm;
pub(crate) mod man;
pub(crate) mod metrics;
pub(crate) mod migrate;
pub(crate) mod obj;
pub(crate) mod pressure;
pub(crate) mod project;
pub(crate) mod record;
pub(crate) mod reload;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod survey;
mod target;
pub(crate) mod task;
pub(crate) mod top;
pub(crate) mod warm;
pub(crate) mod where_is;
