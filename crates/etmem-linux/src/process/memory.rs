//! `/proc/PID/status`: how much memory a process uses.

use super::memory_files;
use super::stat::{alive, process_error};
use crate::figures::bytes_of;
use crate::root::ProcRoot;
use etmem_core::kernel::process::{ProcessError, ProcessId, ProcessMemory};

/// How much memory `process` uses now.
///
/// # Errors
/// [`ProcessError::Exited`] where it is gone.
pub(crate) fn memory(proc: &ProcRoot, process: ProcessId) -> Result<ProcessMemory, ProcessError> {
    let (path, text) = memory_files::status(proc, process.pid);
    let text = text.map_err(|error| process_error(path.display().to_string(), &error))?;
    let major_faults = alive(proc, process)?;
    // A process on its way out has no memory, and then no such lines.
    let figure = |name| bytes_of(&text, name).unwrap_or(0);
    Ok(ProcessMemory {
        resident: figure("VmRSS"),
        swapped: figure("VmSwap"),
        major_faults,
        anonymous: figure("RssAnon"),
        file: figure("RssFile"),
        shared: figure("RssShmem"),
        huge_pool: figure("HugetlbPages"),
    })
}
