//! Thirdparty engines: policies from shared objects that are built against the headers of etmem 1.x.
//!
//! ```text
//! etmemd's registry ─▶ host (a thread per engine, deadlines) ─▶ guest (the border: plain data)
//!                                                                └▶ loaded (C structures, the nine functions)
//!                                                                     ├ library (checks, dlopen, when it is let go)
//!                                                                     ├ key_file (GLib, for what a plugin reads)
//!                                                                     └ shared (struct project)
//! ```
//!
//! `etmem-abi` has the structures of `include/`. What a plugin's author has to know stands in `include/` and
//! `docs/plugins.md`; what holds on this side:
//!
//! - Calls into a plugin never overlap for one engine, and all come on one thread of the engine's own.
//! - Whoever waits for a plugin has a reason in time, and the rest of the daemon goes on.
//! - A structure stays in its place until the plugin was told that it goes.
//! - A crash of a plugin in this process is the end of the daemon: nothing here can help that.
#![expect(
    unsafe_code,
    reason = "the border to C: libraries, their functions, and the structures they share with us"
)]

mod answer;
mod guest;
mod host;
mod key_file;
mod library;
mod loaded;
mod shared;
mod text;

pub use guest::{EngineTerms, Groups, Guest, TaskTerms, Watch};
pub use shared::SharedProject;

use etmem_config::{EngineSection, ProjectSection};
use etmem_core::kernel::pacer::Pacer;
use etmem_engine::{Hosted, Refusal};
use host::Host;
use loaded::Loaded;
use std::sync::Arc;
use std::time::Duration;

/// The engine of `section` in `project`, with its plugin loaded. The plugins of one project are given the same `shared`.
/// Waits for the plugin for at most `limit` by `clock`.
///
/// # Errors
/// Why the plugin cannot be had, in a line for the client; nothing of it is left then.
pub fn engine(
    project: &ProjectSection,
    section: &EngineSection,
    shared: &Arc<SharedProject>,
    clock: Arc<dyn Pacer>,
    limit: Duration,
) -> Result<Arc<dyn Hosted>, Refusal> {
    let terms = EngineTerms::new(project, section)?;
    let shared = Arc::clone(shared);
    let host = Host::open(terms, clock, limit, move |terms, watch| Loaded::open(terms, &shared, watch))?;
    Ok(Arc::new(host))
}
