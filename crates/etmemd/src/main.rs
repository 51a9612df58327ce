//! The daemon: the only place where the real parts are put together.
//!
//! The way of a command: [`server`] (bytes) → [`registry_thread`] (one after the other) → [`dispatch`] (which verb) →
//! [`registry`] (is it allowed, what changes) → [`worker`] (one thread per running task) → `etmem_engine` (a cycle).
//! [`metrics_file`] writes what monitoring reads. [`config_folder`] adds and starts what is kept in files, [`files`] reads them. [`machine`] is the kernel underneath, [`doctor`] what it can do,
//! [`cleanup_records`] what stays set there if the daemon is killed. [`task_memory`] is what tasks know over its restart. [`scan_claims`] keeps its scans and those of commands apart. [`isolation`] runs a plugin in a process of its own.
//! [`balloons`] writes down what is taken of guests. [`once`] is what commands do without a daemon.
//! [`background`], [`pid_file`], [`log`] and [`service`] make it a service.

mod background;
mod balloons;
mod cleanup_records;
mod client_slots;
mod config_folder;
mod dispatch;
mod doctor;
mod exit;
mod files;
mod isolation;
mod journal;
mod log;
mod machine;
mod manual;
mod metrics;
mod metrics_file;
mod once;
mod options;
mod pid_file;
mod ports;
mod registry;
mod registry_thread;
mod rest;
mod scan_claims;
mod server;
mod service;
mod task_memory;
mod task_show;
mod wait_group;
mod whole_file;
mod worker;

use etmem_linux::own_memory;
use etmem_linux::root::{ProcRoot, SysRoot};
use exit::failed;
use log::Place;
use machine::LinuxMachine;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use options::{Asked, Options};
use pid_file::PidFile;
use registry::Registry;
use registry_thread::RegistryThread;
use service::ServiceManager;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use tracing::level_filters::LevelFilter;
use tracing::{error, warn};

/// Open files that a task with thousands of processes may need.
const OPEN_FILES: u64 = 1 << 16;

fn main() -> ExitCode {
    own_memory::share_one_heap();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if once::options::are_meant(&arguments) {
        return once::run::run(&arguments);
    }
    let options = match options::parse(arguments) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Doctor { roots, json }) => return doctor::print(&roots, json),
        Ok(Asked::TakeBack(sys)) => return take_back(&sys),
        Ok(Asked::Manual(directory)) => return manual::write(options::command(), &directory),
        Err(error) => {
            // Printing fails only if nothing reads; the status still tells.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    if !nix::unistd::geteuid().is_root() {
        return failed("must run as root: it reads and moves the memory of other programs");
    }
    if isolation::is_inside() {
        return isolation::run(&options);
    }
    if options.background && !background::is_inside() {
        return background::start();
    }
    run(&options).map_or_else(failed, |()| ExitCode::SUCCESS)
}

/// What killed daemons left. Running ones hold locks on the records of what they set, so theirs stays.
fn take_back(sys: &SysRoot) -> ExitCode {
    if !nix::unistd::geteuid().is_root() {
        return failed("must run as root: it writes settings of the kernel");
    }
    if let Err(reason) = log::init(LevelFilter::WARN) {
        return failed(reason);
    }
    let folder = cleanup_records::folder();
    cleanup_records::take_back(&folder, sys);
    match cleanup_records::left(&folder) {
        0 => ExitCode::SUCCESS,
        left => failed(format!(
            "{left} settings of the kernel stay as they are: a daemon runs that has set them, or they cannot be taken back now; {} has their records",
            folder.display()
        )),
    }
}

/// Each process that is watched takes some open files, and a task may name thousands.
fn open_files() -> nix::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = OPEN_FILES.min(hard);
    if soft < most { setrlimit(Resource::RLIMIT_NOFILE, most, hard) } else { Ok(()) }
}

fn run(options: &Options) -> Result<(), String> {
    let bound = server::bind(&options.socket).map_err(|error| error.to_string())?;
    // Held until the last task has ended.
    let pid_file = options.background.then(|| PidFile::hold(&pid_file::path())).transpose();
    let _pid_file = pid_file.map_err(|error| error.to_string())?;
    let place = log::init(options.log_level)?;
    // Its own pages are the last that should go to swap. Without the right to lock them it still works.
    if let Err(unavailable) = own_memory::lock(&ProcRoot::default()) {
        warn!("own memory may be swapped out: {unavailable}");
    }
    if let Err(error) = open_files() {
        warn!(
            "the number of open files cannot be raised: {error}; tasks with thousands of processes may need more"
        );
    }
    if options.background {
        background::leave_session().map_err(|error| format!("cannot leave the session: {error}"))?;
    }
    cleanup_records::take_back(&cleanup_records::folder(), &options.roots.sys);
    // Who can connect finds nothing that a killed daemon has left.
    let listener = bound.listen().map_err(|error| error.to_string())?;
    let registry = Registry::new(Arc::new(LinuxMachine::new(options.roots.clone())));
    let registry = RegistryThread::new(registry, options.config_folder.clone());
    if options.config_folder.is_some() {
        registry.handle.begin();
    }
    let manager = ServiceManager::from_environment();
    let ready = || {
        if options.background {
            background::tell_listening(place)
                .map_err(|error| format!("no process waits for the start: {error}"))?;
        }
        manager.ready(&options.socket);
        Ok(())
    };
    let served = server::serve(listener, &registry.handle, &manager, options.metrics_file.as_ref(), ready);
    served.and_then(|()| registry.end()).inspect_err(|reason| {
        if place != Place::StandardError {
            error!("{reason}");
        }
    })
}
