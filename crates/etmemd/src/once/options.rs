//! Arguments of `etmemd --idle`, `--warm`, `--survey` and `--record` to what they ask for; those of `--report` and `--replay` are where they
//! are used.

use super::merging;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use etmem_core::kernel::groups::GroupPattern;
use etmem_core::kernel::process::{ExePattern, Pid, Target};
use etmem_linux::root::{ProcRoot, Roots, SysRoot};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// What to do.
    pub(crate) what: What,
    /// With which processes.
    pub(crate) target: Target,
    /// Whether to print JSON.
    pub(crate) json: bool,
    /// Where the kernel's file systems are.
    pub(crate) roots: Roots,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// To page out.
    Idle {
        /// What was touched in this time stays.
        keep: Duration,
        /// Most of swap that may be in use, in percent.
        swap_use: u8,
    },
    /// To bring back.
    Warm,
    /// To look.
    Survey {
        /// For how long.
        length: Duration,
        /// Whether to read a sample of cold pages.
        sample: bool,
    },
    /// To look, and to write what was seen to a file.
    Record {
        /// The file.
        file: PathBuf,
        /// How long and how often.
        looking: Looking,
    },
}

/// How long and how often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looking {
    /// How long.
    pub(crate) length: Duration,
    /// Time between two looks.
    pub(crate) every: Duration,
}

impl Looking {
    /// What the options `for` and `every` say.
    pub(super) fn of(matches: &ArgMatches) -> Self {
        let given = |name| matches.get_one::<Duration>(name).copied().unwrap_or_default();
        // Less shows nothing.
        let every = given("every").max(SHORTEST_INTERVAL);
        Self { length: given("for").max(every), every }
    }
}

/// The shortest time between two looks of a record.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest survey.
const SHORTEST_SURVEY: Duration = Duration::from_secs(1);

/// Whether these arguments, of which the first is the program's own name, are for here.
pub(crate) fn are_meant(arguments: &[OsString]) -> bool {
    let meant =
        ["--idle", "--warm", "--survey", "--record", "--report", "--replay", "--where", merging::OPTION]
            .map(OsStr::new);
    arguments.get(1).is_some_and(|first| meant.contains(&&**first))
}

fn command() -> Command {
    Command::new("etmemd")
        .args(
            ["idle", "warm", "survey", "record", "no-sample"]
                .map(|name| Arg::new(name).long(name).action(ArgAction::SetTrue)),
        )
        .arg(word("file").value_parser(value_parser!(PathBuf)).required_if_eq("record", "true"))
        .args(targets())
        .arg(Arg::new("all").long("all").action(ArgAction::SetTrue).requires("survey"))
        .group(ArgGroup::new("target").args(["pid", "name", "cgroup", "all"]).required(true))
        .arg(word("keep").default_value("30s").value_parser(duration))
        .args(duration_args())
        .arg(word("max-swap-use").default_value("80").value_parser(value_parser!(u8).range(1..=100)))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue))
        .args(roots())
        .disable_help_flag(true)
}

pub(super) fn word(name: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("VALUE")
}

/// The options that name processes.
pub(super) fn targets() -> [Arg; 3] {
    [
        word("pid").value_parser(|text: &str| {
            let pid = text.parse().ok().and_then(Pid::new);
            pid.map(Target::Pid).ok_or("a pid is a number from 1 on")
        }),
        word("name").value_parser(|text: &str| {
            let fits = (1..=15).contains(&text.len());
            fits.then(|| Target::Comm(text.into()))
                .ok_or("a name has 1 to 15 characters, as in /proc/PID/comm")
        }),
        word("cgroup").value_parser(|text: &str| {
            GroupPattern::new(text)
                .map(Target::Groups)
                .ok_or("a control group is a path below the root of its file system, such as tenants/7")
        }),
    ]
}

/// How long and how often to look.
pub(super) fn duration_args() -> [Arg; 2] {
    [
        word("for").default_value("10m").value_parser(duration),
        word("every").default_value("10s").value_parser(duration),
    ]
}

/// Where the kernel's file systems are.
pub(super) fn roots() -> [Arg; 2] {
    ["proc-root", "sys-root"].map(|name| word(name).value_parser(value_parser!(PathBuf)))
}

/// What these say.
pub(super) fn roots_of(matches: &mut ArgMatches) -> Roots {
    let mut root = |name| matches.remove_one::<PathBuf>(name);
    let proc = root("proc-root").map_or_else(ProcRoot::default, ProcRoot::new);
    let sys = root("sys-root").map_or_else(SysRoot::default, SysRoot::new);
    Roots { proc, sys }
}

/// The processes that are named.
pub(super) fn target_of(matches: &mut ArgMatches) -> Option<Target> {
    ["pid", "name", "cgroup"].iter().find_map(|name| matches.remove_one::<Target>(name))
}

/// Digits followed by `s`, `m` or `h`, or 0.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    let seconds = |digits: &str, unit: u64| digits.parse::<u64>().ok()?.checked_mul(unit);
    let found = match text.as_bytes().last() {
        Some(b's') => seconds(&text[..text.len() - 1], 1),
        Some(b'm') => seconds(&text[..text.len() - 1], 60),
        Some(b'h') => seconds(&text[..text.len() - 1], 3600),
        _ => (text == "0").then_some(0),
    };
    let fits = found.filter(|seconds| *seconds <= 24 * 3600);
    fits.map(Duration::from_secs).ok_or("a time is a whole number followed by s, m or h, at most 24h; or 0")
}

/// Says what is wrong with arguments; the status to exit with.
pub(super) fn refuse(error: &clap::Error) -> ExitCode {
    eprint!("{error}");
    ExitCode::from(2)
}

/// Reads the arguments.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Asked, clap::Error> {
    let mut matches = command().try_get_matches_from(arguments)?;
    let roots = roots_of(&mut matches);
    let target = target_of(&mut matches);
    let all = || ExePattern::new("/**").filter(|_| matches.get_flag("all")).map(Target::Exe);
    let target = target
        .or_else(all)
        .ok_or_else(|| command().error(ErrorKind::MissingRequiredArgument, "no target"))?;
    Ok(Asked { what: what(&matches), target, json: matches.get_flag("json"), roots })
}

fn what(matches: &ArgMatches) -> What {
    if matches.get_flag("warm") {
        return What::Warm;
    }
    if matches.get_flag("survey") {
        let length: Duration = matches.get_one("for").copied().unwrap_or_default();
        // Less shows nothing.
        let length = length.max(SHORTEST_SURVEY);
        return What::Survey { length, sample: !matches.get_flag("no-sample") };
    }
    if matches.get_flag("record") {
        let file = matches.get_one("file").cloned().unwrap_or_default();
        return What::Record { file, looking: Looking::of(matches) };
    }
    let keep = matches.get_one("keep").copied().unwrap_or_default();
    What::Idle { keep, swap_use: matches.get_one("max-swap-use").copied().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Asked, String> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert!(are_meant(&arguments));
        parse(&arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_asked_for() {
        let seconds = Duration::from_secs;
        let idle = |keep, swap_use| What::Idle { keep: seconds(keep), swap_use };
        let pid = |pid| Target::Pid(Pid::new(pid).unwrap());
        for (line, what, target) in [
            ("etmemd --idle --pid=7", idle(30, 80), pid(7)),
            ("etmemd --idle --name=redis --keep=2m", idle(120, 80), Target::Comm("redis".into())),
            ("etmemd --idle --pid=7 --keep=0 --max-swap-use=95", idle(0, 95), pid(7)),
            ("etmemd --warm --cgroup=/a/b", What::Warm, Target::Groups(GroupPattern::new("/a/b").unwrap())),
        ] {
            let asked = parse_line(line).unwrap();
            assert_eq!((asked.what, asked.target, asked.json), (what, target, false), "{line}");
        }
        assert!(parse_line("etmemd --warm --pid=1 --json").unwrap().json);
        for (line, length, sample) in [
            ("etmemd --survey --all", 600, true),
            ("etmemd --survey --pid=7 --for=20s --no-sample", 20, false),
            ("etmemd --survey --name=x --for=0", 1, true),
        ] {
            let want = What::Survey { length: seconds(length), sample };
            assert_eq!(parse_line(line).unwrap().what, want, "{line}");
        }
        for (line, length, every) in [
            ("etmemd --record --file=/a --pid=7", 600, 10),
            ("etmemd --record --file=/a --pid=7 --for=24h --every=30s", 86_400, 30),
            ("etmemd --record --file=/a --pid=7 --for=0 --every=0", 1, 1),
        ] {
            let looking = Looking { length: seconds(length), every: seconds(every) };
            assert_eq!(parse_line(line).unwrap().what, What::Record { file: "/a".into(), looking }, "{line}");
        }
        let everything = Target::Exe(ExePattern::new("/**").unwrap());
        assert_eq!(parse_line("etmemd --survey --all").unwrap().target, everything);
    }

    #[test]
    fn what_is_refused_says_the_rule() {
        for (line, rule) in [
            ("etmemd --idle --pid=0", "a pid is a number from 1 on"),
            ("etmemd --idle --pid=x", "a pid is a number from 1 on"),
            ("etmemd --idle --name=0123456789abcdef", "1 to 15 characters"),
            ("etmemd --idle --cgroup=a/../b", "a path below the root"),
            ("etmemd --idle --pid=1 --keep=5", "followed by s, m or h"),
            ("etmemd --idle --pid=1 --keep=25h", "at most 24h"),
            ("etmemd --idle --pid=1 --keep=99999999999999999999h", "at most 24h"),
            ("etmemd --idle --pid=1 --keep=s", "followed by s, m or h"),
            ("etmemd --idle --pid=1 --max-swap-use=101", "101 is not in 1..=100"),
            ("etmemd --idle --pid=1 --name=x", "cannot be used with"),
            ("etmemd --idle", "required"),
            ("etmemd --survey", "required"),
            ("etmemd --record --file=/a", "required"),
            ("etmemd --record --pid=7", "--file"),
            ("etmemd --record --file=/a --pid=7 --every=3", "followed by s, m or h"),
            ("etmemd --idle --all", "required"),
        ] {
            let error = parse_line(line).unwrap_err();
            assert!(error.contains(rule), "{line}: {error}");
        }
    }
}
