//! Which processes a target names.
//!
//! A pid's descendants come from the `children` files of its threads (`CONFIG_PROC_CHILDREN`); where the kernel has
//! none, and for a name, from the parents in every process's `stat`. A process that ends meanwhile is left out, and so are
//! processes whose parent has its number by then: they may be children of another process that was given the number.

use super::memory_files::{numbered, thread_with_memory};
use super::names::{executable, likeness};
use super::sharing::{can_compare, one_for_each_memory, order_of};
use super::stat::{Stat, check_alive, means_gone, process_error, program};
use super::waiting::waited;
use crate::root::ProcRoot;
use crate::small_file;
use etmem_core::kernel::groups::GroupPattern;
use etmem_core::kernel::process::{
    JustForked, Pid, ProcessError, ProcessId, ProcessMemory, ProcessTable, Target, TargetError, Waited,
};
use rustix::time::{ClockId, clock_gettime};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;
use std::time::Duration;

/// The processes of the machine.
#[derive(Debug, Clone)]
pub struct Processes {
    proc: ProcRoot,
    /// Whether system calls find the same processes by their numbers.
    comparable: OnceLock<bool>,
}

/// At most this number of children of a thread is asked whether they were forked just now, the youngest, and of this number of threads, the
/// first of them all first: it is the one that forks, most often.
const CHILDREN_ASKED: usize = 64;
const THREADS_ASKED: usize = 16;

/// What the table keeps of one process.
#[derive(Debug, Clone, Copy)]
struct Entry {
    id: ProcessId,
    parent: u32,
    /// Has memory of its own: neither a kernel thread nor ended.
    has_memory: bool,
    /// Its memory is found by another thread than the first.
    first_thread_ended: bool,
    named: bool,
}

impl Entry {
    fn of(stat: &Stat<'_>, comm: Option<&str>) -> Self {
        Self {
            id: stat.id(),
            parent: stat.parent,
            has_memory: !stat.is_kernel_thread() && !stat.has_ended(),
            first_thread_ended: stat.is_zombie(),
            named: comm.is_some_and(|comm| comm.as_bytes() == stat.comm),
        }
    }
}

impl Processes {
    /// The processes whose procfs is at `proc`.
    #[must_use]
    pub fn new(proc: ProcRoot) -> Self {
        Self { proc, comparable: OnceLock::new() }
    }

    fn can_compare(&self) -> bool {
        *self.comparable.get_or_init(|| can_compare(&self.proc))
    }

    /// The process that has the number `pid` now, whatever it is, the caller included.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] where there is none.
    pub fn identify(&self, pid: Pid) -> Result<ProcessId, ProcessError> {
        let path = self.proc.process(pid, "stat");
        let text = small_file::read_record(&path)
            .map_err(|error| process_error(path.display().to_string(), &error))?;
        let stat = Stat::parse(&text).ok_or_else(|| ProcessError::Refused {
            call: path.display().to_string(),
            reason: "is not a process's stat as proc_pid_stat(5) describes it".into(),
        })?;
        if stat.has_ended() { Err(ProcessError::Exited) } else { Ok(stat.id()) }
    }

    /// Our own pid as this procfs numbers it, which in a container may not be what getpid(2) says.
    fn own_pid(&self) -> Option<Pid> {
        let text = small_file::read_record(&self.proc.own("stat")).ok()?;
        Stat::parse(&text).map(|stat| stat.pid)
    }

    /// The entry of `pid`; `None` if it is gone or its `stat` cannot be read, as with hidepid.
    fn entry(&self, pid: Pid, comm: Option<&str>) -> Option<Entry> {
        let text = small_file::read_record(&self.proc.process(pid, "stat")).ok()?;
        Stat::parse(&text).map(|stat| Entry::of(&stat, comm))
    }

    /// Every process there is.
    fn all(&self, comm: Option<&str>) -> Result<BTreeMap<Pid, Entry>, ProcessError> {
        let numbers = numbered(self.proc.path()).map_err(|error| ProcessError::Refused {
            call: self.proc.path().display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(numbers.into_iter().filter_map(|pid| Some((pid, self.entry(pid, comm)?))).collect())
    }

    /// The children of all threads of `pid`; `None` if the kernel does not list them.
    fn children(&self, pid: Pid) -> Option<Vec<Pid>> {
        self.children_of_threads(pid, usize::MAX, usize::MAX)
    }

    /// The same, of at most `most` threads the youngest `of_each`.
    fn children_of_threads(&self, pid: Pid, most: usize, of_each: usize) -> Option<Vec<Pid>> {
        let mut threads = match numbered(&self.proc.process(pid, "task")) {
            Ok(threads) => threads,
            Err(error) => return means_gone(&error).then(Vec::new),
        };
        threads.sort_unstable_by_key(|thread| (*thread != pid, *thread));
        let mut children = Vec::new();
        for thread in threads.into_iter().take(most) {
            match std::fs::read_to_string(self.proc.process(pid, &format!("task/{thread}/children"))) {
                Ok(text) => {
                    // The kernel lists the youngest last.
                    let youngest = text.split_whitespace().rev().take(of_each);
                    children.extend(youngest.filter_map(|pid| Pid::new(pid.parse().ok()?)));
                }
                // Either this thread ended or no thread has the file.
                Err(_) if !self.proc.process(pid, &format!("task/{thread}/stat")).exists() => {}
                Err(_) => return None,
            }
        }
        Some(children)
    }

    /// The child of `parent` that has the number `child`, if it was forked just now and has no program of its own yet.
    fn just_forked_by(&self, child: Pid, parent: Pid) -> Option<JustForked> {
        let text_of = |pid| small_file::read_record(&self.proc.process(pid, "stat")).ok();
        let of_child = text_of(child)?;
        let stat = Stat::parse(&of_child)?;
        if stat.parent != parent.get() || stat.has_ended() || !is_young(stat.id()) {
            return None;
        }
        (program(&of_child)? == program(&text_of(parent)?)?).then_some(JustForked { child, parent })
    }

    /// Of the control groups of `pid`, the uppermost that `pattern` means.
    fn group_of(&self, pid: Pid, pattern: &GroupPattern) -> Option<String> {
        let text = small_file::read_to_string(&self.proc.process(pid, "cgroup")).ok()?;
        pattern.uppermost(memory_group(&text)?).map(str::to_owned)
    }

    /// Whether `entry` still has its number.
    fn is_still(&self, entry: &Entry) -> bool {
        self.entry(entry.id.pid, None).is_some_and(|now| now.id == entry.id)
    }

    /// `root` and its descendants by the `children` files; `None` if the kernel has no such files.
    fn family_by_children(&self, root: Entry) -> Option<Vec<Entry>> {
        let mut family = Vec::new();
        let mut seen = BTreeSet::from([root.id.pid]);
        let mut open = vec![root];
        while let Some(entry) = open.pop() {
            let children: Vec<Entry> = self
                .children(entry.id.pid)?
                .into_iter()
                .filter(|child| seen.insert(*child))
                .filter_map(|child| self.entry(child, None))
                // Its number, too, may be another's since it was listed.
                .filter(|child| child.parent == entry.id.pid.get())
                .collect();
            if children.is_empty() || self.is_still(&entry) {
                open.extend(children);
            }
            family.push(entry);
        }
        Some(family)
    }

    /// The process `root` and its descendants.
    fn family(&self, root: Entry) -> Result<Vec<Entry>, ProcessError> {
        if let Some(family) = self.family_by_children(root) {
            return Ok(family);
        }
        let mut all = self.all(None)?;
        // Its number may have been given away since.
        all.insert(root.id.pid, root);
        Ok(self.families(&all, std::iter::once(root.id.pid)))
    }

    /// `roots` and all their descendants, by the parents in `all`.
    fn families(&self, all: &BTreeMap<Pid, Entry>, roots: impl Iterator<Item = Pid>) -> Vec<Entry> {
        let mut children: HashMap<u32, Vec<Pid>> = HashMap::new();
        for (pid, entry) in all {
            children.entry(entry.parent).or_default().push(*pid);
        }
        let mut seen = BTreeSet::new();
        let mut open: Vec<Pid> = roots.collect();
        while let Some(pid) = open.pop() {
            if seen.insert(pid)
                && let Some(children) = children.get(&pid.get())
                && all.get(&pid).is_some_and(|entry| self.is_still(entry))
            {
                open.extend(children);
            }
        }
        seen.iter().filter_map(|pid| all.get(pid)).copied().collect()
    }
}

/// Whether `process` began a short while ago.
fn is_young(process: ProcessId) -> bool {
    let now = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(process.start_time.saturating_mul(10))) < JustForked::FOR
}

/// The path of the group that counts the memory of a process, by the text of its `/proc/PID/cgroup`: that of the first version if
/// memory is counted there, else that of the second.
fn memory_group(text: &str) -> Option<&str> {
    let of_first = text.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == "memory").then_some(path)
    });
    let path = of_first.or_else(|| text.lines().find_map(|line| line.strip_prefix("0::")))?;
    // A group outside of our namespace is shown with dots.
    path.strip_prefix('/').filter(|path| !path.split('/').any(|part| part == ".."))
}

impl ProcessTable for Processes {
    fn name(&self, process: ProcessId) -> Option<String> {
        let text = small_file::read_record(&self.proc.process(process.pid, "stat")).ok()?;
        let stat = Stat::parse(&text).filter(|stat| stat.id() == process)?;
        Some(String::from_utf8_lossy(stat.comm).into_owned())
    }

    fn find(&self, target: &Target) -> Result<Vec<ProcessId>, ProcessError> {
        let family = match target {
            Target::Pid(pid) => match self.entry(*pid, None) {
                Some(root) => self.family(root)?,
                None => Vec::new(),
            },
            Target::Process(process) => match self.entry(process.pid, None) {
                Some(root) if root.id == *process => self.family(root)?,
                Some(_) | None => Vec::new(),
            },
            Target::Comm(comm) => {
                let all = self.all(Some(comm))?;
                let named = all.iter().filter(|(_, entry)| entry.named && entry.has_memory);
                self.families(&all, named.map(|(pid, _)| *pid))
            }
            Target::Exe(pattern) => {
                let all = self.all(None)?;
                let runs =
                    |pid: &Pid| executable(&self.proc, *pid).is_some_and(|path| pattern.matches(&path));
                let running = all.iter().filter(|(pid, entry)| entry.has_memory && runs(pid));
                self.families(&all, running.map(|(pid, _)| *pid))
            }
            Target::Machine => Vec::new(),
            Target::Groups(pattern) => {
                let all = self.all(None)?;
                let is_meant = |pid: &Pid| self.group_of(*pid, pattern).is_some();
                let meant = all.into_iter().filter(|(pid, entry)| entry.has_memory && is_meant(pid));
                meant.map(|(_, entry)| entry).collect()
            }
        };
        let own = self.own_pid();
        let found = family.into_iter().filter(|entry| entry.has_memory && Some(entry.id.pid) != own);
        let found = found.map(|entry| {
            let pid = entry.id.pid;
            (entry.id, if entry.first_thread_ended { thread_with_memory(&self.proc, pid) } else { pid })
        });
        let found: Vec<(ProcessId, Pid)> = found.collect();
        let mut found = if found.len() > 1 && self.can_compare() {
            one_for_each_memory(found)
        } else {
            found.into_iter().map(|(process, _)| process).collect()
        };
        found.sort_unstable();
        Ok(found)
    }

    fn check(&self, pid: Pid) -> Result<ProcessId, TargetError> {
        if self.own_pid() == Some(pid) {
            return Err(TargetError::Oneself(pid));
        }
        let text = small_file::read_record(&self.proc.process(pid, "stat"))
            .map_err(|_| TargetError::NoProcess(pid))?;
        match Stat::parse(&text) {
            Some(stat) if stat.is_kernel_thread() => Err(TargetError::KernelThread(pid)),
            Some(stat) if !stat.has_ended() => Ok(stat.id()),
            Some(_) | None => Err(TargetError::NoProcess(pid)),
        }
    }

    fn alike(&self, target: &Target) -> Vec<String> {
        let Target::Comm(name) = target else { return Vec::new() };
        let own = self.own_pid();
        let likeness = |pid: Pid| {
            let text = small_file::read_record(&self.proc.process(pid, "stat")).ok()?;
            let stat = Stat::parse(&text).filter(|stat| !stat.is_kernel_thread() && Some(pid) != own)?;
            likeness(&self.proc, pid, stat.comm, name)
        };
        let mut pids = numbered(self.proc.path()).unwrap_or_default();
        pids.sort_unstable();
        pids.into_iter().filter_map(likeness).collect()
    }

    fn order_of_memory(&self, one: ProcessId, other: ProcessId) -> Option<Ordering> {
        if self.can_compare() { order_of(&self.proc, one.pid, other.pid) } else { Some(one.cmp(&other)) }
    }

    fn group(&self, process: ProcessId, pattern: &GroupPattern) -> Option<String> {
        let group = self.group_of(process.pid, pattern)?;
        check_alive(&self.proc, process).ok().map(|()| group)
    }

    fn just_forked(&self, process: ProcessId) -> Option<JustForked> {
        if is_young(process)
            && let Some(parent) = self.entry(process.pid, None).and_then(|entry| Pid::new(entry.parent))
            && let Some(forked) = self.just_forked_by(process.pid, parent)
        {
            return Some(forked);
        }
        let children = self.children_of_threads(process.pid, THREADS_ASKED, CHILDREN_ASKED)?;
        children.into_iter().find_map(|child| self.just_forked_by(child, process.pid))
    }

    fn program(&self, process: ProcessId) -> Option<u64> {
        let text = small_file::read_record(&self.proc.process(process.pid, "stat")).ok()?;
        Stat::parse(&text).filter(|stat| stat.id() == process)?;
        program(&text)
    }

    fn waited(&self, process: ProcessId) -> Option<Waited> {
        waited(&self.proc, process.pid)
    }

    fn memory(&self, process: ProcessId) -> Result<ProcessMemory, ProcessError> {
        super::memory::memory(&self.proc, process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacer::SystemPacer;
    use etmem_core::kernel::pacer::Pacer;
    use etmem_core::kernel::process::Gone;

    /// A `/proc` of these processes: pid, name, state, parent, flags.
    fn tree(processes: &[(u32, &str, &str, u32, u32)], with_children: bool) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for (pid, comm, state, parent, flags) in processes {
            let folder = tree.path().join(pid.to_string());
            let thread = folder.join(format!("task/{pid}"));
            std::fs::create_dir_all(&thread).unwrap();
            let stat = format!(
                "{pid} ({comm}) {state} {parent} 1 1 0 -1 {flags} 1 2 3 4 5 6 7 8 20 0 1 0 {} 100 200\n",
                pid * 10
            );
            std::fs::write(folder.join("stat"), &stat).unwrap();
            std::fs::write(thread.join("stat"), &stat).unwrap();
            if with_children {
                let children: String = processes
                    .iter()
                    .filter(|child| child.3 == *pid)
                    .map(|child| format!("{} ", child.0))
                    .collect();
                std::fs::write(thread.join("children"), children).unwrap();
            }
        }
        std::os::unix::fs::symlink("50", tree.path().join("self")).unwrap();
        std::fs::write(tree.path().join("meminfo"), "").unwrap();
        tree
    }

    const MACHINE: &[(u32, &str, &str, u32, u32)] = &[
        (1, "init", "S", 0, 0),
        (2, "kthreadd", "S", 0, 0x20_8040),
        (3, "db", "S", 2, 0x20_8040),
        (10, "sh", "S", 1, 0),
        (11, "db", "S", 10, 0),
        (12, "db) S (x", "R", 11, 0),
        (13, "gone", "Z", 11, 0),
        (14, "db", "S", 12, 0),
        (20, "db", "Z", 1, 0),
        (50, "etmemd", "R", 10, 0),
        (51, "child", "R", 50, 0),
    ];

    fn found(processes: &Processes, target: Target) -> Vec<u32> {
        processes
            .find(&target)
            .unwrap()
            .into_iter()
            .map(|id| {
                assert_eq!(id.start_time, u64::from(id.pid.get()) * 10);
                id.pid.get()
            })
            .collect()
    }

    #[test]
    fn targets() {
        for with_children in [true, false] {
            let tree = tree(MACHINE, with_children);
            let processes = Processes::new(ProcRoot::new(tree.path()));
            for (target, want) in [
                (Target::Pid(Pid::new(10).unwrap()), vec![10, 11, 12, 14, 51]),
                (Target::Pid(Pid::new(14).unwrap()), vec![14]),
                (Target::Pid(Pid::new(13).unwrap()), vec![]),
                (Target::Pid(Pid::new(99).unwrap()), vec![]),
                (Target::Pid(Pid::new(2).unwrap()), vec![]),
                (Target::Comm("db".into()), vec![11, 12, 14]),
                (Target::Comm("db) S (x".into()), vec![12, 14]),
                (Target::Comm("d".into()), vec![]),
                (Target::Comm("kthreadd".into()), vec![]),
                (Target::Comm("etmemd".into()), vec![51]),
            ] {
                assert_eq!(
                    found(&processes, target.clone()),
                    want,
                    "{target} (children files: {with_children})"
                );
            }
        }
    }

    fn id(pid: u32, start_time: u64) -> ProcessId {
        ProcessId { pid: Pid::new(pid).unwrap(), start_time }
    }

    #[test]
    fn a_number_that_another_process_has_by_now() {
        for with_children in [true, false] {
            let tree = tree(MACHINE, with_children);
            let processes = Processes::new(ProcRoot::new(tree.path()));
            for (process, want, gone) in [
                (id(10, 100), vec![10, 11, 12, 14, 51], None),
                (id(10, 99), vec![], Some(Gone::Reused(Pid::new(10).unwrap()))),
                (id(99, 990), vec![], Some(Gone::Ended(Pid::new(99).unwrap()))),
                // It has ended, and its parent has not noticed.
                (id(13, 130), vec![], Some(Gone::Ended(Pid::new(13).unwrap()))),
                (id(50, 499), vec![], Some(Gone::Reused(Pid::new(50).unwrap()))),
                (id(2, 19), vec![], Some(Gone::Reused(Pid::new(2).unwrap()))),
            ] {
                let target = Target::Process(process);
                assert_eq!(found(&processes, target.clone()), want, "{process:?}");
                assert_eq!(processes.gone(&target), gone, "{process:?}");
            }
            for target in [Target::Pid(Pid::new(99).unwrap()), Target::Comm("nobody".into())] {
                assert_eq!(processes.gone(&target), None, "{target}: one may come");
            }
        }
    }

    /// A child that was listed under a number which another process has by now is no descendant.
    #[test]
    fn children_of_a_process_that_was_given_the_pid_are_left_out() {
        for with_children in [true, false] {
            let tree = tree(MACHINE, with_children);
            let processes = Processes::new(ProcRoot::new(tree.path()));
            let root = processes.entry(Pid::new(10).unwrap(), None).unwrap();
            let earlier = Entry { id: ProcessId { start_time: root.id.start_time - 1, ..root.id }, ..root };
            let pids = |root| {
                let family = processes.family(root).unwrap();
                family.iter().map(|entry| entry.id.pid.get()).collect::<BTreeSet<_>>()
            };
            assert_eq!(pids(root), BTreeSet::from([10, 11, 12, 13, 14, 50, 51]));
            assert_eq!(pids(earlier), BTreeSet::from([10]), "children files: {with_children}");
        }
    }

    #[test]
    fn processes_of_control_groups() {
        let tree = tree(MACHINE, true);
        for (pid, text) in [
            (1, "0::/init.scope\n"),
            (10, "0::/system.slice/a.service\n"),
            (11, "0::/system.slice/a.service/below\n"),
            // Memory is counted in a hierarchy of the first version.
            (12, "7:cpu,memory:/system.slice/b.service\n0::/elsewhere\n"),
            (14, "0::/user.slice\n"),
            (50, "0::/system.slice/a.service\n"),
            (51, "0::/../outside\n"),
        ] {
            std::fs::write(tree.path().join(format!("{pid}/cgroup")), text).unwrap();
        }
        let processes = Processes::new(ProcRoot::new(tree.path()));
        let pattern = |text| GroupPattern::new(text).unwrap();
        for (text, want) in [
            ("system.slice/*", vec![10, 11, 12]),
            ("system.slice/a.service", vec![10, 11]),
            ("system.slice/a.service/below", vec![11]),
            ("{init.scope,user.slice}", vec![1, 14]),
            ("/", vec![1, 10, 11, 12, 14]),
            ("nothing", vec![]),
        ] {
            assert_eq!(found(&processes, Target::Groups(pattern(text))), want, "{text}");
        }
        let group = |pid, text| processes.group(id(pid, u64::from(pid) * 10), &pattern(text));
        assert_eq!(group(11, "system.slice/*").as_deref(), Some("system.slice/a.service"));
        assert_eq!(group(14, "system.slice/*"), None);
        assert_eq!(processes.group(id(11, 9), &pattern("system.slice/*")), None, "another has its number");
    }

    #[test]
    fn what_can_be_a_target() {
        let tree = tree(MACHINE, true);
        let processes = Processes::new(ProcRoot::new(tree.path()));
        let check = |pid| processes.check(Pid::new(pid).unwrap());
        assert_eq!(check(10), Ok(id(10, 100)));
        assert_eq!(check(13), Err(TargetError::NoProcess(Pid::new(13).unwrap())));
        assert_eq!(check(99), Err(TargetError::NoProcess(Pid::new(99).unwrap())));
        assert_eq!(check(3), Err(TargetError::KernelThread(Pid::new(3).unwrap())));
        assert_eq!(check(50), Err(TargetError::Oneself(Pid::new(50).unwrap())));
    }

    #[test]
    fn a_table_that_cannot_be_read() {
        let processes = Processes::new(ProcRoot::new("/nonexistent/proc"));
        let error = processes.find(&Target::Comm("db".into())).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/proc"), "{error}");
    }

    #[test]
    fn memory_figures() {
        let tree = tree(MACHINE, true);
        let processes = Processes::new(ProcRoot::new(tree.path()));
        let process = ProcessId { pid: Pid::new(10).unwrap(), start_time: 100 };
        assert_eq!(processes.memory(process), Err(ProcessError::Exited));
        let status = "VmRSS:\t 8 kB\nRssAnon:\t 5 kB\nRssFile:\t 2 kB\nRssShmem:\t 1 kB\nVmSwap:\t 4 kB\nHugetlbPages:\t 2048 kB\n";
        std::fs::write(tree.path().join("10/status"), status).unwrap();
        let expected = ProcessMemory {
            resident: 8 << 10,
            swapped: 4 << 10,
            major_faults: 3,
            anonymous: 5 << 10,
            file: 2 << 10,
            shared: 1 << 10,
            huge_pool: 2 << 20,
        };
        assert_eq!(processes.memory(process), Ok(expected));
        let later = ProcessId { start_time: 101, ..process };
        assert_eq!(processes.memory(later), Err(ProcessError::Exited));
    }

    /// A shell that forks, and one that runs another program.
    #[test]
    fn who_has_just_forked() {
        let processes = Processes::new(ProcRoot::default());
        for (script, is_forked) in [("(while :; do sleep 1; done) & wait", true), ("sleep 60 & wait", false)]
        {
            let mut shell = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
            let parent = Pid::new(shell.id()).unwrap();
            let of = |pid| processes.entry(pid, None).map(|entry| entry.id);
            let child = (0..500).find_map(|_| {
                let _ = SystemPacer::new().pause(Duration::from_millis(10));
                let child = *processes.children(parent)?.first()?;
                let runs = std::fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
                (is_forked || runs.trim() == "sleep").then_some(child)
            });
            let child = child.expect("a child");
            let want = is_forked.then_some(JustForked { child, parent });
            for pid in [child, parent] {
                assert_eq!(processes.just_forked(of(pid).unwrap()), want, "{script}, process {pid}");
            }
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_raw(child.get().cast_signed()).unwrap(),
                rustix::process::Signal::KILL,
            );
            let _ = shell.wait();
        }
    }
}
