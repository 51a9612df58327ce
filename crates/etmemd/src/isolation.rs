//! `isolate=yes`: this program as the process of one engine.
//!
//! It is executed again instead of forked, as in the background: with the same command line, and its end of the socket pair
//! as standard input. `etmem_plugin::isolated` passes the requests that come from there to the engine.

use crate::exit::failed;
use crate::log;
use crate::options::Options;
use etmem_linux::pacer::SystemPacer;
use etmem_linux::root::own_program;
use etmem_plugin::isolated::{self, Program};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;

/// Set in the environment of an engine's process.
const MARK: &str = "ETMEMD_ENGINE_PROCESS";

/// What its command line begins with.
const NAME: &str = "etmemd-engine";

/// The same for the kernel, which would call it by the last part of the path that it is run by.
const COMM: &CStr = c"etmemd-engine";

/// Whether this process is one.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// How to run one: by the file that this process runs, since after an upgrade its name means another program.
pub(crate) fn program() -> Program {
    Box::new(|| {
        let mut command = Command::new(own_program());
        command.arg0(NAME).args(std::env::args_os().skip(1)).env(MARK, "1");
        Ok(command)
    })
}

/// Runs this one until the daemon lets go of it or ends.
pub(crate) fn run(options: &Options) -> ExitCode {
    let end = serve(options).map_err(|reason| format!("the process of an engine: {reason}"));
    end.map_or_else(failed, |()| ExitCode::SUCCESS)
}

fn serve(options: &Options) -> Result<(), String> {
    // A request to all processes of a service to end means the daemon; this one ends with it.
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    signals.thread_block().map_err(|error| format!("cannot block signals: {error}"))?;
    prctl::set_name(COMM).map_err(|error| format!("cannot set its name: {error}"))?;
    let stream = take_standard_input().map_err(|error| format!("cannot take standard input: {error}"))?;
    log::init(options.log_level)?;
    let served = isolated::serve(stream, |project, section, deadline| {
        let clock = Arc::new(SystemPacer::new());
        etmem_plugin::engine(project, section, &Arc::default(), clock, deadline)
    });
    served
        .inspect_err(|error| tracing::error!("the process of an engine: {error}"))
        .map_err(|error| error.to_string())
}

/// The socket, out of the plugin's way.
fn take_standard_input() -> io::Result<UnixStream> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket.into())
}
