//! What the demo asks of the daemon, by its command line.

use clap::{Arg, ArgAction, Command};

use crate::daemon::{ProjectFile, TaskKind};

/// Lines that make the daemon page out hot memory: 1 % of the process is to stay, however fast the pages come back.
const HARM: [&str; 4] = ["T=1", "dram_percent=1", "max_refault=none", "max_rate=none"];

/// The option of that name.
pub const HARM_OPTION: &str = "--harm";

/// The option of that name.
pub const AT_ONCE_OPTION: &str = "--at-once";

/// What kind of task the demo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Cold memory leaves.
    Good,
    /// The same without an age, so in the first cycle.
    AtOnce,
    /// Hot memory leaves as well: the demo must find that its claims do not hold.
    Harm,
}

impl Wanted {
    /// Reads the command line of this process; `--help` and an unknown option end it.
    #[must_use]
    pub fn from_command_line() -> Self {
        let harm = Arg::new("harm").long("harm").action(ArgAction::SetTrue).help(
            "Configure the daemon to page out hot memory too (dram_percent=1, no limit of refaults): \
             the demo must then end with \"does not hold\" and exit status 1",
        );
        let at_once = Arg::new("at-once").long("at-once").action(ArgAction::SetTrue).conflicts_with("harm").help(
            "Configure the daemon with age=none: pages may leave in the first cycle, before etmemd has seen at which age \
             little comes back",
        );
        let command = Command::new("demo")
            .about("Shows cold memory of a running program go to swap")
            .args([harm, at_once]);
        let matches = command.get_matches();
        match (matches.get_flag("harm"), matches.get_flag("at-once")) {
            (true, _) => Self::Harm,
            (false, true) => Self::AtOnce,
            (false, false) => Self::Good,
        }
    }

    /// Arguments that [`Self::from_command_line`] reads back.
    #[must_use]
    pub const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Good => &[],
            Self::AtOnce => &[AT_ONCE_OPTION],
            Self::Harm => &[HARM_OPTION],
        }
    }

    /// The configuration file for process `pid`.
    #[must_use]
    pub fn project(self, pid: u32) -> ProjectFile {
        let (file, target) = (ProjectFile::new("demo"), TaskKind::Pid(pid));
        match self {
            Self::Good => file.task_as_written("coldest", target, &["T=1"]),
            Self::AtOnce => file.task_as_written("coldest", target, &["T=1", "age=none"]),
            Self::Harm => file.task_with("harm", target, &HARM),
        }
    }
}
