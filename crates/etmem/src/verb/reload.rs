//! `etmem reload`: etmemd reads the files of its folder again.

use clap::{ArgMatches, Command};
use etmem_manual::Help;
use etmem_wire::Request;

use crate::arguments::{Asked, Object};
use crate::failure::Failure;

pub(crate) const OBJECT: Object =
    Object { command, asked, help: Help::examples(&["etmem reload -s etmemd_socket"]) };

fn command() -> Command {
    Command::new("reload")
        .about("Read the files of etmemd --config-dir again, and say what changed; all else goes on")
        .long_about(
            "Read the files of etmemd --config-dir again, and say what changed.\n\n\
             What a file says as before goes on untouched. A task goes on with what it knows, from its next cycle on, where its engine can do \
             that: with other limits and thresholds, for example. Otherwise it begins again. What no file lists any more is stopped and \
             deleted. A file that is refused changes nothing.",
        )
        .override_usage("etmem reload [-s SOCKET]")
}

#[expect(clippy::unnecessary_wraps, reason = "as of every object")]
fn asked(_: &ArgMatches) -> Result<Asked, Failure> {
    Ok(Asked::Send(Request::Reload))
}
