//! `etmem pressure run`: the options of [`crate::pressure`].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, ValueHint, value_parser};
use etmem_manual::{ExitStatus, Help};

use crate::arguments::{self, Asked, Object, unknown_command, words};
use crate::failure::Failure;
use crate::pressure::Place;

pub(crate) const OBJECT: Object = Object { command, asked, help: Help::examples(&[EXAMPLE]) };

const EXAMPLE: &str = "etmem pressure run --watch /run/etmem/pressure/db.redis -- redis-cli memory purge";

const RUN: Help = Help {
    examples: &[
        EXAMPLE,
        "etmem pressure run -- jcmd 4711 System.trim_native_heap",
        "etmem pressure run --watch /proc/pressure/memory --write 'some 200000 2000000' -- trim-cache",
    ],
    exit_statuses: &[
        ExitStatus(
            0,
            "ended by SIGTERM, SIGINT, SIGHUP or the end of its parent, or MEMORY_PRESSURE_WATCH is /dev/null",
        ),
        ExitStatus(5, "signals cannot be received"),
        ExitStatus(234, "no PATH or no COMMAND is given, or MEMORY_PRESSURE_WRITE is not Base64"),
    ],
    notes: "For programs that do not know systemd's protocol for memory pressure. PATH is a socket, a FIFO or a file of the\n\
            kernel's PSI. COMMAND runs at each request, never more than one at a time; what comes meanwhile runs it once\n\
            more. ETMEM_WANTED_BYTES in its environment is how much etmemd would page out. No daemon has to run for this:\n\
            a PATH that is not there is tried again every 5 s.",
};

fn command() -> Command {
    let path = |name: &'static str, value, help| {
        Arg::new(name).long(name).value_name(value).help(help).value_parser(value_parser!(OsString))
    };
    Command::new("pressure").about("Give memory back when it is asked for").subcommand(
        Command::new("run")
            .about("Run a trim command each time that memory is asked for")
            .arg(
                path("watch", "PATH", "Where requests come from [default: MEMORY_PRESSURE_WATCH]")
                    .value_hint(ValueHint::FilePath),
            )
            .arg(path(
                "write",
                "TEXT",
                "What to write there first [default: MEMORY_PRESSURE_WRITE, decoded; with --watch, nothing]",
            ))
            .arg(arguments::command())
            .override_usage("etmem pressure run [--watch PATH] [--write TEXT] -- COMMAND [ARGUMENT...]")
            .after_help(RUN.text()),
    )
}

fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    let Some(("run", options)) = matches.subcommand() else { return Err(unknown_command("pressure")) };
    let watch = options.get_one::<OsString>("watch").map(PathBuf::from);
    let place = Place::choose(watch, options.get_one("write")).map_err(Failure::Pressure)?;
    Ok(Asked::PressureRun(place, words(options).collect()))
}
