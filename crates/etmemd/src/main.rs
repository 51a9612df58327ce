//! The daemon: the only place where the real parts are put together.
//!
//! The way of a command: [`server`] (bytes) → [`dispatch`] (which verb) → [`registry`] (is it allowed, what
//! changes) → [`worker`] (one thread per running task) → `etmem_engine` (a cycle). [`machine`] is the kernel
//! underneath.

mod dispatch;
mod log;
mod machine;
mod options;
mod registry;
mod server;
mod worker;

use machine::LinuxMachine;
use options::Options;
use registry::Registry;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long tasks get to end when the daemon stops; after that their threads end with it.
const SHUT_DOWN_DEADLINE: Duration = Duration::from_millis(700);

fn main() -> ExitCode {
    etmem_linux::share_one_heap();
    let options = match options::parse(std::env::args_os()) {
        Ok(options) => options,
        Err(exit) => return exit,
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("etmemd: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("must run as root: it looks at and moves other programs' memory".to_owned());
    }
    let listener = server::bind(&options.socket).map_err(|error| error.to_string())?;
    log::init(options.log_level)?;
    let registry = Registry::new(Arc::new(LinuxMachine::new(options.roots.clone())));
    let registry = server::serve(listener, registry)?;
    registry.shut_down(SHUT_DOWN_DEADLINE);
    Ok(())
}
