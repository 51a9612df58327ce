//! How long the threads of a process have waited for a processor (`/proc/PID/task/TID/schedstat`,
//! Documentation/scheduler/sched-stats.rst in the kernel).

use super::memory_files::numbered;
use crate::root::ProcRoot;
use crate::small_file;
use etmem_core::kernel::process::{Pid, Waited};
use std::time::Duration;

/// Most threads that are read, spread over all: to open and read each takes some microseconds.
const THREADS_MOST: usize = 128;

/// That of each thread, as far as is read; none if the kernel does not count.
pub(super) fn waited(proc: &ProcRoot, process: Pid) -> Option<Waited> {
    let folder = proc.process(process, "task");
    let mut threads = numbered(&folder).ok()?;
    threads.sort_unstable();
    let step = threads.len().div_ceil(THREADS_MOST).max(1);
    let (mut each, mut counts) = (Vec::new(), false);
    for thread in threads.into_iter().step_by(step) {
        let file = folder.join(thread.to_string()).join("schedstat");
        let Ok(text) = small_file::read_record(&file) else { continue };
        if let Some((ran, waited)) = ran_and_waited(&String::from_utf8_lossy(&text)) {
            // A kernel that does not count writes zeroes.
            counts |= !ran.is_zero();
            each.push((thread.get(), waited));
        }
    }
    counts.then_some(Waited(each))
}

fn ran_and_waited(text: &str) -> Option<(Duration, Duration)> {
    let mut numbers = text.split_whitespace().map(|number| number.parse().map(Duration::from_nanos));
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_threads_where_the_kernel_counts() {
        let folder = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(folder.path());
        let process = Pid::new(42).unwrap();
        assert_eq!(waited(&proc, process), None, "no such process");
        for (thread, text) in [(42, "1000 70 3\n"), (43, "0 5 1\n"), (44, "garbage"), (45, "7 8")] {
            let thread = proc.process(process, "task").join(thread.to_string());
            std::fs::create_dir_all(&thread).unwrap();
            std::fs::write(thread.join("schedstat"), text).unwrap();
        }
        let each =
            [(42, 70), (43, 5), (45, 8)].map(|(thread, waited)| (thread, Duration::from_nanos(waited)));
        assert_eq!(waited(&proc, process), Some(Waited(each.to_vec())));
        let other = Pid::new(7).unwrap();
        let thread = proc.process(other, "task/7");
        std::fs::create_dir_all(&thread).unwrap();
        std::fs::write(thread.join("schedstat"), "0 0 0\n").unwrap();
        assert_eq!(waited(&proc, other), None, "it does not count");
    }

    #[test]
    fn of_many_threads_some_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(folder.path());
        let process = Pid::new(1000).unwrap();
        for thread in 1000..1300 {
            let thread = proc.process(process, "task").join(thread.to_string());
            std::fs::create_dir_all(&thread).unwrap();
            std::fs::write(thread.join("schedstat"), "1 2 3").unwrap();
        }
        let read = waited(&proc, process).unwrap().0;
        assert_eq!((read.len(), read[0].0, read[99].0), (100, 1000, 1297));
    }
}
