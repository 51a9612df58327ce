//! Thirdparty engines: policies from shared objects that are built against the headers of etmem 1.x.
//!
//! ```text
//! etmemd's registry ─▶ host (a thread per engine, deadlines) ─▶ guest (the border: plain data)
//!                                                                └▶ loaded (C structures, the nine functions)
//!                                                                     ├ library (checks, loads and unloads it)
//!                                                                     ├ key_file (GLib, for what a plugin reads)
//!                                                                     └ shared (struct project)
//! ```
//!
//! `etmem-abi` has the structures of `include/`. Authors of plugins find what they need in `include/` and `docs/plugins.md`.
//! On this side:
//!
//! - Calls into a plugin never overlap for one engine. All come from one thread, which belongs to the engine.
//! - Each wait for a plugin ends in time with an answer or a reason, and the rest of the daemon goes on.
//! - A structure stays in its place until the plugin has been called to clear it.
//! - A crash of a plugin in this process ends the daemon. `isolate=yes` runs the plugin in a process of its own.
#![expect(
    unsafe_code,
    reason = "the border to C: libraries, their functions, and the structures they share with us"
)]

mod answer;
mod current_call;
mod guest;
mod host;
pub mod isolated;
mod key_file;
mod library;
mod loaded;
mod shared;
mod text;

pub use shared::SharedProject;

use etmem_config::{EngineSection, ProjectSection};
use etmem_core::kernel::pacer::Pacer;
use etmem_engine::{Hosted, Refusal};
use guest::EngineTerms;
use host::Host;
use loaded::Loaded;
use std::sync::Arc;
use std::time::Duration;

/// The engine of `section` in `project`, with its plugin loaded. The plugins of one project share one `shared`.
/// Waits for the plugin for at most `limit` by `clock`.
///
/// # Errors
/// Why the plugin cannot be used, in a line for the client. It is not loaded then.
pub fn engine(
    project: &ProjectSection,
    section: &EngineSection,
    shared: &Arc<SharedProject>,
    clock: Arc<dyn Pacer>,
    limit: Duration,
) -> Result<Arc<dyn Hosted>, Refusal> {
    let terms = EngineTerms::new(project, section)?;
    let shared = Arc::clone(shared);
    let host = Host::open(terms, clock, limit, move |terms, call| Loaded::open(terms, &shared, call))?;
    Ok(Arc::new(host))
}
