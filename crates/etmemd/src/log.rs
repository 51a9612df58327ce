//! Where the log goes.

use std::io;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// Names the place of the log: `stderr`, or anything else for the choice by what the machine has.
const PLACE: &str = "ETMEMD_LOG";

/// Starts logging at `level`: to the journal where there is one, else to standard error.
///
/// # Errors
/// When something else in this process logs already.
pub(crate) fn init(level: LevelFilter) -> Result<(), String> {
    let stderr_wanted = std::env::var_os(PLACE).is_some_and(|place| place == "stderr");
    let journal = if stderr_wanted { None } else { tracing_journald::layer().ok() };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match journal {
        Some(journal) => Box::new(journal.with_field_prefix(None)),
        None => Box::new(
            tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(io::stderr),
        ),
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(level));
    tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())
}
