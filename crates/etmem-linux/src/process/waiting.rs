//! How long the threads of a process have waited for a processor (`/proc/PID/task/TID/schedstat`,
//! Documentation/scheduler/sched-stats.rst in the kernel).

use super::memory_files::numbered;
use crate::root::ProcRoot;
use crate::small_file;
use etmem_core::kernel::process::Pid;
use std::time::Duration;

/// Most threads that are read: to open and read each takes some microseconds.
const THREADS_MOST: usize = 128;

/// The sum over all threads, as far as is read; none if the kernel does not count.
pub(super) fn waited(proc: &ProcRoot, process: Pid) -> Option<Duration> {
    let folder = proc.process(process, "task");
    let threads = numbered(&folder).ok()?.into_iter().take(THREADS_MOST);
    let each = threads.filter_map(|thread| {
        let text = small_file::read_record(&folder.join(thread.to_string()).join("schedstat")).ok()?;
        ran_and_waited(&String::from_utf8_lossy(&text))
    });
    let (ran, waited) = each.reduce(|sum, each| (sum.0 + each.0, sum.1 + each.1))?;
    // A kernel that does not count writes zeroes.
    (!ran.is_zero()).then_some(waited)
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
        assert_eq!(waited(&proc, process), Some(Duration::from_nanos(83)));
        let other = Pid::new(7).unwrap();
        let thread = proc.process(other, "task/7");
        std::fs::create_dir_all(&thread).unwrap();
        std::fs::write(thread.join("schedstat"), "0 0 0\n").unwrap();
        assert_eq!(waited(&proc, other), None, "it does not count");
    }

    #[test]
    fn of_this_process() {
        let own = Pid::new(std::process::id()).unwrap();
        assert!(waited(&ProcRoot::default(), own).is_some());
    }
}
