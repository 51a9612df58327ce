//! The files about a process's memory, which a process whose first thread has ended has in its other threads only.
//!
//! Such a process is a zombie by `/proc/PID/stat`, yet runs: the kernel finds memory by the thread that a number means, and
//! the first thread has none any more (`exit_mm`, kernel/exit.c).

use super::stat::Stat;
use crate::figures::bytes_of;
use crate::root::ProcRoot;
use crate::small_file;
use etmem_core::kernel::process::Pid;
use std::io;
use std::path::{Path, PathBuf};

/// The entries of the folder at `path` whose names are numbers.
pub(super) fn numbered(path: &Path) -> io::Result<Vec<Pid>> {
    let numbers = std::fs::read_dir(path)?.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        Pid::new(name.to_str()?.parse().ok()?)
    });
    Ok(numbers.collect())
}

/// The thread of `pid` by which the kernel finds its memory: `pid` itself, unless that thread has ended and others run.
pub(crate) fn thread_with_memory(proc: &ProcRoot, pid: Pid) -> Pid {
    // A thread that has memory has a program, too (`get_task_exe_file`, kernel/fork.c). The link is quickly read.
    if std::fs::read_link(proc.process(pid, "exe")).is_ok() {
        return pid;
    }
    let has_ended = |path: PathBuf| {
        let text = small_file::read_record(&path).ok();
        text.and_then(|text| Stat::parse(&text).map(|stat| stat.is_zombie())).unwrap_or(true)
    };
    if !has_ended(proc.process(pid, "stat")) {
        return pid;
    }
    let mut threads = numbered(&proc.process(pid, "task")).unwrap_or_default();
    threads.sort_unstable();
    let lives = |thread: &Pid| !has_ended(proc.process(pid, &format!("task/{thread}/stat")));
    threads.into_iter().find(lives).unwrap_or(pid)
}

/// The file `name` about the memory of `pid`, such as `maps`.
pub(crate) fn memory_file(proc: &ProcRoot, pid: Pid, name: &str) -> PathBuf {
    match thread_with_memory(proc, pid) {
        thread if thread == pid => proc.process(pid, name),
        thread => proc.process(pid, &format!("task/{thread}/{name}")),
    }
}

/// `/proc/PID/status` of the thread by which the kernel finds the memory of `pid`, and where that is.
///
/// # Errors
/// As reading has them.
pub(crate) fn status(proc: &ProcRoot, pid: Pid) -> (PathBuf, io::Result<Vec<u8>>) {
    let path = proc.process(pid, "status");
    let text = small_file::read_record(&path);
    if text.as_ref().is_ok_and(|text| bytes_of(text, "VmSize").is_some()) {
        return (path, text);
    }
    match memory_file(proc, pid, "status") {
        same if same == path => (path, text),
        other => {
            let text = small_file::read_record(&other);
            (other, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_thread_that_has_ended_is_passed_over() {
        let tree = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(tree.path());
        let pid = Pid::new(7).unwrap();
        let stat = |file: &str, state: &str| {
            let path = tree.path().join("7").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = format!("7 (x) {state} 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 3 0 5 1 2\n");
            std::fs::write(path, text).unwrap();
        };
        let maps = || memory_file(&proc, pid, "maps").strip_prefix(tree.path()).unwrap().to_owned();
        stat("stat", "S");
        assert_eq!(maps(), PathBuf::from("7/maps"));
        stat("stat", "Z");
        assert_eq!(maps(), PathBuf::from("7/maps"), "no thread is listed");
        stat("task/7/stat", "Z");
        stat("task/8/stat", "X");
        stat("task/11/stat", "S");
        stat("task/9/stat", "R");
        assert_eq!(maps(), PathBuf::from("7/task/9/maps"));
    }
}
