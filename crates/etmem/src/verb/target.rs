//! Which processes the commands that need no daemon are about.

use std::ffi::OsString;

use clap::{Arg, ArgGroup, ArgMatches, value_parser};

use crate::etmemd;

/// A pid without an option, and what else may be meant.
const TARGETS: [(&str, char, &str, &str); 3] = [
    ("pid", 'p', "PID", "The process of this number and its descendants"),
    ("name", 'N', "NAME", "All processes of this name (/proc/PID/comm) and their descendants"),
    (
        "cgroup",
        'c',
        "CGROUP",
        "All processes of the control groups of this path, such as tenants/*, and of those below",
    ),
];

/// The options and the argument, of which one is needed.
pub(super) fn arguments() -> Vec<Arg> {
    let target = Arg::new("target").value_name("TARGET").help("A pid, the same as -p");
    std::iter::once(target.value_parser(value_parser!(OsString))).chain(options()).collect()
}

/// The options alone, for commands whose argument is something else.
pub(super) fn options() -> [Arg; 3] {
    TARGETS.map(|(long, short, name, help)| {
        Arg::new(long)
            .long(long)
            .short(short)
            .value_name(name)
            .help(help)
            .value_parser(value_parser!(OsString))
    })
}

/// One of these is needed.
pub(super) fn group_of_options() -> ArgGroup {
    ArgGroup::new("whom").args(["pid", "name", "cgroup"]).required(true)
}

/// One of them is needed.
pub(super) fn group() -> ArgGroup {
    ArgGroup::new("whom").args(["target", "pid", "name", "cgroup"]).required(true)
}

/// The arguments of etmemd that say the same: `what` to do, the target, and those of `values` and `flags` that were given.
pub(super) fn passed_on(what: &str, options: &ArgMatches, values: &[&str], flags: &[&str]) -> Vec<OsString> {
    let mut arguments = vec![OsString::from(what)];
    arguments.extend(given(options));
    for name in values {
        if let Some(value) = options.get_one::<OsString>(name) {
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(value);
            arguments.push(argument);
        }
    }
    for name in flags.iter().filter(|name| options.get_flag(name)) {
        arguments.push(format!("--{name}").into());
    }
    arguments.extend(etmemd::roots_given(options));
    arguments
}

/// The target, as an argument of etmemd.
fn given(options: &ArgMatches) -> Option<OsString> {
    let given = |name: &str| options.get_one::<OsString>(name).cloned();
    let target = || options.try_get_one::<OsString>("target").ok().flatten().cloned();
    let target = target().map(|value| ("pid", value));
    let other = || TARGETS.iter().find_map(|(name, ..)| Some((*name, given(name)?)));
    let (name, value) = target.or_else(other)?;
    let mut argument = OsString::from(format!("--{name}="));
    argument.push(value);
    Some(argument)
}
