//! Arguments to what they ask for.

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, value_parser};
use etmem_linux::root::{ProcRoot, Roots, SysRoot};
use etmem_wire::SocketName;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{PathBuf, absolute};
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// To serve.
    Run(Options),
    /// To examine the machine.
    Doctor {
        /// Where its file systems are.
        roots: Roots,
        /// Whether to print JSON.
        json: bool,
    },
    /// To take back what killed daemons left in the kernel of the machine with this file system.
    TakeBack(SysRoot),
    /// This program's manual page, written into this directory.
    Manual(PathBuf),
}

/// How to serve.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where to listen.
    pub(crate) socket: SocketName,
    /// What to log.
    pub(crate) log_level: LevelFilter,
    /// Whether to run in the background.
    pub(crate) background: bool,
    /// Whose files to add and start.
    pub(crate) config_folder: Option<PathBuf>,
    /// Where to write metrics.
    pub(crate) metrics_file: Option<MetricsFile>,
    /// Where the kernel's file systems are.
    pub(crate) roots: Roots,
}

/// Where to write metrics, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricsFile {
    /// The file.
    pub(crate) path: PathBuf,
    /// From one time to the next.
    pub(crate) every: Duration,
}

/// The grammar of the arguments.
pub(crate) fn command() -> Command {
    Command::new("etmemd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Finds the memory that programs are not using and moves it to cheaper places")
        .override_usage(
            "etmemd -s NAME [OPTIONS]\n       etmemd --doctor [--json] [--proc-root DIR] [--sys-root DIR]\n       \
             etmemd --take-back [--sys-root DIR]",
        )
        .after_help(crate::manual::HELP.text())
        .arg(
            Arg::new("socket")
                .short('s')
                .long("socket")
                .value_name("NAME")
                .required_unless_present_any(["doctor", "take-back"])
                .help("Abstract socket to listen on, 1 to 107 bytes")
                .value_parser(OsStringValueParser::new().try_map(|name| SocketName::new(name.as_bytes()))),
        )
        .arg(
            Arg::new("log-level")
                .short('l')
                .long("log-level")
                .value_name("LEVEL")
                .default_value("3")
                .help("What to log: 0 debug, 1 info, 2 warnings, 3 errors")
                .value_parser(PossibleValuesParser::new(["0", "1", "2", "3"]).map(|level| match &*level {
                    "0" => LevelFilter::DEBUG,
                    "1" => LevelFilter::INFO,
                    "2" => LevelFilter::WARN,
                    _ => LevelFilter::ERROR,
                }))
                .hide_possible_values(true),
        )
        .arg(
            Arg::new("mode-systemctl")
                .short('m')
                .long("mode-systemctl")
                .action(ArgAction::SetTrue)
                .help("Run in the background, with the pid in /run/etmemd.pid"),
        )
        .arg(path(
            "config-dir",
            "DIR",
            "Add the files *.conf of DIR, in the order of their names, and start their projects (without it: none)",
        ))
        .arg(path(
            "metrics-file",
            "FILE",
            "Write metrics to FILE for node_exporter's textfile collector, again and again (without it: not at all)",
        ))
        .arg(
            Arg::new("metrics-interval")
                .long("metrics-interval")
                .value_name("SECONDS")
                .help("How often to write FILE, 1 to 3600 [default: 15]")
                .requires("metrics-file")
                .value_parser(value_parser!(u64).range(1..=3600)),
        )
        .arg(
            flag("doctor", "Examine this machine, print what etmem can do here and why not more, and exit")
                .conflicts_with_all(["socket", "log-level", "mode-systemctl", "config-dir", "metrics-file"]),
        )
        .arg(
            flag("take-back", "Take back what killed daemons left in the kernel, as each start does, and exit")
                .conflicts_with_all([
                    "socket",
                    "log-level",
                    "mode-systemctl",
                    "config-dir",
                    "metrics-file",
                    "doctor",
                    "proc-root",
                ]),
        )
        // A requirement alone does not hold beside an option that excludes what is required.
        .arg(flag("json", "With --doctor: print one JSON object").requires("doctor").conflicts_with("socket"))
        .arg(
            path("man", "DIRECTORY", "Write the manual page into DIRECTORY, and nothing else")
                .hide(true)
                .exclusive(true),
        )
        .arg(path("proc-root", "DIR", "Where procfs is mounted, if not at /proc: in a container, the host's"))
        .arg(path("sys-root", "DIR", "Where sysfs is mounted, if not at /sys"))
        .disable_version_flag(true)
        .arg(Arg::new("version").long("version").action(ArgAction::Version).help("Print the version"))
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn path(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help).value_parser(value_parser!(PathBuf))
}

/// Reads the arguments, of which the first is the program's own name.
///
/// # Errors
/// What is wrong with them; also if help or the version is asked for, as the error holds its text.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, clap::Error> {
    let mut matches = command().try_get_matches_from(arguments)?;
    if let Some(directory) = matches.remove_one::<PathBuf>("man") {
        return Ok(Asked::Manual(directory));
    }
    let mut root = |name| matches.remove_one::<PathBuf>(name);
    let proc = root("proc-root").map_or_else(ProcRoot::default, ProcRoot::new);
    let sys = root("sys-root").map_or_else(SysRoot::default, SysRoot::new);
    let roots = Roots { proc, sys };
    if matches.get_flag("doctor") {
        return Ok(Asked::Doctor { roots, json: matches.get_flag("json") });
    }
    if matches.get_flag("take-back") {
        return Ok(Asked::TakeBack(roots.sys));
    }
    let (Some(socket), Some(log_level)) = (matches.remove_one("socket"), matches.remove_one("log-level"))
    else {
        return Err(command().error(ErrorKind::MissingRequiredArgument, "-s NAME is required"));
    };
    let background = matches.get_flag("mode-systemctl");
    // A daemon in the background is elsewhere.
    let config_folder =
        matches.remove_one::<PathBuf>("config-dir").map(|folder| absolute(&folder).unwrap_or(folder));
    let every = Duration::from_secs(matches.remove_one::<u64>("metrics-interval").unwrap_or(15));
    let metrics_file = matches
        .remove_one::<PathBuf>("metrics-file")
        .map(|file| MetricsFile { path: absolute(&file).unwrap_or(file), every });
    Ok(Asked::Run(Options { socket, log_level, background, config_folder, metrics_file, roots }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn accepted_and_refused() {
        let asked = |line: &str| parse(line.split(' ').map(OsString::from));
        let run = |line: &str| match asked(line) {
            Ok(Asked::Run(options)) => options,
            other => panic!("{line}: {other:?}"),
        };
        let refused = |line: &str| asked(line).unwrap_err();
        let options = run("etmemd -s sock");
        assert_eq!(options.socket.as_bytes(), b"sock");
        assert_eq!(options.log_level, LevelFilter::ERROR);
        assert!(!options.background);
        for line in ["etmemd -l 0 -s sock -m", "etmemd -ms sock", "etmemd --mode-systemctl --socket sock"] {
            assert!(run(line).background, "{line}");
        }
        assert_eq!(run("etmemd --socket=x -l 0").log_level, LevelFilter::DEBUG);
        for line in [
            "etmemd",
            "etmemd -m",
            "etmemd -s a -s b",
            "etmemd -s a -m -m",
            "etmemd -s a -l 4",
            "etmemd -s a stray",
            "etmemd -s a -x",
            "etmemd -s a --proc-root",
            "etmemd -s a --config-dir",
            "etmemd -s a --metrics-file",
            "etmemd -s a --metrics-interval 5",
            "etmemd -s a --metrics-file f --metrics-interval 0",
            "etmemd -s a --metrics-file f --metrics-interval 3601",
            "etmemd --doctor --metrics-file f",
            "etmemd --doctor --config-dir d",
            "etmemd -s a --json",
            "etmemd -s a --doctor",
            "etmemd --doctor -m",
            "etmemd --doctor --take-back",
            "etmemd -s a --take-back",
            "etmemd --take-back --proc-root d",
            "etmemd --json",
            "etmemd --man",
            "etmemd --man d -s a",
        ] {
            assert_eq!(refused(line).exit_code(), 2, "{line}");
        }
        assert_eq!((options.roots, options.config_folder), (Roots::default(), None));
        let here = std::env::current_dir().unwrap();
        let metrics = run("etmemd -s a --metrics-file f --metrics-interval 5").metrics_file.unwrap();
        assert_eq!((metrics.path, metrics.every), (here.join("f"), Duration::from_secs(5)));
        assert_eq!(run("etmemd -s a --metrics-file f").metrics_file.unwrap().every, Duration::from_secs(15));
        assert_eq!(run("etmemd -s a --config-dir d").config_folder, Some(here.join("d")));
        let elsewhere = Roots { proc: ProcRoot::new("/host/proc"), sys: SysRoot::new("/host/sys") };
        let line = "etmemd -s sock --proc-root /host/proc --sys-root=/host/sys";
        assert_eq!(run(line).roots, elsewhere);
        assert_eq!(refused("etmemd -h").exit_code(), 0);
        assert_eq!(refused("etmemd --version").exit_code(), 0);
        let long = refused(&format!("etmemd -s {}", "n".repeat(108)));
        assert!(
            long.exit_code() == 2 && long.to_string().contains("has 108 bytes; a socket name has 1 to 107")
        );
        let doctor = asked("etmemd --doctor --json --proc-root /host/proc --sys-root /host/sys").unwrap();
        assert!(matches!(doctor, Asked::Doctor { roots, json: true } if roots == elsewhere));
        let asked_back = asked("etmemd --take-back --sys-root /host/sys").unwrap();
        assert!(matches!(asked_back, Asked::TakeBack(sys) if sys == SysRoot::new("/host/sys")));
        assert!(matches!(asked("etmemd --doctor").unwrap(), Asked::Doctor { json: false, .. }));
        assert!(
            matches!(asked("etmemd --man d").unwrap(), Asked::Manual(directory) if directory == Path::new("d"))
        );
    }
}
