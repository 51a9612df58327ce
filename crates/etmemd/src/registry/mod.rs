//! Projects, their engines, their tasks: what there is, what runs, and what may be done with it.
//!
//! Each request is carried out, or denied with a reason ([`Denied`]), in which case nothing has changed. There is
//! no socket here, no runtime and no lock: tests step it by hand, and one thread owns it in the daemon.
//!
//! [`entries`] is what there is. A file per kind of request changes or shows it: [`add`], [`change`], [`delete`], [`start`], [`show`],
//! [`command`]. [`hosting`] is what they have in common about plugins.

mod add;
mod change;
mod command;
mod deadline;
mod delete;
mod denied;
mod entries;
mod hosting;
#[cfg(test)]
#[path = "../../tests/unit/registry/hosting.rs"]
mod hosting_tests;
mod named;
mod overlaps;
mod show;
mod start;
#[cfg(test)]
#[path = "../../tests/unit/registry/tests.rs"]
mod tests;

pub(crate) use change::objects;
pub(crate) use command::CommandAnswer;
pub(crate) use deadline::LONGEST_REQUEST;
pub(crate) use delete::Object;
pub(crate) use denied::Denied;
pub(crate) use entries::Registry;
