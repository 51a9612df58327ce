//! `etmem replay`: a task of slide over a record.
//!
//! [`machine`] stands for the machine: its programs touch what they touched when they were recorded, its clock is the record's. What is
//! paged out there comes back when the record says that it was touched. The task is a real one, with the engine's own keys, forecast and
//! caution; nothing of it is repeated here. [`absent`] are the ports that no such task uses. [`mod@run`] makes it, lets it work to the end of the record, and says what it did.

mod absent;
mod machine;
mod run;

pub(super) use run::run;
