//! The way of a page, without the machine.
//!
//! In comes what a [`kernel`] port saw of a process's pages; out go the ranges that should leave memory.
//! In between: [`scan`] (which mappings, how often), [`heat`] (how often each page was touched), [`policy`]
//! (which pages are cold), [`plan`] (what to move, and what became of it) and [`act`] (moving it in batches).
//! [`feedback`] knows what came back and how to go on then, [`guard`] when the machine or a target must not be asked for
//! more, [`throttle`] how fast pages may leave. [`idle_pages`] decodes what one of the kernel's interfaces tells.
//!
//! This crate opens no file, starts no thread and reads no clock: the ports do, and tests bring their own.

pub mod act;
pub mod address;
pub mod feedback;
pub mod guard;
pub mod heat;
pub mod idle_pages;
pub mod kernel;
pub mod local_time;
pub mod name;
pub mod placement;
pub mod plan;
pub mod policy;
pub mod scan;
mod segments;
pub mod throttle;
