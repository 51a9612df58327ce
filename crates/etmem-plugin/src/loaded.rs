//! A plugin that is loaded into this process: its nine functions, and the structures that it sees.
//!
//! The structures are made here and stay in their place until the plugin was called to clear them (clear_task_params,
//! clear_eng_params). What it writes into them is its own. The processes of a task stay readable until the task starts again
//! or is removed, although free_pid_params was called for them when it stopped: a thread of the plugin may still read them.

use crate::current_call::CurrentCall;
use crate::guest::{EngineTerms, Groups, Guest, TaskTerms, fault};
use crate::key_file::Glib;
use crate::library::Plugin;
use crate::shared::{self, Mirror, SharedProject};
use crate::text::Text;
use etmem_abi as abi;
use etmem_config::FaultClass;
use etmem_engine::Refusal;
use nix::sys::stat::fstat;
use std::ffi::c_int;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread::available_parallelism;
use tracing::warn;

/// A plugin that works for an engine in this process, on the thread that made it.
#[derive(Debug)]
pub(crate) struct Loaded {
    call: Arc<CurrentCall>,
    project: Arc<Mirror>,
    engine: *mut abi::Engine,
    _name: Text,
    /// In the order in which they were added.
    tasks: Vec<LoadedTask>,
    glib: &'static Glib,
    // Dropped after what its code uses.
    plugin: Plugin,
}

#[derive(Debug)]
struct LoadedTask {
    name: String,
    task: *mut abi::Task,
    _texts: [Text; 3],
    /// The processes of its last start.
    pids: Vec<*mut abi::TaskPid>,
    runs: bool,
}

/// A function of the plugin's `struct engine_ops`, unless it is NULL now.
macro_rules! function {
    ($loaded:expr, $name:ident) => {{
        // SAFETY: the engine is ours and alive. Its operations are the plugin's own, in its loaded library.
        let operations = unsafe { (*$loaded.engine).ops.as_ref() };
        operations.and_then(|operations| operations.$name)
    }};
}

impl Loaded {
    /// Loads the plugin that `terms` name and has it fill its engine.
    pub(crate) fn open(
        terms: &EngineTerms,
        project: &SharedProject,
        call: &Arc<CurrentCall>,
    ) -> Result<Self, Refusal> {
        // Loaded before the plugin, which may use GLib without being linked with it.
        let glib = Glib::get()?;
        let plugin = call.during("being loaded", || Plugin::load(&terms.library, &terms.operations))?;
        let project = project.mirror(&terms.project);
        let mut name = Text::new(&terms.name);
        let engine = Box::into_raw(Box::new(abi::Engine {
            engine_type: abi::ETMEMD_THIRDPARTY_ENGINE,
            name: name.as_mut_ptr(),
            params: ptr::null_mut(),
            proj: project.project,
            page_ref: ptr::null_mut(),
            ops: plugin.operations,
            tasks: ptr::null_mut(),
            page_cnt: 0,
            next: ptr::null_mut(),
            handler: plugin.handle,
        }));
        let call = Arc::clone(call);
        let mut loaded = Self { call, project, engine, _name: name, tasks: Vec::new(), glib, plugin };
        if let Err(refusal) = loaded.fill(&terms.groups) {
            loaded.forget();
            return Err(refusal);
        }
        // SAFETY: removed from the list before it is freed.
        unsafe { loaded.project.put(engine) };
        Ok(loaded)
    }

    fn fill(&self, groups: &Groups) -> Result<(), Refusal> {
        let Some(fill) = function!(self, fill_eng_params) else { return Ok(()) };
        let keys = self.glib.key_file(groups)?;
        // SAFETY: the plugin's own function, with what it is made for.
        let status = self.call.during("fill_eng_params", || unsafe { fill(keys.file, self.engine) });
        self.check("fill_eng_params", status, "refuses the engine")
    }

    fn check(&self, function: &str, status: c_int, what: &str) -> Result<(), Refusal> {
        if status == 0 {
            return Ok(());
        }
        let library = self.plugin.path.display();
        Err(fault(format!("{library} {what}: {function} returned {status}; it may have logged why")))
    }

    /// Frees the engine, which the plugin never got or has cleared.
    fn forget(&mut self) {
        if !self.engine.is_null() {
            // SAFETY: made by Box, in no list, and not used again.
            drop(unsafe { Box::from_raw(self.engine) });
            self.engine = ptr::null_mut();
        }
    }

    fn place(&self, task: &str) -> Result<usize, Refusal> {
        let found = self.tasks.iter().position(|loaded| loaded.name == task);
        found.ok_or_else(|| fault(format!("its plugin has no task {task} any more")))
    }

    /// Makes a `struct task_pid` for each process, to which the plugin adds its own data.
    fn processes(&self, task: *mut abi::Task, processes: &[u32]) -> Result<Vec<*mut abi::TaskPid>, Refusal> {
        let mut pids: Vec<*mut abi::TaskPid> = Vec::new();
        for pid in processes {
            let node = Box::into_raw(Box::new(abi::TaskPid {
                pid: *pid,
                rt_swapin_rate: 0.0,
                params: ptr::null_mut(),
                tk: task,
                next: ptr::null_mut(),
            }));
            let mut place = node;
            let status = function!(self, alloc_pid_params).map_or(0, |alloc| {
                // SAFETY: the plugin's own function, with what it is made for.
                self.call.during("alloc_pid_params", || unsafe { alloc(self.engine, &raw mut place) })
            });
            if let Err(refusal) = self.check("alloc_pid_params", status, &format!("refuses process {pid}")) {
                // SAFETY: made above, and the plugin did not take it.
                drop(unsafe { Box::from_raw(node) });
                self.free_params(&pids);
                free_nodes(pids);
                return Err(refusal);
            }
            if let Some(before) = pids.last() {
                // SAFETY: made above.
                unsafe { (**before).next = node };
            }
            pids.push(node);
        }
        Ok(pids)
    }

    /// Lets the plugin free what it added to `pids`.
    fn free_params(&self, pids: &[*mut abi::TaskPid]) {
        let Some(free) = function!(self, free_pid_params) else { return };
        for pid in pids {
            let mut place = *pid;
            // SAFETY: the plugin's own function, with what it is made for.
            self.call.during("free_pid_params", || unsafe { free(self.engine, &raw mut place) });
        }
    }

    fn stop(&mut self, place: usize) {
        let Some(loaded) = self.tasks.get_mut(place) else { return };
        if !std::mem::take(&mut loaded.runs) {
            return;
        }
        let Some(LoadedTask { task, pids, .. }) = self.tasks.get(place) else { return };
        if let Some(stop) = function!(self, stop_task) {
            // SAFETY: the plugin's own function, with what it is made for.
            self.call.during("stop_task", || unsafe { stop(self.engine, *task) });
        }
        // SAFETY: ours and alive; the processes stay where they are.
        unsafe { AtomicPtr::from_ptr(&raw mut (**task).pids) }.store(ptr::null_mut(), Ordering::Release);
        self.free_params(pids);
    }

    fn remove(&mut self, place: usize) {
        self.stop(place);
        if place >= self.tasks.len() {
            return;
        }
        // All of it stays until the plugin has cleared it.
        let gone = self.tasks.remove(place);
        let task = gone.task;
        // SAFETY: the engine and its tasks are ours and alive, and changed on this thread alone.
        unsafe { shared::take(&raw mut (*self.engine).tasks, task, |task| &raw mut (*task).next) };
        if let Some(clear) = function!(self, clear_task_params) {
            // SAFETY: the plugin's own function, with what it is made for.
            self.call.during("clear_task_params", || unsafe { clear(task) });
        }
        free_nodes(gone.pids);
        // SAFETY: made by Box, in no list, and cleared by the plugin.
        drop(unsafe { Box::from_raw(task) });
    }
}

/// Frees processes that no task has any more.
fn free_nodes(pids: Vec<*mut abi::TaskPid>) {
    for pid in pids {
        // SAFETY: made by Box, and not used again.
        drop(unsafe { Box::from_raw(pid) });
    }
}

/// Within the bounds of the original: from 1 to twice the number of processors plus 1.
fn threads(wanted: usize) -> c_int {
    let most = 2 * available_parallelism().map_or(1, NonZeroUsize::get) + 1;
    c_int::try_from(wanted.clamp(1, most)).unwrap_or(c_int::MAX)
}

impl Guest for Loaded {
    fn project_runs(&mut self, runs: bool) {
        self.project.runs(runs);
    }

    fn add_task(&mut self, terms: &TaskTerms) -> Result<(), Refusal> {
        let mut texts = [Text::new(terms.kind), Text::new(&terms.value), Text::new(&terms.name)];
        let [kind, value, name] = &mut texts;
        let task = Box::into_raw(Box::new(abi::Task {
            kind: kind.as_mut_ptr(),
            value: value.as_mut_ptr(),
            name: name.as_mut_ptr(),
            max_threads: threads(terms.max_threads),
            swap_flag: if terms.swap_flag { abi::VMA_SCAN_FLAG } else { 0 },
            pids: ptr::null_mut(),
            eng: self.engine,
            params: ptr::null_mut(),
            task_pt: 0,
            timer_inst: ptr::null_mut(),
            threadpool_inst: ptr::null_mut(),
            next: ptr::null_mut(),
        }));
        let filled = function!(self, fill_task_params).map_or(Ok(()), |fill| {
            let keys = self.glib.key_file(&terms.groups)?;
            // SAFETY: the plugin's own function, with what it is made for.
            let status = self.call.during("fill_task_params", || unsafe { fill(keys.file, task) });
            self.check("fill_task_params", status, &format!("refuses task {}", terms.name))
        });
        if let Err(refusal) = filled {
            // SAFETY: made above, and the plugin did not take it.
            drop(unsafe { Box::from_raw(task) });
            return Err(refusal);
        }
        // SAFETY: ours and alive; removed from the list before it is freed.
        unsafe { shared::put(&raw mut (*self.engine).tasks, task, |task| &raw mut (*task).next) };
        let name = terms.name.clone();
        self.tasks.push(LoadedTask { name, task, _texts: texts, pids: Vec::new(), runs: false });
        Ok(())
    }

    fn remove_task(&mut self, task: &str) {
        if let Ok(place) = self.place(task) {
            self.remove(place);
        }
    }

    fn start_task(&mut self, task: &str, processes: &[u32]) -> Result<(), Refusal> {
        let place = self.place(task)?;
        let library = self.plugin.path.display();
        let Some(start) = function!(self, start_task) else {
            return Err(fault(format!("{library} has no start_task, so no task of it can start")));
        };
        self.stop(place);
        let Some(loaded) = self.tasks.get_mut(place) else { return Ok(()) };
        free_nodes(std::mem::take(&mut loaded.pids));
        let task_at = loaded.task;
        let pids = self.processes(task_at, processes)?;
        let first = pids.first().copied().unwrap_or(ptr::null_mut());
        // SAFETY: ours and alive.
        let pids_at = unsafe { AtomicPtr::from_ptr(&raw mut (*task_at).pids) };
        pids_at.store(first, Ordering::Release);
        self.plugin.stays();
        // SAFETY: the plugin's own function, with what it is made for.
        let status = self.call.during("start_task", || unsafe { start(self.engine, task_at) });
        let checked = self.check("start_task", status, &format!("does not start task {task}"));
        if checked.is_err() {
            pids_at.store(ptr::null_mut(), Ordering::Release);
            self.free_params(&pids);
        }
        if let Some(loaded) = self.tasks.get_mut(place) {
            loaded.pids = pids;
            loaded.runs = checked.is_ok();
        }
        checked
    }

    fn stop_task(&mut self, task: &str) {
        if let Ok(place) = self.place(task) {
            self.stop(place);
        }
    }

    fn answer(&mut self, task: Option<&str>, command: &str, out: OwnedFd) -> Result<(), Refusal> {
        let refused = |reason| Refusal { reason, class: FaultClass::InvalidParameters };
        let library = self.plugin.path.display();
        let Some(answer) = function!(self, eng_mgt_func) else {
            return Err(refused(format!("{library} has no eng_mgt_func, so it has no commands")));
        };
        let task = match task {
            Some(task) => {
                let place = self.place(task)?;
                self.tasks.get(place).map_or(ptr::null_mut(), |loaded| loaded.task)
            }
            None => ptr::null_mut(),
        };
        let mut words = Text::new(command);
        let lent = Lent::new(out)?;
        // SAFETY: the plugin's own function, with what it is made for: a task of its engine or none, and a descriptor.
        let status = self
            .call
            .during("eng_mgt_func", || unsafe { answer(self.engine, task, words.as_mut_ptr(), lent.number) });
        if !lent.take_back() {
            return Err(fault(format!(
                "{library}: eng_mgt_func closed the descriptor that it writes to, which etmemd has to close"
            )));
        }
        if status == 0 {
            return Ok(());
        }
        Err(refused(format!("{library} refuses command {command}: eng_mgt_func returned {status}")))
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if self.engine.is_null() {
            return;
        }
        for place in (0..self.tasks.len()).rev() {
            self.stop(place);
        }
        for place in (0..self.tasks.len()).rev() {
            self.remove(place);
        }
        if let Some(clear) = function!(self, clear_eng_params) {
            // SAFETY: the plugin's own function, with what it is made for.
            self.call.during("clear_eng_params", || unsafe { clear(self.engine) });
        }
        self.project.take(self.engine);
        self.forget();
    }
}

/// A descriptor that is lent to a plugin to write to. The plugin has the number and may do anything with it.
struct Lent {
    number: RawFd,
    /// Device and inode of the pipe.
    pipe: (u64, u64),
}

impl Lent {
    fn new(out: OwnedFd) -> Result<Self, Refusal> {
        let pipe = pipe_of(out.as_fd()).ok_or_else(|| fault("the descriptor for its answer is not open"))?;
        debug_assert!(out.as_raw_fd() >= 0);
        Ok(Self { number: out.into_raw_fd(), pipe })
    }

    /// Closes it, or returns false if its number now stands for something else.
    fn take_back(self) -> bool {
        // SAFETY: only fstat(2) uses it, which finds out whether it is open.
        let now = pipe_of(unsafe { BorrowedFd::borrow_raw(self.number) });
        if now != Some(self.pipe) {
            warn!("a plugin closed a descriptor that was lent to it");
            return false;
        }
        // SAFETY: it is still the pipe that was lent, and ours to close. (That another thread of the plugin closes it at this
        // moment cannot be ruled out.)
        drop(unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(self.number) });
        true
    }
}

fn pipe_of(descriptor: BorrowedFd<'_>) -> Option<(u64, u64)> {
    fstat(descriptor).ok().map(|status| (status.st_dev, status.st_ino))
}
