//! `etmem where`: on which levels memory is. It becomes `etmemd --where`; the processes of a project are asked of the daemon first.

use clap::{ArgMatches, Command, Id};
use etmem_manual::{ExitStatus, Help};

use super::target;
use crate::arguments::{Asked, Object, flag, name, option};
use crate::etmemd;
use crate::failure::Failure;
use crate::whereabouts::WhereOfProject;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help {
        examples: &["etmem where", "etmem where 4711", "etmem where -n db", "etmem where -N mysqld --json"],
        exit_statuses: &[
            ExitStatus(0, "done"),
            ExitStatus(1, "of some of the processes it is not known: they have ended, or the kernel refused"),
            ExitStatus(2, "nothing is known: there is no such process, no right, or an option is bad"),
            ExitStatus(3, "what was found could not be printed"),
            ExitStatus(254, "etmemd could not be run"),
        ],
        notes: "Each page is counted where it is: in memory, in zram, on the disk behind zram, on a swap device. Without a\n\
                target, only the levels of the machine are listed. A daemon is needed for -n only. To learn which device is\n\
                which, one page of the command's own is moved to swap if there is more than one device.",
    },
};

fn command() -> Command {
    Command::new("where")
        .about("Say on which levels memory is: in memory, compressed, on disk")
        .args(target::arguments())
        .arg(option("project", 'n', "PROJECT", "The processes of the tasks of this project").global(false))
        .arg(flag("all", "All programs"))
        .group(target::group().args(["project", "all"].map(Id::from)).required(false))
        .arg(flag("json", "Print one JSON object"))
        .args(etmemd::roots())
        .override_usage("etmem where [PID|-p PID|-N NAME|-c CGROUP|-n PROJECT|--all] [--json] [-s SOCKET]")
}

fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let arguments = target::passed_on("--where", options, &[], &["all", "json"]);
    Ok(match name(options, "project")? {
        None => Asked::Etmemd(arguments),
        Some(project) => Asked::WhereOfProject(WhereOfProject { project, arguments }),
    })
}
