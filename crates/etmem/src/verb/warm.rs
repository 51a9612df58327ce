//! `etmem warm`: brings back from swap what `etmem idle` has paged out. It becomes `etmemd --warm`.

use clap::{ArgMatches, Command};
use etmem_manual::Help;

use super::idle::STATUSES;
use super::target;
use crate::arguments::{Asked, Object, flag};
use crate::etmemd;
use crate::failure::Failure;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help {
        examples: &["etmem warm 4711", "etmem warm -c tenants/7", "etmem warm -N sandbox --json"],
        exit_statuses: &STATUSES,
        notes: "What etmem idle has recorded comes back in the order in which it went out. Without a record, all that the\n\
                processes have in swap comes back, also what a task of etmemd has paged out, which takes that for refaults.\n\
                A record of another process that had the pid before is noticed. Ctrl-C ends it with what is back so far.",
    },
};

fn command() -> Command {
    Command::new("warm")
        .about("Bring the memory of a program back from swap before it is needed")
        .args(target::arguments())
        .group(target::group())
        .arg(flag("json", "Print one JSON object"))
        .args(etmemd::roots())
        .override_usage("etmem warm PID|-p PID|-N NAME|-c CGROUP [--json]")
}

#[expect(clippy::unnecessary_wraps, reason = "as those of the other objects, which can fail")]
fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    Ok(Asked::Etmemd(target::passed_on("--warm", options, &[], &["json"])))
}
