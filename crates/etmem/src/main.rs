//! `etmem`: sends a request to an etmemd, prints the answer and ends with the exit status that scripts know.
//!
//! The way of a command, up to the socket:
//!
//! ```text
//!  arguments --command_line, verb/*--> Request --connection--> etmemd
//!  ETMEM_SOCKET, /proc --listening--> SocketName ----^            |
//!  standard output, exit status <------------connection-----------+
//! ```
//!
//! This program knows projects by name only. [`watch`] and [`top`] send requests every second. [`dry_run`] takes another way: it
//! reads a configuration file as the daemon would.

mod arguments;
mod command_line;
mod connection;
mod dry_run;
mod etmemd;
mod failure;
mod listening;
mod metrics;
mod pressure;
mod signals;
mod top;
mod verb;
mod watch;
mod whereabouts;

use std::io::{Write, stdout};
use std::path::Path;
use std::process::ExitCode;

use etmem_wire::{SocketName, Status};

use crate::arguments::Asked;
use crate::failure::{Failure, SERVER_SAID_NO};
use crate::metrics::listen::Source;
use crate::verb::{completions, man};

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
    let (asked, socket) = command_line::read(std::env::args_os())?;
    let mut out = stdout().lock();
    let status = match asked {
        Asked::Send(request) => {
            connection::ask(&choose(socket)?, &request, connection::ANSWER_LIMIT, &mut out)?
        }
        Asked::TaskShow(task_show) => task_show.run(&choose(socket)?, &mut out)?,
        Asked::Top(top) => top.run(&choose(socket)?, &mut out)?,
        Asked::Metrics(metrics) => metrics.run(&choose(socket)?, &mut out)?,
        Asked::Listen(listen) => {
            let source = match &listen.from {
                Some(file) => Source::File(file.clone()),
                None => Source::Daemon(choose(socket)?),
            };
            match listen.run(source, &mut out)? {}
        }
        Asked::WhereOfProject(of_project) => of_project.run(&choose(socket)?, &mut out)?,
        Asked::Etmemd(arguments) => match etmemd::run(&arguments)? {},
        Asked::DryRun(dry_run) => dry_run.print(&mut out).map_err(Failure::Output)?,
        Asked::PressureRun(place, command) => pressure_run(place.as_ref(), &command)?,
        Asked::Print(text) => {
            out.write_all(text.as_bytes()).map_err(Failure::Output)?;
            Status::Success
        }
        Asked::Completions(shell) => {
            completions::print(shell, command_line::program(), &mut out).map_err(Failure::Output)?
        }
        Asked::Manual(directory) => {
            man::write(&directory, command_line::program(), &command_line::HELP, command_line::OBJECTS)
                .map_err(Failure::Manual)?
        }
    };
    out.flush().map_err(Failure::Output)?;
    Ok(status)
}

/// Runs `command` at each request at `place`; no request comes without one.
fn pressure_run(place: Option<&pressure::Place>, command: &[std::ffi::OsString]) -> Result<Status, Failure> {
    place.map_or(Ok(()), |place| pressure::run(place, command)).map_err(Failure::Signals)?;
    Ok(Status::Success)
}

/// The socket to connect to.
fn choose(given: Option<SocketName>) -> Result<SocketName, Failure> {
    listening::choose(given, std::env::var_os("ETMEM_SOCKET"), Path::new("/proc"))
}
