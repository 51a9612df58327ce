//! What a process is called besides its own name: its executable and its threads.

use super::memory_files::{memory_file, numbered};
use crate::root::ProcRoot;
use crate::small_file;
use etmem_core::kernel::process::Pid;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Most bytes that the kernel keeps of a name (`TASK_COMM_LEN` less its zero).
const COMM_MAX: usize = 15;

/// What the kernel puts after the path of an executable whose file was deleted or replaced.
const DELETED: &[u8] = b" (deleted)";

/// The path of the executable that `pid` runs, as its own mount namespace has it; `None` if it is gone or hidden from us.
pub(super) fn executable(proc: &ProcRoot, pid: Pid) -> Option<PathBuf> {
    let path = std::fs::read_link(memory_file(proc, pid, "exe")).ok()?.into_os_string().into_vec();
    let path = path.strip_suffix(DELETED).map(<[u8]>::to_vec).unwrap_or(path);
    Some(OsString::from_vec(path).into())
}

/// Why process `pid`, whose own name is `comm`, may be meant by `name`; `None` if nothing of it is called so.
pub(super) fn likeness(proc: &ProcRoot, pid: Pid, comm: &[u8], name: &str) -> Option<String> {
    let own = String::from_utf8_lossy(comm);
    let is_meant = |path: &Path| {
        path.file_name().is_some_and(|file| {
            let file = file.as_bytes();
            file.get(..COMM_MAX).unwrap_or(file) == name.as_bytes()
        })
    };
    if let Some(path) = executable(proc, pid).filter(|path| is_meant(path)) {
        return Some(format!("process {pid} runs {} and is named {own}", path.display()));
    }
    let threads = numbered(&proc.process(pid, "task")).ok()?;
    let is_named = |thread: &Pid| {
        let text = small_file::read(&proc.process(pid, &format!("task/{thread}/comm")));
        text.is_ok_and(|text| text.strip_suffix(b"\n").unwrap_or(&text) == name.as_bytes())
    };
    let thread = threads.into_iter().find(is_named)?;
    Some(format!("process {pid} is named {own} and only its thread {thread} has this name"))
}
