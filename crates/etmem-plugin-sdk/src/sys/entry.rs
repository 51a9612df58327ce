//! What the daemon calls, for any policy.
//!
//! `engine.params` is a boxed `Arc` of the policy, `task.params` a boxed [`Added`]; each is made by a fill function and
//! freed by its clear function. The structures of the daemon are read during a call only: the thread of a task has copies.
#![expect(unsafe_code, reason = "raw pointers of the C interface")]

#[cfg(test)]
mod tests;

use super::key_file::KeyFile;
use super::log::log;
use crate::group::Group;
use crate::policy::Policy;
use crate::process::Target;
use crate::refusal::Refusal;
use crate::run::{Run, STOP_DEADLINE};
use crate::task::{Rhythm, Task};
use etmem_abi::{self as abi, Engine, EngineOps, GKeyFile, PAGE_SCAN, PageScan, Project};
use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The functions of a policy; use [`export!`](crate::export).
#[doc(hidden)]
#[must_use]
pub const fn operations<P: Policy>() -> EngineOps {
    EngineOps {
        fill_eng_params: Some(fill_engine::<P>),
        clear_eng_params: Some(clear_engine::<P>),
        fill_task_params: Some(fill_task::<P>),
        clear_task_params: Some(clear_task::<P>),
        start_task: Some(start_task::<P>),
        stop_task: Some(stop_task::<P>),
        alloc_pid_params: None,
        free_pid_params: None,
        eng_mgt_func: Some(command::<P>),
    }
}

/// A task that was added.
struct Added<P: Policy> {
    policy: Arc<P>,
    task: Arc<Task<P::Settings>>,
    label: String,
    running: Mutex<Option<Run>>,
}

impl<P: Policy> Added<P> {
    fn start(&self) -> Result<(), Refusal> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_some_and(|run| !run.has_ended()) {
            return Err(Refusal::new(
                "the policy has not ended its earlier run yet; stop it, and start it later",
            ));
        }
        // A run that returned without a stop is waited for, until its thread has ended.
        running.take().and_then(|run| run.stop(STOP_DEADLINE));
        let (policy, task) = (Arc::clone(&self.policy), Arc::clone(&self.task));
        *running = Some(Run::start(self.label.clone(), move |stop| policy.run(&task, stop))?);
        Ok(())
    }

    fn stop(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running = running.take().and_then(|run| run.stop(STOP_DEADLINE));
        if running.is_some() {
            log(&format!("{}: the policy was asked to stop and does not end", self.label));
        }
    }
}

/// 0 if `body` succeeds, -1 if it refuses, which is logged.
fn answered(call: &str, body: impl FnOnce() -> Result<(), Refusal>) -> c_int {
    let result =
        catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(Refusal::new("the policy panicked")));
    match result {
        Ok(()) => 0,
        Err(refusal) => {
            // A panic while logging must not leave this function either.
            let _ = catch_unwind(|| log(&format!("{call}: {refusal}")));
            -1
        }
    }
}

/// The string at `text`; empty for NULL.
///
/// # Safety
/// `text` is NULL or a string.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The policy of the engine at `engine`.
///
/// # Safety
/// `engine` is NULL or an engine that [`fill_engine`] filled, or did not fill, and that has not been cleared since.
unsafe fn policy<'a, P: Policy>(engine: *const Engine) -> Result<&'a Arc<P>, Refusal> {
    // SAFETY: as the caller promises.
    let params = unsafe { engine.as_ref() }.map_or(ptr::null(), |engine| engine.params.cast_const());
    // SAFETY: as the caller promises.
    unsafe { params.cast::<Arc<P>>().as_ref() }.ok_or_else(|| Refusal::new("the engine was not added"))
}

/// What [`fill_task`] made for the task at `task`.
///
/// # Safety
/// As [`policy`], of [`fill_task`].
unsafe fn added<'a, P: Policy>(task: *const abi::Task) -> Result<&'a Added<P>, Refusal> {
    // SAFETY: as the caller promises.
    let params = unsafe { task.as_ref() }.map_or(ptr::null(), |task| task.params.cast_const());
    // SAFETY: as the caller promises.
    unsafe { params.cast::<Added<P>>().as_ref() }.ok_or_else(|| Refusal::new("the task was not added"))
}

/// The name of the project, and when it scans.
///
/// # Safety
/// `project` is NULL or a project.
unsafe fn rhythm(project: *const Project) -> (String, Option<Rhythm>) {
    // SAFETY: as the caller promises.
    let Some(project) = (unsafe { project.as_ref() }) else { return (String::new(), None) };
    // SAFETY: as above.
    let name = unsafe { text(project.name) };
    if project.kind != PAGE_SCAN {
        return (name, None);
    }
    // SAFETY: of this type where the project is of that kind.
    let Some(scan) = (unsafe { project.scan_param.cast::<PageScan>().as_ref() }) else { return (name, None) };
    let seconds = |value| Duration::from_secs(u64::try_from(value).unwrap_or(0));
    let rhythm = Rhythm {
        looks: u32::try_from(scan.loops).unwrap_or(0),
        interval: seconds(scan.interval),
        sleep: seconds(scan.sleep),
    };
    (name, Some(rhythm))
}

unsafe extern "C" fn fill_engine<P: Policy>(config: *mut GKeyFile, engine: *mut Engine) -> c_int {
    answered("fill_eng_params", || {
        if engine.is_null() {
            return Err(Refusal::new("the engine is NULL"));
        }
        // SAFETY: the daemon lends it for the call.
        let group = Group::new(unsafe { KeyFile::new(config) }?, "engine");
        let policy = Box::new(Arc::new(P::new(&group)?));
        // SAFETY: not NULL, and this call's alone.
        unsafe { (*engine).params = Box::into_raw(policy).cast() };
        Ok(())
    })
}

unsafe extern "C" fn clear_engine<P: Policy>(engine: *mut Engine) {
    answered("clear_eng_params", || {
        // SAFETY: NULL or an engine of the daemon's, this call's alone.
        let Some(engine) = (unsafe { engine.as_mut() }) else { return Ok(()) };
        let params = std::mem::replace(&mut engine.params, ptr::null_mut()).cast::<Arc<P>>();
        if !params.is_null() {
            // SAFETY: boxed by `fill_engine`, and taken out of the engine just now.
            drop(unsafe { Box::from_raw(params) });
        }
        Ok(())
    });
}

unsafe extern "C" fn fill_task<P: Policy>(config: *mut GKeyFile, task: *mut abi::Task) -> c_int {
    answered("fill_task_params", || {
        // SAFETY: NULL or a task of the daemon, whose strings and engine are valid during the call; so below.
        let Some(given) = (unsafe { task.as_ref() }) else { return Err(Refusal::new("the task is NULL")) };
        // SAFETY: as above.
        let policy = Arc::clone(unsafe { policy::<P>(given.eng) }?);
        // SAFETY: as above.
        let group = Group::new(unsafe { KeyFile::new(config) }?, "task");
        let settings = policy.settings(&group)?;
        // SAFETY: as above; `policy` has found the engine not to be NULL.
        let (name, kind, value, (project, rhythm)) =
            unsafe { (text(given.name), text(given.kind), text(given.value), rhythm((*given.eng).proj)) };
        let label = format!("project {project} task {name}");
        let target = Target::new(&kind, &value);
        let max_threads = u32::try_from(given.max_threads).unwrap_or(0).max(1);
        let added = Added::<P> {
            policy,
            task: Arc::new(Task { name, target, rhythm, max_threads, settings }),
            label,
            running: Mutex::default(),
        };
        // SAFETY: not NULL, and this call's alone.
        unsafe { (*task).params = Box::into_raw(Box::new(added)).cast() };
        Ok(())
    })
}

unsafe extern "C" fn clear_task<P: Policy>(task: *mut abi::Task) {
    answered("clear_task_params", || {
        // SAFETY: NULL or a task of the daemon's, this call's alone.
        let Some(task) = (unsafe { task.as_mut() }) else { return Ok(()) };
        let params = std::mem::replace(&mut task.params, ptr::null_mut()).cast::<Added<P>>();
        if !params.is_null() {
            // SAFETY: boxed by `fill_task`, and taken out of the task just now.
            let added = unsafe { Box::from_raw(params) };
            // The daemon has stopped it before. If not, its thread must not outlive its code.
            added.stop();
        }
        Ok(())
    });
}

unsafe extern "C" fn start_task<P: Policy>(_engine: *mut Engine, task: *mut abi::Task) -> c_int {
    answered("start_task", || {
        // SAFETY: NULL or a task of the daemon's.
        let added = unsafe { added::<P>(task) }?;
        added.start().map_err(|refusal| Refusal::new(format!("{}: {refusal}", added.label)))
    })
}

unsafe extern "C" fn stop_task<P: Policy>(_engine: *mut Engine, task: *mut abi::Task) {
    answered("stop_task", || {
        // SAFETY: NULL or a task of the daemon's.
        unsafe { added::<P>(task) }?.stop();
        Ok(())
    });
}

unsafe extern "C" fn command<P: Policy>(
    engine: *mut Engine,
    task: *mut abi::Task,
    command: *mut c_char,
    descriptor: c_int,
) -> c_int {
    answered("eng_mgt_func", || {
        // SAFETY: NULL or the daemon's; a string; so below.
        let policy = unsafe { policy::<P>(engine) }?;
        // SAFETY: as above.
        let task = if task.is_null() { None } else { Some(unsafe { added::<P>(task) }?) };
        // SAFETY: as above.
        let command = unsafe { text(command) };
        // SAFETY: the daemon lends it for the call, and it is not closed here.
        let mut answer = Answer(ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) }));
        let result = policy.command(task.map(|added| &*added.task), &command, &mut answer);
        if let Err(refusal) = &result {
            // The client may have left; the reason is logged as well.
            let _ = answer.0.write_all(refusal.to_string().as_bytes());
        }
        result
    })
}

/// Text for the client. It is UTF-8, so it cannot contain the two bytes that end an answer.
struct Answer(ManuallyDrop<File>);

impl fmt::Write for Answer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}
