//! `etmem top`: a live view of tasks and their processes.

use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::Help;

use crate::arguments::{Asked, Object};
use crate::failure::Failure;
use crate::top::Top;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help {
        examples: &[
            "etmem top -s etmemd_socket",
            "etmem top --delay 5",
            "etmem top -n 1 -s etmemd_socket",
            "NO_COLOR=1 etmem top",
        ],
        exit_statuses: &[],
        notes: "Keys: q ends it, ? explains keys and columns, / filters, space pauses, n r h w c o f p sort.\n\
                With -n, or if standard output is no terminal, it prints plain tables. It goes on if the daemon is started again.",
    },
};

fn command() -> Command {
    Command::new("top")
        .about("Show tasks and their processes live: what is hot, cold and out, what comes back, and what it costs")
        .arg(
            Arg::new("count")
                .long("count")
                .short('n')
                .value_name("COUNT")
                .help("Print COUNT plain tables instead of a live view")
                .value_parser(value_parser!(u32).range(1..)),
        )
        .arg(
            Arg::new("delay")
                .long("delay")
                .short('d')
                .value_name("SECONDS")
                .help("From one answer to the next question, 1 to 3600 [default: 1]")
                .value_parser(value_parser!(u64).range(1..=3600)),
        )
        .override_usage("etmem top [-n COUNT] [-d SECONDS] [-s SOCKET]")
}

#[expect(clippy::unnecessary_wraps, reason = "as of every object")]
fn asked(options: &ArgMatches) -> Result<Asked, Failure> {
    let delay = Duration::from_secs(options.get_one("delay").copied().unwrap_or(1));
    Ok(Asked::Top(Top { count: options.get_one("count").copied(), delay }))
}
