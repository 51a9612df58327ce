//! A hosted engine in a process of its own (`isolate=yes`), so that its faults end nothing else.
//!
//! ```text
//!  daemon                                       its child: another process of the same program
//!  Isolated ── link ══ socket pair, frames ══ child ── the engine itself
//!  (Hosted)      │                              │      (Hosted)
//!            notices its end                  ends when the daemon does
//! ```
//!
//! [`Isolated`] gets the same calls from the registry as each [`Hosted`](etmem_engine::Hosted) engine and sends them as
//! messages; [`serve`] is the other end. If the child ends unexpectedly, each request under way is refused with the reason,
//! and its tasks stand still. After all of them are stopped, the next start runs a new child with the same tasks. A child
//! that hangs is killed when its engine is closed.
//!
//! The caller says how to run the child and how to make the engine in it: nothing here knows of plugins.

mod child;
mod end;
mod engine;
mod frame;
mod link;
mod message;
mod section;

pub use child::serve;
pub use engine::{Isolated, Program};
