//! A hosted engine in a process of its own (`isolate=yes`), so that its faults end nothing else.
//!
//! ```text
//!  daemon                                       its child: the same program, run anew
//!  Isolated ── link ══ socket pair, frames ══ child ── the engine itself
//!  (Hosted)      │                              │      (Hosted)
//!            notices its end                  ends when the daemon does
//! ```
//!
//! [`Isolated`] is told what the registry tells every [`Hosted`](etmem_engine::Hosted) engine and passes it on as a
//! message; [`serve`] is the other end. When the child ends by itself, every question that is under way is answered with
//! how it ended, its tasks stand still, and the first start after they were all stopped runs a new one, which is told of the
//! same tasks. One that hangs is ended when its engine is closed.
//!
//! How the child is run and how the engine is made in it are handed in: nothing here knows of plugins.

mod child;
mod end;
mod frame;
mod isolated;
mod link;
mod message;
mod section;

pub use child::serve;
pub use isolated::{Isolated, Program};
