//! What configuration files say: read, and added as they are.

use crate::registry::{Denied, Registry};
use etmem_config::{ConfigError, ConfigFile};
use std::path::Path;
use tracing::warn;

/// Lines for the client, or why nothing was done.
pub(crate) type Outcome = Result<Vec<String>, Vec<Denied>>;

/// What the file at `path` says.
pub(crate) fn read(path: &Path) -> Result<ConfigFile, Vec<Denied>> {
    etmem_config::load(path, &etmem_engine::keys()).map_err(refused)
}

/// Why a file cannot be read.
pub(crate) fn refused(error: ConfigError) -> Vec<Denied> {
    vec![Denied::Config(error)]
}

/// What of `file` is ignored, a line each, which go to the log.
pub(crate) fn warnings(file: &ConfigFile) -> Vec<String> {
    let lines: Vec<String> = file.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    for line in &lines {
        warn!("{line}");
    }
    lines
}

/// Adds what `file` lists. Its warnings come first in the answer.
pub(crate) fn add(registry: &mut Registry, file: &ConfigFile) -> Outcome {
    let mut lines = warnings(file);
    lines.extend(registry.add(file).map_err(|denied| vec![denied])?);
    Ok(lines)
}
