//! The way of a page, without the machine.
//!
//! The input is what a [`kernel`] port saw of a process's pages; the output is the ranges that should leave memory.
//! In between: [`scan`] (which mappings, how often), [`heat`] (how often each page was touched), [`policy`] (which pages are
//! cold), [`plan`] (what to move, and what became of it) and [`act`] (moving it in batches). [`guard`] decides whether a
//! process may be worked on and how much may leave, [`throttle`] how fast. [`feedback`] knows what refaulted and holds the
//! task back. [`placement`] does the same between NUMA nodes. [`oldest`] chooses slots of compressed swap that sink to a disk. [`idle_pages`] decodes one of the kernel's interfaces.
//!
//! This crate opens no file, starts no thread and reads no clock: the ports do, and tests bring their own.

pub mod act;
pub mod address;
pub mod age;
mod arrays;
pub mod compressed;
pub mod feedback;
pub mod forecast;
pub mod guard;
pub mod heat;
pub mod idle_pages;
pub mod kernel;
pub mod name;
pub mod oldest;
mod page_bits;
pub mod placement;
pub mod plan;
pub mod policy;
pub mod scan;
mod segments;
pub mod throttle;
