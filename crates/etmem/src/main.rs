//! `etmem`: asks an etmemd to do something, shows its answer and ends with the number that scripts know.
//!
//! The way of a command, up to the socket:
//!
//! ```text
//!  arguments --command_line, verb/*--> Request --connection--> etmemd
//!  ETMEM_SOCKET, /proc --listening--> SocketName ----^            |
//!  standard output, exit number <------------connection-----------+
//! ```
//!
//! Nothing here knows what a project is beyond its name: it stays thin because it cannot do more.

mod command_line;
mod connection;
mod failure;
mod listening;
mod verb;

use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use etmem_wire::Status;

use crate::failure::{Failure, SERVER_SAID_NO};

fn main() -> ExitCode {
    match run() {
        Ok(Status::Success) => ExitCode::SUCCESS,
        Ok(Status::Failure) => ExitCode::from(SERVER_SAID_NO),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.number())
        }
    }
}

fn run() -> Result<Status, Failure> {
    let asked = command_line::read(std::env::args_os())?;
    let from_environment = std::env::var_os("ETMEM_SOCKET");
    let socket = listening::choose(asked.socket, from_environment, Path::new("/proc"))?;
    let mut out = stdout().lock();
    let status = connection::ask(&socket, &asked.request, connection::PATIENCE, &mut out)?;
    out.flush().map_err(Failure::Output)?;
    Ok(status)
}
